// A file with several pipelines, whose steps have the same keys: what is meant is what is at the cursor.
const pipeline = (name) => `name: ${name}
steps:
  - key: build
    cmd: echo built ${name}
  - key: test
    cmd: echo tested ${name}
`;

export const files = { "two.pipeline.yml": `${pipeline("first")}---\n${pipeline("second")}` };
export const preferences = { "security.workspace.trust.enabled": false };

export function stages({ page, person, shoot }) {
  const put = (text) => page.locator(".editor-instance .view-line", { hasText: text }).last().click();
  const output = async (text) => {
    await person.command("pipelens: Show Output of Last Run");
    await person.terminal(text).waitFor();
  };
  const choose = (text) => page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first().click();
  return [
    ["the pipeline at the cursor runs", async () => {
      await person.openFile("two.pipeline.yml");
      await person.lens("Run pipeline").first().waitFor();
      await put("name: second");
      await person.command("pipelens: Run Pipeline");
      await person.status().filter({ hasText: "second" }).locator(".codicon-pass").waitFor();
      await output("[test] tested second");
    }],
    ["so does the step at the cursor, wherever the focus is", async () => {
      await put("echo tested second");
      await person.command("pipelens: Show Output of the Server");
      await page.locator(".part.panel .monaco-editor").first().waitFor();
      await person.command("pipelens: Run Step at Cursor");
      await person.status().filter({ hasText: "second · test" }).locator(".codicon-pass").waitFor();
    }],
    ["above the steps, the step is asked for", async () => {
      await person.openFile("two.pipeline.yml");
      await put("name: second");
      await person.command("pipelens: Run Step at Cursor");
      await page.locator(".quick-input-list .monaco-list-row", { hasText: "build" }).nth(1).waitFor();
      await shoot("asked");
      await choose("first");
      await person.status().filter({ hasText: "first · build" }).locator(".codicon-pass").waitFor();
    }],
    ["tasks tell the pipelines apart", async () => {
      await person.clearToasts();
      await person.command("Tasks: Run Task");
      await choose("pipelens");
      await choose("two.pipeline.yml: second: build");
      await person.terminal("[build] built second").waitFor();
      await person.terminal("press any key").waitFor();
    }],
  ];
}
