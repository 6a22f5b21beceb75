// Starts the server, and adds what VS Code does not provide by itself: a run button in the title bar, and progress with Cancel.
// It knows nothing about pipelines: the server reports what can be run and what the outcome is.
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { createClient, serverSettings } from "./client";
import { RunProgress } from "./progress";
import type { CommandArguments } from "./protocol";

let client: LanguageClient | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const output = vscode.window.createOutputChannel("pipelens");
  const progress = new RunProgress();
  const started = createClient(context, output, progress);
  client = started;
  context.subscriptions.push(
    output,
    progress,
    vscode.commands.registerCommand("pipelens.editor.runPipeline", () => onActiveText(started, "pipelens.runPipeline")),
    vscode.commands.registerCommand("pipelens.editor.watch", () => onActiveLine(started)),
    vscode.commands.registerCommand("pipelens.editor.stopWatching", () => execute(started, "pipelens.stopWatching")),
    vscode.commands.registerCommand("pipelens.editor.cancel", () => execute(started, "pipelens.cancel")),
    vscode.commands.registerCommand("pipelens.editor.openLog", () => execute(started, "pipelens.openLog")),
    vscode.commands.registerCommand("pipelens.editor.openArtifacts", () => execute(started, "pipelens.openArtifacts")),
    vscode.commands.registerCommand("pipelens.editor.rerunFailed", () => execute(started, "pipelens.rerunFailed")),
    vscode.commands.registerCommand("pipelens.editor.openShell", () => execute(started, "pipelens.openShell")),
    vscode.commands.registerCommand("pipelens.editor.clearCache", () => execute(started, "pipelens.clearCache")),
    vscode.commands.registerCommand("pipelens.editor.showGraph", () => onActiveText(started, "pipelens.showGraph")),
    vscode.commands.registerCommand("pipelens.editor.showOutput", () => { output.show(); }),
    vscode.commands.registerCommand("pipelens.editor.restart", () => started.restart()),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      void started.sendNotification("pipelens/didChangeTrust", { trusted: true });
    }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("pipelens")) {
        void started.sendNotification("workspace/didChangeConfiguration", { settings: serverSettings(context.extension) });
      }
    }),
    vscode.window.onDidChangeActiveTextEditor((editor) => {
      void showRunButton(editor);
    }),
    vscode.workspace.onDidChangeTextDocument((event) => {
      if (event.document === vscode.window.activeTextEditor?.document) {
        void showRunButton(vscode.window.activeTextEditor);
      }
    }),
  );
  try {
    await started.start();
  } catch (error) {
    // VS Code itself shows no message if a server does not start.
    const reason = error instanceof Error ? error.message : String(error);
    void vscode.window.showErrorMessage(
      `pipelens did not start: ${reason}. Install the binary, or set its path in the setting pipelens.server.path.`,
    );
    return;
  }
  await showRunButton(vscode.window.activeTextEditor);
}

export async function deactivate(): Promise<void> {
  await client?.stop();
}

/// Executes a command on the document in the active editor, saved or not.
async function onActiveText(
  client: LanguageClient,
  command: "pipelens.runPipeline" | "pipelens.showGraph",
): Promise<void> {
  const uri = vscode.window.activeTextEditor?.document.uri.toString();
  await execute(client, command, uri === undefined ? undefined : { uri });
}

/// Watches what is on the line of the cursor; the server knows what that is.
async function onActiveLine(client: LanguageClient): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const argument = editor === undefined ? undefined : { uri: editor.document.uri.toString(), line: editor.selection.active.line };
  await execute(client, "pipelens.watch", argument);
}

/// Asks the server to execute a command, and shows the error if it is refused.
async function execute<C extends keyof CommandArguments>(
  client: LanguageClient,
  command: C,
  argument?: CommandArguments[C],
): Promise<void> {
  try {
    await client.sendRequest("workspace/executeCommand", { command, arguments: argument === undefined ? [] : [argument] });
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}

/// Shows the run button where the server has something to run.
async function showRunButton(editor: vscode.TextEditor | undefined): Promise<void> {
  // VS Code treats the output channel as an editor, but the title bar still belongs to the file.
  if (editor?.document.uri.scheme === "output") {
    return;
  }
  let isPipeline = false;
  if (editor !== undefined && client?.isRunning() === true) {
    const textDocument = { uri: editor.document.uri.toString() };
    const lenses = await client.sendRequest<unknown[] | null>("textDocument/codeLens", { textDocument });
    isPipeline = lenses !== null && lenses.length > 0;
  }
  await vscode.commands.executeCommand("setContext", "pipelens.isPipeline", isPipeline);
}
