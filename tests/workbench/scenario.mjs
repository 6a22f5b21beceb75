// What a person does with the extension, in the real workbench: node scenario.mjs SHOTS
// PIPELENS is the server's program, PIPELENS_TOOLS the folder with code-server, PIPELENS_CHROMIUM the browser.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hands, open } from "./workbench.mjs";

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

const shots = process.argv[2];
const server = process.env.PIPELENS;
const settings = { "pipelens.server.path": server, "pipelens.runner": "host", "pipelens.allowHostRunner": true };
const scratch = mkdtempSync(join(process.env.PIPELENS_SCRATCH ?? tmpdir(), "workbench-"));
const project = join(scratch, "project");
mkdirSync(project);
writeFileSync(join(project, "pipeline.yml"), PIPELINE);
writeFileSync(join(project, "main.c"), SOURCE);
if (shots !== undefined) {
  mkdirSync(shots, { recursive: true });
}

const workbench = await open({ tools: process.env.PIPELENS_TOOLS, chromium: process.env.PIPELENS_CHROMIUM, scratch, project, settings });
const { page } = workbench;
const person = hands(page);
const began = Date.now();
let number = 0;

const stages = [
  ["a mistake is marked, and its fix applied", async () => {
    await person.openFile("pipeline.yml");
    const squiggle = page.locator(".monaco-editor .squiggly-error");
    await squiggle.first().waitFor();
    await page.locator(".view-line", { hasText: "builds_in" }).first().click();
    await page.keyboard.press("End");
    await page.keyboard.press("Control+.");
    await page.locator(".action-widget .monaco-list-row", { hasText: "compile" }).first().click();
    await squiggle.first().waitFor({ state: "detached" });
    await save();
    assert.match(readFileSync(join(project, "pipeline.yml"), "utf8"), /builds_in: compile\n/);
  }],
  ["an untrusted workspace refuses, in one message with the button that helps", async () => {
    // For the buttons in the gutter, VS Code asks by itself.
    await person.lens("Run step").first().click();
    const toast = person.toast("not trusted");
    await toast.first().waitFor();
    assert.equal(await person.toast("").count(), 1, "one message");
    await shoot("untrusted");
    await person.button(toast.first(), "Manage Trust").click();
    await page.locator(".workspace-trust-editor .monaco-button", { hasText: "Trust" }).first().click();
    await page.locator(".workspace-trust-editor.trusted, .workspace-trust-editor .workspace-trust-header", { hasText: "You trust" }).first().waitFor();
    await page.keyboard.press("Control+F4");
    await person.openFile("pipeline.yml");
  }],
  ["the button in the gutter runs a step, and its output has colours", async () => {
    await person.command("View: Show Pipelines");
    await gutter("- key: hello").click();
    await person.lens("✓").first().waitFor();
    await page.locator(".testing-run-glyph.codicon-testing-passed-icon, .cgmr.codicon-testing-passed-icon").first().waitFor();
    await person.command("pipelens: Show Output of Last Run");
    await person.terminal("[hello] green line").waitFor();
    await page.locator(".terminal-wrapper.active .xterm-fg-2", { hasText: "green line" }).first().waitFor();
  }],
  ["the view, the status bar and the graph follow a run, which its notification cancels", async () => {
    await person.row("hello").filter({ hasText: "succeeded" }).first().waitFor();
    await person.command("pipelens: Show Graph");
    await step("hello", "succeeded").waitFor();
    await page.locator('.tab[data-resource-name="pipeline.yml"]').first().click();
    await gutter("- key: slow").click();
    await step("slow", "running").waitFor();
    await person.row("slow").filter({ hasText: "running" }).first().waitFor();
    await person.status().filter({ hasText: "slow" }).waitFor();
    await shoot("running");
    const progress = person.toast("slow");
    await person.button(progress.first(), "Cancel").click();
    await step("slow", "cancelled").waitFor();
    await person.row("slow").filter({ hasText: "cancelled" }).first().waitFor();
    await person.lens("cancelled").first().waitFor();
    await progress.filter({ hasText: "running" }).waitFor({ state: "detached" });
  }],
  ["the graph can be used with the keyboard, and leads to the text", async () => {
    await step("compile").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.locator(".view-line", { hasText: "key: test" }).first().waitFor();
    await page.locator(".statusbar-item", { hasText: "Ln 9," }).first().waitFor();
  }],
  ["a failing compiler marks the line of the source", async () => {
    await clear();
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
    await page.locator(".monaco-editor .squiggly-error").first().waitFor();
    await shoot("source");
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
    await save();
    await person.command("pipelens: Rerun Failed Steps");
    await page.locator(".monaco-editor .squiggly-error").first().waitFor({ state: "detached" });
    await person.row("compile").filter({ hasText: "succeeded" }).first().waitFor();
  }],
  ["a task runs a step, and ends with it", async () => {
    await clear();
    await person.command("Tasks: Run Task");
    const choose = (text) => page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first().click();
    await choose("pipelens");
    await choose("pipeline.yml: hello");
    await person.terminal("[hello] green line").waitFor();
    await person.terminal("press any key").waitFor();
  }],
  ["the server dies during a run: it is started again, and that is said once", async () => {
    await clear();
    await person.openFile("pipeline.yml");
    await gutter("- key: slow").click();
    await person.status().filter({ hasText: "slow" }).waitFor();
    process.kill(serverProcess(), "SIGKILL");
    await person.toast("ended unexpectedly").first().waitFor();
    await person.toast("slow").first().waitFor({ state: "detached" });
    assert.equal(await person.toast("").count(), 1, "one message");
    await shoot("recovered");
    await person.lens("Run step").first().waitFor();
    await clear();
    await gutter("- key: hello").click();
    await person.lens("✓").first().waitFor();
  }],
  ["a missing program is one message, and a changed path needs no reload", async () => {
    await clear();
    workbench.settings({ ...settings, "pipelens.server.path": join(scratch, "missing") });
    const toast = person.toast("cannot find its server");
    await toast.first().waitFor();
    assert.equal(await person.toast("").count(), 1, "one message");
    await person.button(toast.first(), "Open Settings").waitFor();
    await shoot("missing");
    await person.command("pipelens: Restart Server");
    await toast.first().waitFor();
    workbench.settings(settings);
    await person.openFile("pipeline.yml");
    await person.lens("Run step").first().waitFor();
  }],
];

