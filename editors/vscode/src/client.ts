// The language client: which server, which documents, which settings.
import { existsSync } from "node:fs";
import * as vscode from "vscode";
import { type LanguageClientOptions, LanguageClient, type ServerOptions } from "vscode-languageclient/node";
import type { RunProgress } from "./progress";

export function createClient(
  context: vscode.ExtensionContext,
  outputChannel: vscode.OutputChannel,
  progress: RunProgress,
): LanguageClient {
  const server: ServerOptions = { command: serverPath(context), args: ["lsp"] };
  const options: LanguageClientOptions = {
    // The server looks at pipelines alone and answers at once that it has nothing to say of anything else.
    documentSelector: [
      { scheme: "file", language: "yaml" },
      { scheme: "file", language: "json" },
      { scheme: "file", language: "jsonc" },
    ],
    outputChannel,
    initializationOptions: { ...serverSettings(), workspaceTrusted: vscode.workspace.isTrusted },
    middleware: {
      handleWorkDoneProgress: (token, params, next) => {
        if (!progress.handle(client, token, params)) {
          next(token, params);
        }
      },
      // A refusal is the server's sentence, and it is shown as such.
      executeCommand: async (command, args, next) => {
        try {
          return (await next(command, args)) as unknown;
        } catch (error) {
          void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
          return undefined;
        }
      },
    },
  };
  const client = new LanguageClient("pipelens", "pipelens", server, options);
  return client;
}

/// The settings as the server has them, under their own names.
export function serverSettings(): Record<string, unknown> {
  return vscode.workspace.getConfiguration().get<Record<string, unknown>>("pipelens") ?? {};
}

function serverPath(context: vscode.ExtensionContext): string {
  const configured = vscode.workspace.getConfiguration("pipelens").get<string>("server.path") ?? "";
  if (configured !== "") {
    return configured;
  }
  const name = process.platform === "win32" ? "pipelens.exe" : "pipelens";
  const bundled = context.asAbsolutePath(`bin/${name}`);
  return existsSync(bundled) ? bundled : name;
}
