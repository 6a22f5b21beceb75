// A person's day with the extension: a mistake, runs, the view, the graph, terminals, and what can go wrong with the server.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const PIPELINE = String.raw`name: demo
steps:
  - key: hello
    cmd: printf '\033[32mgreen line\033[0m\n'

  - key: compile
    cmd: cc -c main.c -o main.o

  - key: test
    builds_in: compil
    cmd: echo tested

  - key: slow
    cmd: while [ ! -e go ]; do sleep 0.1; done
`;
const SOURCE = "int main(void) {\n  return missing;\n}\n";

const DOCKER_PIPELINE = String.raw`name: container
steps:
  - key: inside
    image: pipelens-test/busybox:latest
    cmd: test -e /bin/busybox && printf '\033[35min a container\033[0m\n'
`;

export const files = { "pipeline.yml": PIPELINE, "main.c": SOURCE };

export function stages({ page, person, project, scratch, settings, change, shoot, server, docker }) {
  return [
    ["a mistake is marked, and its fix applied", async () => {
      await person.openFile("pipeline.yml");
      const squiggle = person.squiggle();
      await squiggle.waitFor();
      await page.locator(".view-line", { hasText: "builds_in" }).first().click();
      await page.keyboard.press("End");
      // A click, because VS Code sometimes ignores Control+. so soon after its start, although the actions are there.
      await page.locator(".monaco-editor [class*='lightbulb']").first().click();
      await page.locator(".action-widget .monaco-list-row", { hasText: "compile" }).first().click();
      await squiggle.waitFor({ state: "detached" });
      await person.save();
      assert.match(readFileSync(join(project, "pipeline.yml"), "utf8"), /builds_in: compile\n/);
    }],
    ["an untrusted workspace refuses, in one message with the button that helps", async () => {
      // For the buttons in the gutter, VS Code asks by itself.
      await person.lens("Run step").first().click();
      const toast = person.toast("not trusted");
      await toast.first().waitFor();
      assert.equal(await person.toast("").count(), 1, "one message");
      await shoot("untrusted");
      const untrusted = serverProcess();
      await person.button(toast.first(), "Manage Trust").click();
      await page.locator(".workspace-trust-editor .monaco-button", { hasText: "Trust" }).first().click();
      await page.locator(".workspace-trust-editor.trusted, .workspace-trust-editor .workspace-trust-header", { hasText: "You trust" }).first().waitFor();
      await page.keyboard.press("Control+F4");
      await person.openFile("pipeline.yml");
      assert.equal(serverProcess(), untrusted, "the server stays");
    }],
    ["the button in the gutter runs a step, and its output has colours", async () => {
      await person.command("View: Show Pipelines");
      await person.gutter("- key: hello");
      await person.lens("✓").first().waitFor();
      await page.locator(".testing-run-glyph.codicon-testing-passed-icon, .cgmr.codicon-testing-passed-icon").first().waitFor();
      await person.command("pipelens: Show Output of Last Run");
      await person.terminal("[hello] green line").waitFor();
      await page.locator(".terminal-wrapper.active .xterm-fg-2", { hasText: "green line" }).first().waitFor();
    }],
    ["the view, the status bar and the graph follow a run, which its notification cancels", async () => {
      await person.row("hello").filter({ hasText: "succeeded" }).first().waitFor();
      await person.command("pipelens: Show Graph");
      await person.step("hello", "succeeded").waitFor();
      await page.locator('.tab[data-resource-name="pipeline.yml"]').first().click();
      await person.gutter("- key: slow");
      await person.step("slow", "running").waitFor();
      await person.row("slow").filter({ hasText: "running" }).first().waitFor();
      await person.status().filter({ hasText: "slow" }).waitFor();
      await shoot("running");
      const progress = person.toast("slow");
      await person.button(progress.first(), "Cancel").click();
      await person.step("slow", "cancelled").waitFor();
      await person.row("slow").filter({ hasText: "cancelled" }).first().waitFor();
      await person.lens("cancelled").first().waitFor();
      await progress.filter({ hasText: "running" }).waitFor({ state: "detached" });
    }],
    ["the graph can be used with the keyboard, and leads to the text", async () => {
      await person.step("compile").focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("Enter");
      await page.locator(".view-line", { hasText: "key: test" }).first().waitFor();
      await page.locator(".statusbar-item", { hasText: "Ln 9," }).first().waitFor();
    }],
    ["a failing compiler marks the line of the source", async () => {
      await person.clearToasts();
      const row = person.row("compile").first();
      await row.hover();
      await row.locator(".action-label[aria-label='Run']").click();
      const toast = person.toast("compile");
      await person.button(toast, "Show problem").click();
      await page.locator(".markers-panel .monaco-list-row", { hasText: "undeclared" }).first().waitFor();
      // The button in the gutter shows runs that were started elsewhere.
      await page.locator(".testing-run-glyph.codicon-testing-failed-icon, .codicon-testing-failed-icon.cgmr").first().waitFor();
      await shoot("failed");
      await person.openFile("main.c");
      await person.squiggle().waitFor();
      await shoot("source");
    }],
    ["a log is shown as a terminal shows it, and its problems lead to the source", async () => {
      await openLog("hello");
      assert.deepEqual(await page.locator(".editor-instance .view-line").allTextContents(), ["green\u00a0line", ""]);
      await openLog("compile");
      await page.locator(".editor-instance .detected-link", { hasText: "main.c" }).first().waitFor();
      await shoot("log");
    }],
    ["a shell opens in the failed step", async () => {
      await person.command("pipelens: Open Shell in Failed Step");
      await person.terminal(/^[#$]\s/).waitFor();
      await page.locator(".terminal-wrapper.active textarea").first().focus();
      await page.keyboard.type("ls main.c; echo in-$((40 + 2))\n");
      await person.terminal("in-42").waitFor();
      await shoot("shell");
    }],
    ["the mark goes when the fixed step has run again", async () => {
      await person.openFile("main.c");
      await page.locator(".view-line", { hasText: "missing" }).first().click();
      await page.keyboard.press("Control+a");
      await page.keyboard.type("int main(void) { return 0; }");
      await person.save();
      await person.command("pipelens: Rerun Failed Steps");
      await person.squiggle().waitFor({ state: "detached" });
      await person.row("compile").filter({ hasText: "succeeded" }).first().waitFor();
    }],
    ["a task runs a step, and ends with it", async () => {
      await person.clearToasts();
      await person.command("Tasks: Run Task");
      const choose = (text) => page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first().click();
      await choose("pipelens");
      await choose("pipeline.yml: hello");
      await person.terminal("[hello] green line").waitFor();
      await person.terminal("press any key").waitFor();
    }],
    ["the server dies during a run: it is started again, and that is said once", async () => {
      await person.clearToasts();
      await person.openFile("pipeline.yml");
      await person.gutter("- key: slow");
      await person.status().filter({ hasText: "slow" }).waitFor();
      process.kill(serverProcess(), "SIGKILL");
      await person.toast("ended unexpectedly").first().waitFor();
      await person.toast("slow").first().waitFor({ state: "detached" });
      assert.equal(await person.toast("").count(), 1, "one message");
      await shoot("recovered");
      await person.lens("Run step").first().waitFor();
      await person.clearToasts();
      await person.gutter("- key: hello");
      await person.lens("✓").first().waitFor();
    }],
    ["the graph is there again after the window was loaded anew", async () => {
      await person.step("hello", "succeeded").waitFor();
      await page.reload({ waitUntil: "domcontentloaded" });
      await person.step("hello", "succeeded").waitFor();
      await person.command("View: Show Pipelines");
      await person.openFile("pipeline.yml");
      await person.gutter("- key: test");
      await person.step("test", "succeeded").waitFor();
      await shoot("restored");
    }],
    ["the button in the gutter runs a step in a container", async () => {
      await person.clearToasts();
      await change({ ...settings, "pipelens.runner": "docker", "pipelens.dockerHost": docker });
      writeFileSync(join(project, "container.pipeline.yml"), DOCKER_PIPELINE);
      await person.row("inside").first().click();
      await page.locator('.tab.active[data-resource-name="container.pipeline.yml"]').waitFor();
      await person.gutter("- key: inside");
      await person.lens("✓").first().waitFor();
      await page.locator(".testing-run-glyph.codicon-testing-passed-icon, .cgmr.codicon-testing-passed-icon").first().waitFor();
      await person.row("inside").filter({ hasText: "succeeded" }).first().waitFor();
      await person.command("pipelens: Show Output of Last Run");
      await person.terminal("inside on docker").waitFor();
      await page.locator(".terminal-wrapper.active .xterm-fg-5", { hasText: "in a container" }).first().waitFor();
      await shoot("container");
      await change(settings);
    }, { needsDocker: true }],
    ["a missing program is one message, and a changed path needs no reload", async () => {
      await person.clearToasts();
      await change({ ...settings, "pipelens.server.path": join(scratch, "missing") });
      const toast = person.toast("cannot find its server");
      await toast.first().waitFor();
      assert.equal(await person.toast("").count(), 1, "one message");
      await person.button(toast.first(), "Open Settings").waitFor();
      await shoot("missing");
      await person.command("pipelens: Restart Server");
      await toast.first().waitFor();
      await change(settings);
      await person.openFile("pipeline.yml");
      await person.lens("Run step").first().waitFor();
    }],

  ];

  async function openLog(step) {
    const row = person.row(step).first();
    await row.hover();
    await row.locator(".action-label[aria-label='Open Log']").click();
    await page.locator(`.tab.active[data-resource-name="${step}.log"]`).waitFor();
    await page.locator(".editor-instance .view-line").first().waitFor();
  }

  /// The server of this workbench: its settings are below the scratch folder.
  function serverProcess() {
    for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        // A build may have replaced the program meanwhile.
        const isServer = readlinkSync(`/proc/${id}/exe`).replace(" (deleted)", "") === server;
        if (isServer && readFileSync(`/proc/${id}/environ`, "utf8").includes(scratch) && readFileSync(`/proc/${id}/cmdline`, "utf8").includes("\0lsp")) {
          return Number(id);
        }
      } catch {
        // It has ended, or belongs to somebody else.
      }
    }
    throw new Error("the server does not run");
  }
}
