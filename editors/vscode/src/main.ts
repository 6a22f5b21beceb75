// Puts the parts together. They know nothing about pipelines: the server reports what can be run and what the outcome is.
import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { Graphs } from "./graph";
import { Logs } from "./logs";
import { Pipelines } from "./pipelines";
import { Server } from "./server";
import { Status } from "./status";
import { Tasks } from "./tasks";
import { Terminals } from "./terminals";
import { Tests } from "./tests";
import { View } from "./view";

let server: Server | undefined;

/// Returns at once; the server starts meanwhile.
export function activate(context: vscode.ExtensionContext): void {
  const output = vscode.window.createOutputChannel("pipelens");
  const started = new Server(context, output);
  server = started;
  const pipelines = new Pipelines(started, context.extension);
  const terminals = new Terminals(started, pipelines);
  const graphs = new Graphs(started, pipelines, context.extensionUri);
  context.subscriptions.push(
    output,
    started,
    pipelines,
    terminals,
    graphs,
    new Logs(started),
    new Status(pipelines),
    new View(pipelines),
    new Tests(started, pipelines),
    vscode.tasks.registerTaskProvider("pipelens", new Tasks(started, pipelines, terminals)),
    registerCommands({ server: started, pipelines, terminals, graphs }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void started.trust()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("pipelens")) {
        void started.configure();
      }
    }),
  );
  void started.restart();
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}
