import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, test } from "node:test";
import type { PipelineNode, RunEvent, StepNode, StepState } from "../src/protocol";
import { findServer, type Places } from "../src/pure/binary";
import { failedRun, pipelineAt, stepAt } from "../src/pure/cursor";
import { isPlace, page, statesOf, withoutStyle } from "../src/pure/graph";
import { candidates, linksIn } from "../src/pure/links";
import { nearest } from "../src/pure/nearest";
import { Backlog, Writer } from "../src/pure/output";
import { documents, globsOf, programGlobs } from "../src/pure/programs";
import { pipelineRef, refIndex } from "../src/pure/references";
import { helpFor, refusalOf } from "../src/pure/refusal";
import { leaves, selected, type Tree } from "../src/pure/selection";
import { clock, duration, iconOf, newestRun, stateOf, time, withoutRunning, words } from "../src/pure/words";

const scratch = mkdtempSync(join(tmpdir(), "pipelens-"));
after(() => { rmSync(scratch, { recursive: true }); });

function program(...path: string[]): string {
  const file = join(scratch, ...path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, "#!/bin/sh\n");
  chmodSync(file, 0o755);
  return file;
}

function places(changes: Partial<Places>): Places {
  return { configured: "", extension: join(scratch, "none"), path: "", workspaces: [], platform: "linux", ...changes };
}

function state(word: string, changes: Partial<StepState> = {}): StepState {
  return { runId: "1", state: word, phase: null, durationMs: 1200, exitCode: null, log: null, artifacts: null, shell: null, ...changes };
}

function step(key: string, line: number, changes: Partial<StepNode> = {}): StepNode {
  return { key, label: null, position: { line, character: 2 }, state: null, prediction: null, entries: [], ...changes };
}

function pipeline(steps: StepNode[], changes: Partial<PipelineNode> = {}): PipelineNode {
  return { uri: "file:///p/pipeline.yml", pipeline: 0, name: "ci", position: { line: 0, character: 0 }, steps, runs: [], ...changes };
}

const HEAD = { version: 1, runId: "1", uri: "file:///p/pipeline.yml" };

