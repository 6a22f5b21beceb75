// Bundles the extension and the page of the graph, or, with `--tests`, the tests.
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { build } from "esbuild";

const common = { bundle: true, logLevel: "warning", target: "node20" };
if (process.argv.includes("--tests")) {
  rmSync("dist/test", { recursive: true, force: true });
  const entryPoints = readdirSync("test").filter((name) => name.endsWith(".test.ts")).map((name) => `test/${name}`);
  await build({ ...common, entryPoints, outdir: "dist/test", platform: "node", format: "cjs" });
} else {
  mkdirSync("dist", { recursive: true });
  copyFileSync("../../schemas/pipeline.schema.json", "dist/pipeline.schema.json");
  const shared = { ...common, minify: true, sourcemap: "external" };
  // The language client is most of the code. In a file of its own, it is read after the extension is active.
  const extension = { ...shared, entryPoints: ["src/main.ts", "src/client.ts"], outdir: "dist", platform: "node", format: "cjs" };
  await build({ ...extension, external: ["vscode", "./client.js"] });
  await build({ ...shared, entryPoints: ["webview/graph.ts"], outfile: "dist/graph.js", platform: "browser", format: "iife", target: "es2022" });
}
