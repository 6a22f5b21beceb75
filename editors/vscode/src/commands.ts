// The commands of the palette, the menus and the view.
import * as vscode from "vscode";
import type { Graphs } from "./graph";
import { openFolder } from "./folders";
import type { Pipelines } from "./pipelines";
import type { ChooseArgs, GraphArgs, OpenArtifactsArgs, OpenLogArgs } from "./protocol";
import { stepAt } from "./pure/words";
import type { Server } from "./server";
import { refuse } from "./server";
import { openSetting } from "./settings";
import type { Terminals } from "./terminals";
import type { Node } from "./view";

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
  const uri = (given: unknown): { uri?: string } => {
    const meant = pipelines.meant(given instanceof vscode.Uri ? given : undefined);
    return meant === undefined ? {} : { uri: meant };
  };
  return {
    "editor.runPipeline": (given: unknown) => server.execute("pipelens.runPipeline", uri(given)),
    "editor.runStepHere": () => onStepHere(parts, "pipelens.runStep"),
    "editor.runFromHere": () => onStepHere(parts, "pipelens.runFrom"),
    "editor.watch": () => watchHere(parts),
    "editor.stopWatching": () => server.execute("pipelens.stopWatching"),
    "editor.cancel": () => server.execute("pipelens.cancel"),
    "editor.openLog": () => server.execute("pipelens.openLog"),
    "editor.openArtifacts": () => openArtifacts(server),
    "editor.rerunFailed": () => server.execute("pipelens.rerunFailed"),
    "editor.openShell": () => openShell(server),
    "editor.clearCache": (given: unknown) => clearCache(server, uri(given)),
    "editor.showGraph": (given: unknown) => showGraph(parts, uri(given)),
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
    "item.openLog": async (node: Node) => {
      const log = node.kind === "past" ? node.state.log : node.kind === "step" ? node.step.state?.log : undefined;
      if (log !== null && log !== undefined) {
        await vscode.window.showTextDocument(vscode.Uri.file(log));
      }
    },
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
    case "step":
      return node.step.state === null ? {} : { runId: node.step.state.runId };
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

/// Runs the step on the line of the cursor, or the pipeline if there is none.
async function onStepHere({ server, pipelines }: Parts, command: "pipelens.runStep" | "pipelens.runFrom"): Promise<void> {
  const uri = pipelines.meant();
  const line = lineIn(uri);
  const here = line === undefined || uri === undefined ? undefined : stepAt(pipelines.of(uri), line);
  if (here === undefined) {
    await server.execute("pipelens.runPipeline", uri === undefined ? {} : { uri });
  } else {
    await server.execute(command, { uri: here.pipeline.uri, pipeline: here.pipeline.pipeline, step: here.step.key });
  }
}

/// Returns the line of the cursor in a file, if the user is in it.
function lineIn(uri: string | undefined): number | undefined {
  const editor = vscode.window.activeTextEditor;
  return editor?.document.uri.toString() === uri ? editor?.selection.active.line : undefined;
}

/// Watches what is on the line of the cursor; the server knows what that is.
async function watchHere({ server, pipelines }: Parts): Promise<void> {
  const uri = pipelines.meant();
  const line = lineIn(uri);
  await server.execute("pipelens.watch", { ...(uri === undefined ? {} : { uri }), ...(line === undefined ? {} : { line }) });
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

async function showGraph({ graphs, pipelines }: Parts, argument: GraphArgs = {}): Promise<void> {
  const uri = argument.uri ?? pipelines.meant();
  if (uri === undefined) {
    await refuse("No pipeline is open");
    return;
  }
  const all = pipelines.of(uri);
  const wanted = argument.pipeline ?? (all.length < 2 ? 0 : await choosePipeline(all));
  const index = typeof wanted === "string" ? all.findIndex(({ name }) => name === wanted) : wanted;
  if (index !== undefined) {
    await graphs.show(uri, index);
  }
}

async function choosePipeline(all: readonly { name: string; pipeline: number }[]): Promise<number | undefined> {
  const items = all.map(({ name, pipeline }) => ({ label: name, pipeline }));
  return (await vscode.window.showQuickPick(items, { placeHolder: "Which pipeline?" }))?.pipeline;
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

async function clearCache(server: Server, argument: { uri?: string }): Promise<void> {
  const answer = await server.execute("pipelens.clearCache", argument);
  if (answer !== undefined) {
    void vscode.window.showInformationMessage(`The cache is empty: ${(answer.removedBytes / 1e6).toFixed(1)} MB were removed.`);
  }
}

/// Opens the log of the newest step, of this process or of an earlier one.
async function openNewestLog({ server, pipelines }: Parts): Promise<void> {
  const runs = pipelines.all.flatMap(({ runs }) => runs).sort((a, b) => (a.runId < b.runId ? 1 : -1));
  const logs = runs.flatMap(({ steps }) => Object.values(steps)).flatMap(({ log }) => (log === null ? [] : [log]));
  const [log] = logs;
  if (log === undefined) {
    await server.execute("pipelens.openLog");
  } else {
    await vscode.window.showTextDocument(vscode.Uri.file(log));
  }
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
