// A project without a pipeline: the view offers to make one.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const files = { Makefile: "all:\n\techo built\n\ntest:\n\techo tested\n" };
export const preferences = { "security.workspace.trust.enabled": false };

export function stages({ page, person, project, shoot }) {
  return [
    ["the view offers to create a pipeline, which then is in it", async () => {
      await page.locator(".activitybar a[aria-label^='Pipelines']").first().click();
      const button = page.locator(".pane-body .welcome-view .monaco-button", { hasText: "Create Pipeline" });
      await button.first().waitFor();
      await shoot("welcome");
      await button.first().click();
      await person.terminal("pipeline.yml").waitFor();
      await person.row("pipeline.yml").first().waitFor();
      await page.locator('.tab.active[data-resource-name="pipeline.yml"]').waitFor();
      await shoot("created");
      assert.match(readFileSync(join(project, "pipeline.yml"), "utf8"), /make/);
    }],
  ];
}
