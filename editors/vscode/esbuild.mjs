// Bundles the extension and the page of the graph, or, with `--tests`, the tests.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const common = { bundle: true, logLevel: "warning", target: "node20" };
if (process.argv.includes("--tests")) {
  rmSync("dist/test", { recursive: true, force: true });
  const entryPoints = readdirSync("test").filter((name) => name.endsWith(".test.ts")).map((name) => `test/${name}`);
  await build({ ...common, entryPoints, outdir: "dist/test", platform: "node", format: "cjs" });
} else {
  mkdirSync("dist", { recursive: true });
  copyFileSync("../../schemas/pipeline.schema.json", "dist/pipeline.schema.json");
  writeFileSync("dist/project.schema.json", projectSchema());
  copyFileSync("../../CHANGELOG.md", "CHANGELOG.md");
  writeFileSync("LICENSE.txt", ["Licensed under either of the following licenses, at your option.\n", ...["MIT", "APACHE"].map((name) => readFileSync(`../../LICENSE-${name}`, "utf8"))].join("\n"));
  const shared = { ...common, minify: true, sourcemap: "external" };
  // The language client is most of the code. In a file of its own, it is read after the extension is active.
  const extension = { ...shared, entryPoints: ["src/main.ts", "src/client.ts"], outdir: "dist", platform: "node", format: "cjs" };
  await build({ ...extension, external: ["vscode", "./client.js"] });
  await build({ ...shared, entryPoints: ["webview/graph.ts"], outfile: "dist/graph.js", platform: "browser", format: "iife", target: "es2022" });
}

/// Returns the schema of `.pipelens.yaml`: the settings that are neither the machine's nor in a group, which are the user's.
function projectSchema() {
  const settings = JSON.parse(readFileSync("../../schemas/settings.schema.json", "utf8"));
  const properties = Object.entries(settings.properties).filter(([, { scope, $ref }]) => scope === undefined && $ref === undefined);
  const about = { title: "Settings of a project", description: "What a project's `.pipelens.yaml` can set." };
  return JSON.stringify({ ...settings, ...about, properties: Object.fromEntries(properties) });
}
