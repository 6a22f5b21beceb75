// A pipeline that is a program: its lens, a run whose step fails, the edit, the run that succeeds, on this machine and in a container.
import assert from "node:assert/strict";
import { existsSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

const program = (command, more = "") => `import harmont as hm

open("executed", "w").close()


@hm.pipeline("ci")
def ci():
    built = hm.sh("echo built > out", label="build"${more})
    return (
        built.sh("cat out", label="good"),
        built.sh("${command}", label="bad"),
    )
`;

/// Not a program that makes pipelines, although it reads like one.
const OTHER = program("cat missing");

export const files = {
  ".hm/pipeline.py": program("cat missing"),
  "app.py": OTHER,
  "src/app.ts": "export const pipelines = [];\n",
  ".gitignore": ".venv\n",
};

// The text is typed as it is.
export const preferences = { "editor.autoIndent": "none" };

export function stages({ page, person, project, settings, change, shoot, docker }) {
  const bad = page.locator(".view-line", { hasText: 'label="bad"' }).first();
  const needsSdk = { needsSdk: true };
  const runPipeline = () => person.lens("Run pipeline").first().click();
  return [
    ["a program has a lens before it is executed, and other files have none", async () => {
      if (process.env.PIPELENS_TEST_HARMONT) {
        // The folder of the interpreter's environment.
        symlinkSync(dirname(dirname(process.env.PIPELENS_TEST_HARMONT)), join(project, ".venv"));
      }
      await person.openFile("pipeline.py");
      await person.lens("Run pipeline").first().waitFor();
      await page.locator(".editor-actions .action-label[aria-label*='Run']").first().waitFor();
      assert.ok(!existsSync(join(project, "executed")), "opening executes nothing");
      await person.openFile("app.py");
      await bad.waitFor();
      await person.command("View: Show Pipelines");
      await person.row("ci").first().waitFor();
      assert.equal(await person.lens("Run").count(), 0, "another Python file is not sent");
      await person.openFile("app.ts");
      assert.equal(await person.lens("Run").count(), 0, "another TypeScript file is not sent");
      await person.openFile("pipeline.py");
    }],
    ["an untrusted workspace executes nothing", async () => {
      await runPipeline();
      const toast = person.toast("not trusted");
      await toast.first().waitFor();
      assert.ok(!existsSync(join(project, "executed")));
      await person.button(toast.first(), "Manage Trust").click();
      await page.locator(".workspace-trust-editor .monaco-button", { hasText: "Trust" }).first().click();
      await page.locator(".workspace-trust-editor.trusted, .workspace-trust-editor .workspace-trust-header", { hasText: "You trust" }).first().waitFor();
      await page.keyboard.press("Control+F4");
      await person.openFile("pipeline.py");
    }],
    ["the lens runs it, and the step that fails is marked on its expression", async () => {
      await runPipeline();
      await person.squiggle().waitFor();
      await person.lens("failed").or(person.lens("✗")).first().waitFor();
      await person.row("bad").filter({ hasText: "exit 1" }).first().waitFor();
      await person.row("good").filter({ hasText: "succeeded" }).first().waitFor();
      // The mark is on the line of the step.
      const top = async (locator) => (await locator.boundingBox()).y;
      assert.ok(Math.abs((await top(person.squiggle())) - (await top(bad))) < 30, "on the line of the step");
      await page.locator(".testing-run-glyph.codicon-testing-failed-icon, .codicon-testing-failed-icon.cgmr").first().waitFor();
      await shoot("failed");
    }, needsSdk],
    ["the mark goes when the edited step has run again", async () => {
      await person.clearToasts();
      await person.rewrite(program("cat out"));
      // What an edited step will be is known when the program is executed again.
      await page.keyboard.press("Control+S");
      await person.gutter('label="bad"');
      await person.squiggle().waitFor({ state: "detached" });
      await person.row("bad").filter({ hasText: "succeeded" }).first().waitFor();
      await shoot("passed");
    }, needsSdk],
    ["the graph has the steps, and leads to the program", async () => {
      await person.command("pipelens: Show Graph");
      await person.step("bad", "succeeded").waitFor();
      await person.step("build").focus();
      await page.keyboard.press("Enter");
      await page.locator(".statusbar-item", { hasText: "Ln 8," }).first().waitFor();
      await shoot("graph");
    }, needsSdk],
    ["a step of it is a task", async () => {
      await person.clearToasts();
      await person.command("Tasks: Run Task");
      const choose = (text) => page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first().click();
      await choose("pipelens");
      await choose(".hm/pipeline.py: good");
      await person.terminal("[good] built").waitFor();
      await person.terminal("press any key").waitFor();
    }, needsSdk],
    ["it runs in a container", async () => {
      await person.clearToasts();
      await change({ ...settings, "pipelens.runner": "docker", "pipelens.dockerHost": docker });
      await person.openFile("pipeline.py");
      await person.rewrite(program("test -e /bin/busybox && cat out", ', image="pipelens-test/busybox:latest"'));
      await page.keyboard.press("Control+S");
      await person.gutter('label="bad"');
      // Until it has started, the last run is that of the task.
      await person.status().filter({ hasText: "bad" }).locator(".codicon-pass").waitFor();
      await person.command("pipelens: Show Output of Last Run");
      await person.terminal("bad on docker").waitFor();
      await person.terminal("[bad] built").waitFor();
      await person.row("bad").filter({ hasText: "succeeded" }).first().waitFor();
      await shoot("container");
    }, { needsSdk: true, needsDocker: true }],
  ];
}
