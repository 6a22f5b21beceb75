// The commands of the palette, the menus and the view.
import * as vscode from "vscode";
import type { Graphs } from "./graph";
import { openFolder } from "./folders";
import type { Pipelines } from "./pipelines";
import type { ChooseArgs, GraphArgs, OpenArtifactsArgs, OpenLogArgs, PipelineNode } from "./protocol";
import { failedRun, pipelineAt, stepAt, type StepPlace, stepsOf } from "./pure/cursor";
import { stateOf } from "./pure/words";
import type { Server } from "./server";
import { refuse } from "./server";
import { openSetting } from "./settings";
import type { Terminals } from "./terminals";
import type { Node } from "./view";

const NO_PIPELINE = "No pipeline is open";

export interface Parts {
  readonly server: Server;
  readonly pipelines: Pipelines;
  readonly terminals: Terminals;
  readonly graphs: Graphs;
}

/// Registers everything, and says what commands of lenses do here.
export function registerCommands(parts: Parts): vscode.Disposable {
  const { server } = parts;
  server.own.set("pipelens.openShell", (argument) => openShell(server, argument as OpenLogArgs | undefined));
  server.own.set("pipelens.openArtifacts", (argument) => openArtifacts(server, argument as OpenArtifactsArgs | undefined));
  server.own.set("pipelens.showGraph", (argument) => showGraph(parts, argument as GraphArgs | undefined));
  server.own.set("pipelens.chooseCombination", (argument) => chooseCombination(server, argument as ChooseArgs));
  const commands = { ...ofEditor(parts), ...ofItems(parts) };
  return vscode.Disposable.from(...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(`pipelens.${name}`, run)));
}

type Handlers = Record<string, (argument: never) => unknown>;

function ofEditor(parts: Parts): Handlers {
  const { server, pipelines, terminals } = parts;
  // A menu of an editor gives the URI of its document.
  const uri = (given: unknown): string | undefined => pipelines.meant(given instanceof vscode.Uri ? given : undefined);
  return {
    "editor.runPipeline": (given: unknown) => runPipeline(parts, uri(given)),
    "editor.runStepHere": (given: unknown) => onStepHere(parts, "pipelens.runStep", uri(given)),
    "editor.runFromHere": (given: unknown) => onStepHere(parts, "pipelens.runFrom", uri(given)),
    "editor.watch": (given: unknown) => watchHere(parts, uri(given)),
    "editor.stopWatching": () => server.execute("pipelens.stopWatching"),
    "editor.cancel": () => server.execute("pipelens.cancel"),
    "editor.openLog": () => server.execute("pipelens.openLog"),
    "editor.openArtifacts": () => openArtifacts(server),
    "editor.rerunFailed": (given: unknown) => rerunFailed(parts, given instanceof vscode.Uri ? given : undefined),
    "editor.openShell": () => openShell(server),
    "editor.clearCache": (given: unknown) => clearCache(server, uri(given)),
    "editor.showGraph": (given: unknown) => showGraphHere(parts, uri(given)),
    "editor.showOutput": () => { server.output.show(); },
    "editor.showLastLog": () => (terminals.reveal() ? undefined : openNewestLog(parts)),
    "editor.restart": () => server.restart(),
    "editor.doctor": () => server.execute("pipelens.doctor"),
    "editor.useHost": () => setRunner("host"),
    "editor.useDocker": () => setRunner("docker"),
    "editor.create": () => create(server),
    "editor.setServerPath": () => openSetting("pipelens.server.path"),
  };
}

/// The actions of the view's items.
function ofItems({ server, terminals }: Parts): Handlers {
  const of = ({ pipeline }: Node): { uri: string; pipeline: number } => ({ uri: pipeline.uri, pipeline: pipeline.pipeline });
  return {
    "item.run": (node: Node) =>
      node.kind === "step"
        ? server.execute("pipelens.runStep", { ...of(node), step: node.step.key })
        : server.execute("pipelens.runPipeline", of(node)),
    "item.runFrom": (node: Node) => (node.kind === "step" ? server.execute("pipelens.runFrom", { ...of(node), step: node.step.key }) : undefined),
    "item.cancel": (node: Node) => server.execute("pipelens.cancel", runOf(node)),
    "item.openLog": (node: Node) => server.execute("pipelens.openLog", { ...runOf(node), ...stepOf(node) }),
    "item.openShell": (node: Node) => openShell(server, { ...runOf(node), ...stepOf(node) }),
    "item.openArtifacts": (node: Node) => openArtifacts(server, { ...runOf(node), ...stepOf(node) }),
    "item.output": (node: Node) => terminals.reveal(runOf(node).runId),
    "item.reveal": async (node: Node) => {
      const { line, character } = node.kind === "step" ? node.step.position : node.pipeline.position;
      const position = new vscode.Position(line, character);
      const selection = new vscode.Range(position, position);
      await vscode.window.showTextDocument(vscode.Uri.parse(node.pipeline.uri), { selection, preserveFocus: true });
    },
  };
}