try {
  for (const [name, stage] of stages) {
    await stage();
    console.log(`${((Date.now() - began) / 1000).toFixed(1)} s: ${name}`);
  }
  console.log("PASS");
} catch (error) {
  await shoot("FAIL");
  console.log(`FAIL\n${error.stack}\n${workbench.logs()}`);
  process.exitCode = 1;
}
writeFileSync(join(project, "go"), "");
await workbench.close();
rmSync(scratch, { recursive: true, force: true });

async function shoot(name) {
  if (shots !== undefined) {
    number += 1;
    await page.screenshot({ path: join(shots, `${number}-${name}.png`) });
  }
}

async function save() {
  await page.locator(".tab.active.dirty").waitFor();
  await page.keyboard.press("Control+s");
  await page.locator(".tab.active.dirty").waitFor({ state: "detached" });
}

async function clear() {
  await person.command("Notifications: Clear All Notifications");
  await page.locator(".notifications-toasts .notification-list-item").first().waitFor({ state: "detached" });
}

/// The button beside a line.
function gutter(text) {
  const line = page.locator(".view-line", { hasText: text }).first();
  return {
    async click() {
      await page.locator(".testing-run-glyph").first().waitFor();
      const box = await line.boundingBox();
      const glyphs = page.locator(".testing-run-glyph");
      for (let index = 0; index < (await glyphs.count()); index += 1) {
        const glyph = await glyphs.nth(index).boundingBox();
        if (glyph !== null && Math.abs(glyph.y - box.y) < 5) {
          await glyphs.nth(index).click();
          return;
        }
      }
      throw new Error(`no button beside ${text}`);
    },
  };
}

/// A step of the graph.
function step(key, state) {
  const wanted = state === undefined ? "" : `[data-state="${state}"]`;
  return page.frameLocator("iframe.webview.ready").frameLocator("#active-frame").locator(`g[data-step="${key}"]${wanted}`);
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
