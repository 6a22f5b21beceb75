// What a person does with the extension, in the real workbench: node scenario.mjs NAME [SHOTS]
// NAME is that of a file of stages beside this one, such as `using`; SHOTS is a folder for screenshots.
// PIPELENS is the server's program, PIPELENS_TOOLS the folder with code-server, PIPELENS_CHROMIUM the browser, PIPELENS_PATH further programs.
// PIPELENS_TEST_DOCKER_HOST is a Docker daemon with the tests' images, PIPELENS_TEST_HARMONT a Python with the Harmont SDK. Stages that lack something are skipped, which is said.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { hands, open } from "./workbench.mjs";

const [, , name, shots] = process.argv;
const { files, preferences, stages } = await import(`./${name}.mjs`);

const server = process.env.PIPELENS;
const docker = process.env.PIPELENS_TEST_DOCKER_HOST;
// The home folder is another one, and cargo has to find what is in the user's own.
const environment = {
  CARGO_HOME: process.env.CARGO_HOME ?? join(homedir(), ".cargo"),
  RUSTUP_HOME: process.env.RUSTUP_HOME ?? join(homedir(), ".rustup"),
  PATH: [process.env.PIPELENS_PATH, process.env.PATH].filter((path) => path).join(delimiter),
};
const settings = {
  "pipelens.server.path": server,
  "pipelens.runner": "host",
  "pipelens.allowHostRunner": true,
  "pipelens.hostEnv": ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"],
};
const scratch = mkdtempSync(join(process.env.PIPELENS_SCRATCH ?? tmpdir(), "workbench-"));
const project = join(scratch, "project");
for (const [path, text] of Object.entries(files)) {
  mkdirSync(dirname(join(project, path)), { recursive: true });
  writeFileSync(join(project, path), text);
}
if (shots !== undefined) {
  mkdirSync(shots, { recursive: true });
}

const began = Date.now();
const workbench = await open({ tools: process.env.PIPELENS_TOOLS, chromium: process.env.PIPELENS_CHROMIUM, scratch, project, settings, preferences, environment });
const { page } = workbench;
let number = 0;
const shoot = async (title) => {
  if (shots !== undefined) {
    number += 1;
    await page.screenshot({ path: join(shots, `${name}-${number}-${title}.png`) });
  }
};
const has = (program) => environment.PATH.split(delimiter).some((folder) => existsSync(join(folder, program)));

let changes = 0;
/// Changes the settings, and waits until the editor has read them: the title of the window is one of them.
const change = async (settings) => {
  changes += 1;
  const title = `settings ${changes}`;
  workbench.settings({ ...settings, "window.title": title });
  await page.waitForFunction((title) => document.title.includes(title), title);
};

const counts = { passed: 0, failed: 0, skipped: 0 };
const all = stages({ page, person: hands(page), project, scratch, settings, change, shoot, server, docker });
for (const [title, act, { programs = [], needsDocker = false, needsSdk = false } = {}] of all) {
  const missing = programs.filter((program) => !has(program));
  const withoutSdk = needsSdk && !process.env.PIPELENS_TEST_HARMONT ? "PIPELENS_TEST_HARMONT names no Python with the Harmont SDK" : undefined;
  const lacks = withoutSdk ?? (needsDocker && docker === undefined ? "there is no Docker daemon for tests" : missing.length > 0 ? `${missing.join(", ")} not found` : undefined);
  if (lacks !== undefined) {
    counts.skipped += 1;
    console.log(`skipped: ${title} (${lacks})`);
    continue;
  }
  const start = Date.now();
  try {
    await act();
  } catch (error) {
    counts.failed += 1;
    await shoot("FAIL");
    console.log(`FAILED: ${title}\n${error.stack}\n${workbench.logs()}`);
    break;
  }
  counts.passed += 1;
  console.log(`passed: ${title} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
}
const notReached = all.length - counts.passed - counts.failed - counts.skipped;
const rest = notReached === 0 ? "" : `, ${notReached} not reached`;
// A step may wait for it.
writeFileSync(join(project, "go"), "");
await workbench.close();
rmSync(scratch, { recursive: true, force: true });
console.log(`${name}: ${counts.passed} stages passed, ${counts.failed} failed, ${counts.skipped} skipped${rest} in ${((Date.now() - began) / 1000).toFixed(0)} s`);
process.exitCode = counts.failed === 0 ? 0 : 1;