function runOf(node: Node): { runId?: string } {
  switch (node.kind) {
    case "step": {
      const state = stateOf(node.step);
      return state === null ? {} : { runId: state.runId };
    }
    case "past":
    case "run":
      return { runId: node.run.runId };
    case "pipeline":
    case "history": {
      const [run] = node.pipeline.runs;
      return run === undefined ? {} : { runId: run.runId };
    }
  }
}

function stepOf(node: Node): { step?: string } {
  return node.kind === "step" ? { step: node.step.key } : node.kind === "past" ? { step: node.key } : {};
}

/// Runs the pipeline at the cursor.
async function runPipeline({ server, pipelines }: Parts, uri: string | undefined): Promise<void> {
  const here = await pipelineHere(pipelines, uri);
  if (here !== undefined) {
    await server.execute("pipelens.runPipeline", here);
  }
}

/// Runs the step at the cursor, or one that the user chooses.
async function onStepHere({ server, pipelines }: Parts, command: "pipelens.runStep" | "pipelens.runFrom", uri: string | undefined): Promise<void> {
  if (uri === undefined) {
    await refuse(NO_PIPELINE);
    return;
  }
  const line = lineIn(uri);
  const all = pipelines.of(uri);
  const here = (line === undefined ? undefined : stepAt(all, line)) ?? (await chooseStep(all));
  if (here !== undefined) {
    await server.execute(command, { uri, pipeline: here.pipeline.pipeline, step: here.step.key });
  }
}

/// Watches what is on the line of the cursor, which the server knows, or what the user chooses.
async function watchHere({ server, pipelines }: Parts, uri: string | undefined): Promise<void> {
  if (uri === undefined) {
    await refuse(NO_PIPELINE);
    return;
  }
  const line = lineIn(uri);
  const all = pipelines.of(uri);
  if (line !== undefined) {
    const pipeline = pipelineAt(all, line)?.pipeline ?? 0;
    await server.execute("pipelens.watch", { uri, pipeline, line });
    return;
  }
  const wholes = all.map((pipeline) => ({ label: pipeline.name, description: "the whole pipeline", what: { pipeline: pipeline.pipeline } }));
  const steps = stepItems(all).map(({ place, ...item }) => ({ ...item, what: { pipeline: place.pipeline.pipeline, step: place.step.key } }));
  const chosen = await vscode.window.showQuickPick([...wholes, ...steps], { placeHolder: "What is to be watched?" });
  if (chosen !== undefined) {
    await server.execute("pipelens.watch", { uri, ...chosen.what });
  }
}

/// Runs again what failed: in a document, or, without one, in the newest run of all.
async function rerunFailed({ server, pipelines }: Parts, given: vscode.Uri | undefined): Promise<void> {
  if (given === undefined) {
    await server.execute("pipelens.rerunFailed");
    return;
  }
  const run = failedRun(pipelines.of(given.toString()));
  if (run === undefined) {
    await refuse(`No step of \`${vscode.workspace.asRelativePath(given)}\` has failed, so there is nothing to run again`);
  } else {
    await server.execute("pipelens.rerunFailed", { runId: run.runId });
  }
}

/// Returns the line of the cursor in the editor of a document, if one is visible. The active one comes first.
function lineIn(uri: string): number | undefined {
  const { activeTextEditor, visibleTextEditors } = vscode.window;
  const editors = activeTextEditor === undefined ? visibleTextEditors : [activeTextEditor, ...visibleTextEditors];
  return editors.find(({ document }) => document.uri.toString() === uri)?.selection.active.line;
}

/// Returns what a command about the pipeline at the cursor needs; refuses if no pipeline is open.
async function pipelineHere(pipelines: Pipelines, uri: string | undefined): Promise<{ uri: string; pipeline: number } | undefined> {
  if (uri === undefined) {
    await refuse(NO_PIPELINE);
    return undefined;
  }
  const pipeline = await pipelineIn(pipelines, uri);
  return pipeline === undefined ? undefined : { uri, pipeline };
}

/// Returns the pipeline at the cursor, or, without a visible editor, the only one or the one that the user chooses.
async function pipelineIn(pipelines: Pipelines, uri: string): Promise<number | undefined> {
  const all = pipelines.of(uri);
  const line = lineIn(uri);
  if (line !== undefined || all.length < 2) {
    return pipelineAt(all, line ?? 0)?.pipeline ?? 0;
  }
  const items = all.map(({ name, pipeline }) => ({ label: name, pipeline }));
  return (await vscode.window.showQuickPick(items, { placeHolder: "Which pipeline?" }))?.pipeline;
}

async function chooseStep(all: readonly PipelineNode[]): Promise<StepPlace | undefined> {
  const items = stepItems(all);
  if (items.length === 0) {
    await refuse("No step is known yet. Run the pipeline first");
    return undefined;
  }
  return (await vscode.window.showQuickPick(items, { placeHolder: "Which step?" }))?.place;
}