test("the program in the settings comes first, and one that is missing is not replaced by another", () => {
  const own = program("own", "pipelens");
  const bundled = join(scratch, "extension");
  program("extension", "bin", "pipelens");
  assert.deepEqual(findServer(places({ configured: own, extension: bundled })), { path: own });
  assert.deepEqual(findServer(places({ extension: bundled })), { path: join(bundled, "bin", "pipelens") });
  const missing = findServer(places({ configured: join(scratch, "nothing"), extension: bundled }));
  assert.match("missing" in missing ? missing.missing : "", /nothing`, the path in the settings, is not a program/);
});

test("a folder is not a program, and neither is a file that is not executable", () => {
  mkdirSync(join(scratch, "folder", "pipelens"), { recursive: true });
  const file = program("text", "pipelens");
  chmodSync(file, 0o644);
  const path = [join(scratch, "folder"), join(scratch, "text")].join(delimiter);
  assert.deepEqual(findServer(places({ path })), { missing: "there is no `pipelens` on the PATH" });
});

test("a program of the workspace is never started, not even through a link", () => {
  const inside = program("workspace", "bin", "pipelens");
  const outside = program("usr", "bin", "pipelens");
  mkdirSync(join(scratch, "links"));
  symlinkSync(inside, join(scratch, "links", "pipelens"));
  const workspaces = [join(scratch, "workspace")];
  const folders = [join(scratch, "workspace", "bin"), join(scratch, "links")];
  assert.ok("missing" in findServer(places({ path: folders.join(delimiter), workspaces })));
  const all = [...folders, join(scratch, "usr", "bin")].join(delimiter);
  assert.deepEqual(findServer(places({ path: all, workspaces })), { path: outside });
  // A relative directory of the PATH would depend on the folder.
  assert.ok("missing" in findServer(places({ path: "bin" })));
});

test("a refusal has the button that helps", () => {
  assert.deepEqual(helpFor({ help: "trust" }), { title: "Manage Trust", command: "workbench.trust.manage" });
  assert.deepEqual(helpFor({ help: "setting", setting: "pipelens.allowHostRunner" }), { title: "Settings", setting: "pipelens.allowHostRunner" });
});

test("what helps is what the server's error says, and nothing else is taken for it", () => {
  const error = (data: unknown): Error => Object.assign(new Error("refused"), { data });
  assert.deepEqual(refusalOf(error({ help: "trust" })), { help: "trust" });
  assert.deepEqual(refusalOf(error({ help: "setting", setting: "pipelens.allowSecrets" })), { help: "setting", setting: "pipelens.allowSecrets" });
  for (const other of [undefined, new Error("refused"), error(null), error("trust"), error({}), error({ help: "setting" }), error({ help: "other" })]) {
    assert.equal(refusalOf(other), undefined);
  }
});

test("durations are short, and a running clock moves on by itself", () => {
  assert.deepEqual([320, 3200, 125_000].map(duration), ["320 ms", "3.2 s", "02:05"]);
  assert.deepEqual([0, 65_000, 3_723_000].map(clock), ["00:00", "01:05", "1:02:03"]);
  assert.equal(time("running", 4000, 2500), "00:06");
  assert.equal(time("succeeded", 4000, 2500), "4.0 s");
  assert.equal(time("skipped", 0, 0), undefined);
  assert.equal(time("running", null, 0), undefined);
});

test("every state has words and an icon of its own kind", () => {
  assert.equal(words("failed", 3), "exit 3");
  assert.equal(words("failed", null), "failed");
  assert.equal(words("timedOut"), "timed out");
  assert.equal(iconOf("failed").icon, "error");
  assert.equal(iconOf(undefined).icon, "circle-outline");
});

test("a step with a matrix is as its worst combination is", () => {
  const entry = (word: string): StepNode => step(word, 1, { state: state(word) });
  assert.equal(stateOf(step("a", 1, { entries: [entry("succeeded"), entry("failed"), entry("cached")] }))?.state, "failed");
  assert.equal(stateOf(step("a", 1, { entries: [entry("failed"), entry("running")] }))?.state, "running");
  assert.equal(stateOf(step("a", 1, { entries: [step("b", 1)] })), null);
  assert.equal(stateOf(step("a", 1, { state: state("skipped") }))?.state, "skipped");
});

test("the step at the cursor is the last that begins there or above", () => {
  const all = [pipeline([step("a", 3), step("b", 7)]), pipeline([step("c", 12)], { pipeline: 1 })];
  assert.equal(stepAt(all, 2), undefined);
  assert.deepEqual([3, 6, 7, 11, 99].map((line) => stepAt(all, line)?.step.key), ["a", "a", "b", "b", "c"]);
  assert.equal(stepAt(all, 99)?.pipeline.pipeline, 1);
});

test("of several pipelines in a file, the one at the cursor is meant", () => {
  const second = pipeline([step("b", 8)], { pipeline: 1, position: { line: 6, character: 0 } });
  const all = [pipeline([step("a", 3)], { position: { line: 1, character: 0 } }), second];
  assert.deepEqual([0, 1, 5, 6, 7, 9].map((line) => pipelineAt(all, line)?.pipeline), [0, 0, 0, 1, 1, 1]);
  assert.deepEqual([2, 5, 6, 7, 8].map((line) => stepAt(all, line)?.step.key), [undefined, "a", undefined, undefined, "b"]);
  assert.equal(pipelineAt([], 3), undefined);
});

test("a pipeline is named only where its file has several, and by its index where names are the same", () => {
  const named = (...names: string[]): PipelineNode[] => names.map((name, index) => pipeline([], { name, pipeline: index }));
  assert.equal(pipelineRef(named("a"), 0), undefined);
  assert.deepEqual([0, 1].map((index) => pipelineRef(named("a", "b"), index)), ["a", "b"]);
  assert.deepEqual([0, 1, 2].map((index) => pipelineRef(named("a", "a", "b"), index)), [0, 1, "b"]);
  assert.equal(refIndex(named("a", "b"), "b"), 1);
  assert.deepEqual([1, "gone", undefined].map((ref) => refIndex(named("a", "b"), ref)), [1, "gone", undefined]);
});

test("a selection runs each thing once, and leaves out what is excluded below it", () => {
  // `p` is a pipeline, `p/a` a step of it, `p/a/1` a combination.
  const all = ["p", "p/a", "p/a/1", "p/a/2", "p/b", "q"];
  const parent = (id: string): string | undefined => (id.includes("/") ? id.slice(0, id.lastIndexOf("/")) : undefined);
  const tree: Tree<string> = { parent, children: (id) => all.filter((other) => parent(other) === id) };
  assert.deepEqual(selected(["p", "q"], [], tree), ["p", "q"]);
  assert.deepEqual(selected(["p/b", "p", "p/a/1"], [], tree), ["p"]);
  assert.deepEqual(selected(["p", "q"], ["p/a/2"], tree), ["p/a/1", "p/b", "q"]);
  assert.deepEqual(selected(["p", "q"], ["p"], tree), ["q"]);
  assert.deepEqual(selected(["p/a/1"], ["p/a"], tree), []);
  assert.deepEqual(leaves(["p", "q"], tree), ["p/a/1", "p/a/2", "p/b", "q"]);
});

test("what is run again is the newest run with something left to do", () => {
  const run = (runId: string, word: string) => ({ runId, title: "ci", state: word, durationMs: 1, isOwn: true, steps: { a: state(word) }, artifacts: null });
  const all = [pipeline([], { runs: [run("04", "succeeded"), run("02", "failed")] }), pipeline([], { runs: [run("03", "skipped"), run("01", "failed")] })];
  assert.equal(failedRun(all)?.runId, "03");
  assert.equal(failedRun([pipeline([], { runs: [run("04", "cached")] })]), undefined);
});

test("when the server has ended, nothing runs", () => {
  const steps = { a: state("running", { phase: "pulling" }), b: state("failed") };
  const run = { runId: "1", title: "ci", state: "running", durationMs: 1, isOwn: true, steps, artifacts: null };
  const entries = [step("a (1)", 1, { state: state("queued") })];
  const ended = withoutRunning(pipeline([step("a", 1, { state: steps.a, entries })], { runs: [run] }));
  assert.deepEqual([ended.runs[0]?.state, ended.runs[0]?.steps["a"]?.state, ended.runs[0]?.steps["b"]?.state], ["cancelled", "cancelled", "failed"]);
  assert.deepEqual([ended.steps[0]?.state?.state, ended.steps[0]?.state?.phase, ended.steps[0]?.entries[0]?.state?.state], ["cancelled", null, "cancelled"]);
});

test("the newest run is found by its id", () => {
  const run = (runId: string) => ({ runId, title: "ci", state: "succeeded", durationMs: 1, isOwn: true, steps: {}, artifacts: null });
  assert.equal(newestRun([pipeline([], { runs: [run("02")] }), pipeline([], { runs: [run("03"), run("01")] })])?.run.runId, "03");
  assert.equal(newestRun([]), undefined);
});

test("output has the colours of its steps, and lines end for a terminal", () => {
  const writer = new Writer();
  const log = (step: string, text: string): RunEvent => ({ ...HEAD, kind: "stepLog", step, lines: [{ stream: "stdout", time: "", text }] });
  assert.equal(writer.write(log("a", "\u001b[32mgreen")), "\u001b[36m[a]\u001b[0m \u001b[32mgreen\u001b[0m\r\n");
  assert.ok(writer.write(log("b", "x")).startsWith("\u001b[35m[b]"));
  assert.ok(writer.write(log("a", "x")).startsWith("\u001b[36m[a]"));
  const end: RunEvent = { ...HEAD, kind: "stepEnd", step: "a", outcome: "failed", exitCode: 3, reason: null, durationMs: 1500, logFile: "" };
  assert.match(writer.write(end), /✗ exit 3.* 1\.5 s/);
  assert.equal(writer.write({ ...HEAD, kind: "stepQueued", step: "a" }), "");
});

test("what a hidden terminal keeps is limited, and it says so", () => {
  const backlog = new Backlog(10);
  backlog.add("aaaaa");
  backlog.add("bbbbb");
  assert.equal(backlog.take(), "aaaaabbbbb");
  backlog.add("aaaaa");
  backlog.add("bbbbbbbb");
  assert.match(backlog.take(), /earlier lines are in the log.*\r\nbbbbbbbb$/);
  assert.equal(backlog.take(), "");
});

test("places in files are found as tools print them", () => {
  const found = (text: string) => linksIn(text).map(({ path, line, column }) => [path, line, column]);
  assert.deepEqual(found("[build]   --> src/main.rs:10:5"), [["src/main.rs", 10, 5]]);
  assert.deepEqual(found("main.c:2: error"), [["main.c", 2, 1]]);
  assert.deepEqual(found("src/a.ts(3,7): error TS1"), [["src/a.ts", 3, 7]]);
  assert.deepEqual(found('  File "tests/a b.py", line 4, in f'), [["tests/a b.py", 4, 1]]);
  assert.deepEqual(found("see https://example.org:80 at 12:30:01"), []);
  const [link] = linksIn("in a.c:1:2 now");
  assert.equal("in a.c:1:2 now".slice(link?.start, (link?.start ?? 0) + (link?.length ?? 0)), "a.c:1:2");
});

test("a printed path is looked for without its beginning, and never outside", () => {
  assert.deepEqual(candidates("/workspace/src/a.c"), ["workspace/src/a.c", "src/a.c", "a.c"]);
  assert.deepEqual(candidates("./a.c"), ["a.c"]);
  assert.deepEqual(candidates("../../etc/passwd"), []);
});

test("an arrow key goes to the nearest box on that side", () => {
  const box = (x: number, y: number) => ({ x, y, width: 10, height: 10 });
  const boxes = [box(0, 0), box(100, 0), box(100, 50), box(0, 50), box(200, 0)];
  assert.equal(nearest(boxes, 0, "right"), 1);
  assert.equal(nearest(boxes, 1, "down"), 2);
  assert.equal(nearest(boxes, 2, "left"), 3);
  assert.equal(nearest(boxes, 0, "up"), undefined);
  assert.equal(nearest(boxes, 9, "up"), undefined);
});

test("the graph shows each step's state, and what a step does before its command", () => {
  const matrix = step("d", 4, { entries: [step("d (1)", 4, { state: state("cached") }), step("d (2)", 4)] });
  const failed = step("a", 1, { state: state("failed", { exitCode: 1 }) });
  const node = pipeline([failed, step("b", 2, { state: state("running", { phase: "pulling" }) }), step("c", 3), matrix]);
  assert.deepEqual(statesOf(node, 1000), {
    a: { state: "failed", words: "exit 1, 1.2 s", short: "✗ 1.2 s" },
    b: { state: "running", words: "pulling, 00:02", short: "● 00:02" },
    d: { state: "cached", words: "cached, 1.2 s", short: "✓ 1.2 s" },
    "d (1)": { state: "cached", words: "cached, 1.2 s", short: "✓ 1.2 s" },
  });
});

test("a panel is restored only from what its page has kept", () => {
  assert.ok(isPlace({ uri: "file:///a/pipeline.yml", pipeline: 0 }));
  for (const state of [undefined, null, "file:///a", {}, { uri: "file:///a" }, { uri: 1, pipeline: 0 }, { uri: "file:///a", pipeline: "0" }]) {
    assert.ok(!isPlace(state), JSON.stringify(state));
  }
});

test("the page of the graph runs only its own script, and takes nothing from elsewhere", () => {
  const text = page("abc", "vscode-resource://graph.js", "vscode-resource://graph.css", "vscode-resource:");
  assert.match(text, /default-src 'none'; style-src vscode-resource:; script-src 'nonce-abc'"/);
  assert.doesNotMatch(text, /https?:|unsafe/);
  assert.equal(withoutStyle("<svg><style>a{b:c}</style><g/></svg>"), "<svg><g/></svg>");
});

test("only programs among the Python and TypeScript files are sent to the server", () => {
  for (const language of ["python", "typescript"]) {
    const filters = documents([]).filter((filter) => filter.language === language);
    assert.equal(filters.length, 1);
    assert.ok(filters.every(({ scheme }) => scheme === "file"));
    assert.match(filters.map(({ pattern }) => pattern).join(), /^\*\*\/\{\.hm,\.harmont\}\/\*\./);
  }
  assert.ok(documents([]).every(({ language }) => language !== undefined));
  assert.ok(documents([]).some(({ scheme, language }) => scheme === "untitled" && language === "yaml"));
});

test("files that the user has a command for are sent wherever the project is", () => {
  const commands = globsOf({ "ci/*.jsonnet": ["jsonnet", "{file}"], "**/*.cue": ["cue"], "./pipeline.dhall": ["dhall"], "": [] });
  const added = documents(commands).slice(documents([]).length);
  assert.deepEqual(added.map(({ pattern }) => pattern), ["**/ci/*.jsonnet", "**/*.cue", "**/pipeline.dhall"]);
  assert.ok(added.every(({ scheme, language }) => scheme === "file" && language === undefined));
  assert.deepEqual(programGlobs(commands).slice(2), ["**/ci/*.jsonnet", "**/*.cue", "**/pipeline.dhall"]);
  for (const wrong of [undefined, null, "ci/*.jsonnet", ["ci/*.jsonnet"], 1]) {
    assert.deepEqual(globsOf(wrong), []);
  }
});
