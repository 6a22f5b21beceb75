// Renders the programs of a project's `.hm` as the Harmont tools do, and says for each step which part of the program made it.
// The request arrives on standard input; the answer is written to the file that it names.
import { existsSync, readFileSync, readSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import * as modules from "node:module";
import { basename, dirname, join, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

const request = JSON.parse(readRequest());
const root = resolve(request.root) + sep;
const PLACE = Symbol("place");
const places = [];
const temporary = [];

function readRequest() {
  let length = "";
  const byte = Buffer.alloc(1);
  while (!length.endsWith("\n")) {
    if (readSync(0, byte, 0, 1, null) === 0) process.exit(1);
    length += byte.toString();
  }
  const bytes = Buffer.alloc(Number(length));
  for (let at = 0; at < bytes.length; ) {
    const count = readSync(0, bytes, at, bytes.length - at, null);
    if (count === 0) process.exit(1);
    at += count;
  }
  return bytes.toString("utf8");
}

/** Ends this process and all it has started when the other end of standard input is closed. */
function endWithInput() {
  const wait = `
    const { readSync } = require("node:fs");
    const bytes = Buffer.alloc(4096);
    try { while (readSync(0, bytes, 0, bytes.length, null) > 0); } catch {}
    try { process.kill(-process.pid, "SIGKILL"); } catch { process.kill(process.pid, "SIGKILL"); }`;
  try {
    new Worker(wait, { eval: true }).unref();
  } catch {
    // Without it, the process ends at its time limit.
  }
}

/** A call site in one of the project's own files: path, line from one, column from zero in bytes. */
function placeOf(site) {
  let file = site.getFileName?.() ?? site.getScriptNameOrSourceURL?.();
  if (typeof file !== "string") return null;
  if (file.startsWith("file:")) file = fileURLToPath(file.replace(/\?.*$/, ""));
  const shown = temporary.find((one) => one.path === file)?.program ?? file;
  if (!shown.startsWith(root) || shown.includes(`${sep}node_modules${sep}`)) return null;
  let line = site.getLineNumber();
  let column = site.getColumnNumber();
  const map = process.versions.bun || process.versions.deno ? undefined : modules.findSourceMap?.(file);
  const entry = map?.findEntry(line - 1, column - 1);
  if (entry?.originalLine !== undefined) {
    line = entry.originalLine + 1;
    column = entry.originalColumn + 1;
  }
  const text = textOf(shown).split("\n")[line - 1] ?? "";
  return [shown, line, Buffer.byteLength(text.slice(0, column - 1)), null, null];
}

const texts = new Map();
function textOf(file) {
  if (!texts.has(file)) {
    let text = request.texts[file];
    if (text === undefined) {
      try {
        text = readFileSync(file, "utf8");
      } catch {
        text = "";
      }
    }
    texts.set(file, text);
  }
  return texts.get(file);
}

function sitesOf(error) {
  const before = Error.prepareStackTrace;
  const limit = Error.stackTraceLimit;
  try {
    Error.stackTraceLimit = 50;
    Error.prepareStackTrace = (_, sites) => sites;
    const holder = error ?? {};
    if (!error) Error.captureStackTrace(holder);
    return Array.isArray(holder.stack) ? holder.stack : [];
  } finally {
    Error.prepareStackTrace = before;
    Error.stackTraceLimit = limit;
  }
}

/**
 * Every step is made from an object that may say `isWait`, and mostly does not: then its prototype is asked. The environment takes the number of
 * the place along to the graph, and a symbol is never part of JSON.
 */
function watchSteps() {
  Object.defineProperty(Object.prototype, "isWait", {
    configurable: true,
    get() {
      if (Object.hasOwn(this, "cmd") && Object.hasOwn(this, "parent") && typeof this.cmd === "string") {
        const found = sitesOf().map(placeOf).filter((place) => place !== null);
        this.env = { ...this.env, [PLACE]: places.push(found) - 1 };
      }
      return undefined;
    },
    set(value) {
      Object.defineProperty(this, "isWait", { value, configurable: true, enumerable: true, writable: true });
    },
  });
}

/** Writes the text of an editor next to its file, where imports find what they find from there. */
function fileWith(program) {
  const text = request.texts[program];
  if (text === undefined || (existsSync(program) && readFileSync(program, "utf8") === text)) return program;
  const path = join(dirname(program), `.pipelens-${process.pid}-${basename(program)}`);
  writeFileSync(path, text, { flag: "wx" });
  temporary.push({ path, program });
  return path;
}

function removeTemporary() {
  for (const { path } of temporary) rmSync(path, { force: true });
}

async function answered() {
  const folder = dirname(request.program);
  const name = basename(request.program);
  const names = new Set(readdirSync(folder).filter((file) => /^[^.].*\.m?ts$/.test(file) && !file.endsWith(".d.ts")));
  names.add(name);
  let sdk;
  try {
    sdk = await import(pathToFileURL(modules.createRequire(request.program).resolve("@harmont/hm")).href);
  } catch (error) {
    if (/Cannot find (module|package)|MODULE_NOT_FOUND|could not resolve/i.test(String(error?.message))) {
      const found = folderOfSdk(folder);
      if (!found) return { noSdk: String(error.message), version: process.version };
      sdk = await import(pathToFileURL(found).href);
    } else {
      throw error;
    }
  }
  watchSteps();
  const definitions = [];
  let own = [0, 0];
  for (const file of [...names].sort()) {
    const before = definitions.length;
    const module = await import(pathToFileURL(fileWith(join(folder, file))).href);
    const made = module.default ?? module.pipelines;
    if (Array.isArray(made)) definitions.push(...made);
    else if (made) definitions.push(made);
    if (file === name) own = [before, definitions.length];
  }
  const mine = definitions.slice(...own);
  const made = mine.map((definition) => ({
    declared: null,
    steps: (definition.pipeline?.graph?.nodes ?? []).map((node) => places[node.env?.[PLACE]] ?? []),
  }));
  return { envelope: sdk.renderEnvelope(mine, { basePath: resolve(request.root) }), made, notices: [] };
}

/** A package for modules only cannot be found by `require`. */
function folderOfSdk(folder) {
  for (let at = folder; ; at = dirname(at)) {
    const manifest = join(at, "node_modules", "@harmont", "hm", "package.json");
    if (existsSync(manifest)) {
      const main = JSON.parse(readFileSync(manifest, "utf8")).exports?.["."];
      const path = typeof main === "string" ? main : (main?.import ?? main?.default ?? "./index.js");
      return join(dirname(manifest), typeof path === "string" ? path : "./index.js");
    }
    if (dirname(at) === at) return null;
  }
}

function failure(error) {
  process.stderr.write(`${error?.stack ?? error}\n`);
  const frames = error instanceof Error ? framesOf(error) : [];
  const kind = error instanceof Error ? error.name : "";
  return { failure: { kind, message: String(error?.message ?? error).slice(0, 4000), frames } };
}

/** The stack of an error that was thrown is text; its parts are the same in every runtime. Innermost last. */
function framesOf(error) {
  const frames = [];
  for (const line of String(error.stack ?? "").split("\n")) {
    const found = /(?:\(|at |@)((?:file:\/\/)?\/[^()]+?):(\d+):(\d+)\)?$/.exec(line.trim());
    if (!found) continue;
    const [, file, row, column] = found;
    const site = {
      getFileName: () => file.replace(/^async /, ""),
      getLineNumber: () => Number(row),
      getColumnNumber: () => Number(column),
      isMapped: true,
    };
    const place = placeOfMapped(site);
    if (place) frames.unshift(place);
  }
  return frames;
}

function placeOfMapped(site) {
  const find = modules.findSourceMap;
  if (!find) return placeOf(site);
  // What a runtime prints is mapped already.
  let file = site.getFileName();
  if (file.startsWith("file:")) file = fileURLToPath(file.replace(/\?.*$/, ""));
  const shown = temporary.find((one) => one.path === file)?.program ?? file;
  if (!shown.startsWith(root) || shown.includes(`${sep}node_modules${sep}`)) return null;
  const text = textOf(shown).split("\n")[site.getLineNumber() - 1] ?? "";
  return [shown, site.getLineNumber(), Buffer.byteLength(text.slice(0, site.getColumnNumber() - 1)), null, null];
}

endWithInput();
let answer;
try {
  answer = await answered();
} catch (error) {
  answer = failure(error);
} finally {
  removeTemporary();
}
writeFileSync(`${request.answer}.part`, JSON.stringify(answer));
renameSync(`${request.answer}.part`, request.answer);
// `process.exit` would wait for the thread that reads standard input.
process.kill(process.pid, "SIGKILL");