/// Returns the steps for a list; with the names of their pipelines if there are several.
function stepItems(all: readonly PipelineNode[]): (vscode.QuickPickItem & { place: StepPlace })[] {
  return stepsOf(all).map((place) => {
    const { pipeline, step } = place;
    const description = [all.length > 1 ? pipeline.name : undefined, step.label].filter((part) => typeof part === "string").join(" · ");
    return { label: step.key, description, place };
  });
}

/// Opens a terminal with a shell in a failed step.
async function openShell(server: Server, argument: OpenLogArgs = {}): Promise<void> {
  const answer = await server.execute("pipelens.openShell", { ...argument, show: false });
  if (answer === undefined) {
    return;
  }
  const isWindows = process.platform === "win32";
  const program = isWindows ? {} : { shellPath: "/bin/sh", shellArgs: ["-c", answer.command] };
  const name = `shell in ${argument.step ?? "failed step"}`;
  const terminal = vscode.window.createTerminal({ name, iconPath: new vscode.ThemeIcon("terminal"), isTransient: true, ...program });
  terminal.show();
  if (isWindows) {
    terminal.sendText(answer.command);
  }
}

async function openArtifacts(server: Server, argument: OpenArtifactsArgs = {}): Promise<void> {
  const answer = await server.execute("pipelens.openArtifacts", { ...argument, show: false });
  if (answer !== undefined) {
    await openFolder(vscode.Uri.file(answer.path));
  }
}

/// Shows the graph that a lens names.
async function showGraph(parts: Parts, { uri, pipeline }: GraphArgs = {}): Promise<void> {
  if (uri === undefined || pipeline === undefined) {
    await showGraphHere(parts, uri ?? parts.pipelines.meant());
    return;
  }
  const index = typeof pipeline === "string" ? parts.pipelines.of(uri).find(({ name }) => name === pipeline)?.pipeline : pipeline;
  if (index !== undefined) {
    await parts.graphs.show(uri, index);
  }
}

/// Shows the graph of the pipeline at the cursor.
async function showGraphHere({ graphs, pipelines }: Parts, uri: string | undefined): Promise<void> {
  const here = await pipelineHere(pipelines, uri);
  if (here !== undefined) {
    await graphs.show(here.uri, here.pipeline);
  }
}

/// Asks the server for the combinations of a step, lets the user choose one, and runs it.
async function chooseCombination(server: Server, step: ChooseArgs): Promise<void> {
  const answer = await server.execute("pipelens.chooseCombination", { ...step, list: true });
  if (answer === undefined) {
    return;
  }
  const chosen = await vscode.window.showQuickPick(answer.combinations, { placeHolder: "Which combination should run?" });
  if (chosen !== undefined) {
    const { uri, pipeline } = step;
    const where = { ...(uri === undefined ? {} : { uri }), ...(pipeline === undefined ? {} : { pipeline }) };
    await server.execute("pipelens.runStep", { ...where, step: chosen });
  }
}

async function clearCache(server: Server, uri: string | undefined): Promise<void> {
  const answer = await server.execute("pipelens.clearCache", uri === undefined ? {} : { uri });
  if (answer !== undefined) {
    void vscode.window.showInformationMessage(`The cache is empty: ${(answer.removedBytes / 1e6).toFixed(1)} MB were removed.`);
  }
}

/// Opens the log of the newest run, of this process or of an earlier one.
async function openNewestLog({ server, pipelines }: Parts): Promise<void> {
  const runs = pipelines.all.flatMap(({ runs }) => runs).sort((a, b) => (a.runId < b.runId ? 1 : -1));
  const [log] = runs.flatMap(({ runId, steps }) => Object.entries(steps).flatMap(([step, { log }]) => (log === null ? [] : [{ runId, step }])));
  await server.execute("pipelens.openLog", log);
}

async function setRunner(runner: string): Promise<void> {
  await vscode.workspace.getConfiguration("pipelens").update("runner", runner, vscode.ConfigurationTarget.Global);
}

/// Writes a first pipeline, in a terminal that shows what is found.
async function create(server: Server): Promise<void> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  const folder = folders.length > 1 ? await vscode.window.showWorkspaceFolderPick() : folders[0];
  if (folder === undefined) {
    if (folders.length === 0) {
      await refuse("Open a folder first");
    }
    return;
  }
  const program = server.program();
  if ("missing" in program) {
    await refuse(`pipelens cannot find its server: ${program.missing}`, { help: "setting", setting: "pipelens.server.path" });
    return;
  }
  if (!vscode.workspace.isTrusted) {
    await refuse("This workspace is not trusted, so nothing runs in it", { help: "trust" });
    return;
  }
  // Without a shell, each of which quotes in its own way.
  const execution = new vscode.ProcessExecution(program.path, ["init"], { cwd: folder.uri.fsPath });
  const task = await vscode.tasks.executeTask(new vscode.Task({ type: "process" }, folder, "init", "pipelens", execution));
  const ended = vscode.tasks.onDidEndTaskProcess((event) => {
    if (event.execution !== task) {
      return;
    }
    ended.dispose();
    if (event.exitCode === 0) {
      void vscode.commands.executeCommand("vscode.open", vscode.Uri.joinPath(folder.uri, "pipeline.yml"));
    }
  });
}
