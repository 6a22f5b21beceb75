// The language client of one server process: which documents, and how VS Code shows what the server asks for.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  type MessageActionItem,
  MessageType,
  type Middleware,
  type ShowDocumentParams,
  type ShowDocumentRequest,
  ShowMessageRequest,
  type ShowMessageRequestParams,
} from "vscode-languageclient/node";
import { openFolder } from "./folders";
import { documents, LOG_SCHEME } from "./pure/programs";
import { commandGlobs, openSetting } from "./settings";

export { State } from "vscode-languageclient/node";
export { RunProgress } from "./progress";

/// Buttons of the server's messages.
const OPEN_LOG = "Open log";
const SETTINGS = "Settings";
const SHOW_PROBLEM = "Show problem";

/// A client whose errors are written to the output only: the extension says what concerns the user, once.
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

export interface ClientSetup {
  readonly program: string;
  readonly folder: string;
  readonly output: vscode.OutputChannel;
  readonly settings: Record<string, unknown>;
  readonly middleware: Middleware;
}

export function createClient(setup: ClientSetup): LanguageClient {
  // Started in the extension's folder, so that looking up programs does not depend on which workspace is open.
  const server = async () => {
    const child = spawn(setup.program, ["lsp"], { cwd: setup.folder });
    await once(child, "spawn");
    return child;
  };
  const options: LanguageClientOptions = {
    documentSelector: [...documents(commandGlobs()), { scheme: LOG_SCHEME }],
    outputChannel: setup.output,
    initializationOptions: { ...setup.settings, workspaceTrusted: vscode.workspace.isTrusted },
    initializationFailedHandler: () => false,
    // `Server` starts a new client.
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
    },
    middleware: { ...setup.middleware, window: { showDocument } },
  };
  const client = new QuietClient("pipelens", "pipelens", server, options);
  client.registerFeature({
    fillClientCapabilities: (capabilities) => {
      capabilities.experimental = { pipelensRunEvents: true };
      // Of version 3.18 of the protocol, which the client library does not know yet.
      Object.assign((capabilities.workspace ??= {}), { textDocumentContent: { dynamicRegistration: false } });
    },
    initialize: () => undefined,
    getState: () => ({ kind: "static" }),
    clear: () => undefined,
  });
  client.onRequest(ShowMessageRequest.type, ask);
  return client;
}

/// Shows a message with its buttons. What VS Code does better than the server is done here.
async function ask(params: ShowMessageRequestParams): Promise<MessageActionItem | null> {
  const actions = params.actions ?? [];
  const titles = actions.map((action) => action.title);
  if (titles.includes(OPEN_LOG)) {
    titles.splice(titles.indexOf(OPEN_LOG) + 1, 0, SHOW_PROBLEM);
  }
  const chosen = await show(params.type, params.message, titles);
  if (chosen === SHOW_PROBLEM) {
    await vscode.commands.executeCommand("workbench.actions.view.problems");
    return null;
  }
  if (chosen === SETTINGS) {
    await openSetting("pipelens.dockerHost");
    return null;
  }
  return actions.find((action) => action.title === chosen) ?? null;
}

function show(type: MessageType, message: string, titles: readonly string[]): Thenable<string | undefined> {
  switch (type) {
    case MessageType.Error:
      return vscode.window.showErrorMessage(message, ...titles);
    case MessageType.Warning:
      return vscode.window.showWarningMessage(message, ...titles);
    default:
      return vscode.window.showInformationMessage(message, ...titles);
  }
}

/// Opens folders in VS Code itself: on another machine, there is no file manager.
async function showDocument(params: ShowDocumentParams, next: ShowDocumentRequest.HandlerSignature): Promise<{ success: boolean }> {
  const uri = vscode.Uri.parse(params.uri);
  if (params.external !== true || uri.scheme !== "file") {
    return shown(params, next);
  }
  if ((await stat(uri.fsPath)).isDirectory()) {
    await openFolder(uri);
    return { success: true };
  }
  return shown(params, next);
}

async function shown(params: ShowDocumentParams, next: ShowDocumentRequest.HandlerSignature): Promise<{ success: boolean }> {
  const cancellation = new vscode.CancellationTokenSource();
  try {
    const result = await next(params, cancellation.token);
    return "success" in result ? result : { success: false };
  } finally {
    cancellation.dispose();
  }
}
