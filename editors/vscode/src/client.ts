// The language client: which server, which documents, which settings.
import { accessSync, constants, existsSync, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join, relative } from "node:path";
import * as vscode from "vscode";
import { type LanguageClientOptions, LanguageClient, type ServerOptions } from "vscode-languageclient/node";
import type { RunProgress } from "./progress";
import type { ChooseArgs, CommandArguments } from "./protocol";

export function createClient(
  context: vscode.ExtensionContext,
  outputChannel: vscode.OutputChannel,
  progress: RunProgress,
): LanguageClient {
  // Started in the extension's folder, so that looking up programs does not depend on which workspace is open.
  const server: ServerOptions = { command: serverPath(context), args: ["lsp"], options: { cwd: context.extensionPath } };
  const options: LanguageClientOptions = {
    // The server decides which files are pipelines, and returns empty answers for all others.
    documentSelector: [
      { scheme: "file", language: "yaml" },
      { scheme: "file", language: "json" },
      { scheme: "file", language: "jsonc" },
    ],
    outputChannel,
    initializationOptions: { ...serverSettings(context.extension), workspaceTrusted: vscode.workspace.isTrusted },
    middleware: {
      handleWorkDoneProgress: (token, params, next) => {
        if (!progress.handle(client, token, params)) {
          next(token, params);
        }
      },
      // If a command is refused, show the server's message as it is.
      executeCommand: async (command, args, next) => {
        try {
          if (command === CHOOSE) {
            await chooseCombination(args, next);
            return undefined;
          }
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

const CHOOSE: keyof CommandArguments = "pipelens.chooseCombination";
const RUN: keyof CommandArguments = "pipelens.runStep";

/// Asks the server for the combinations of a step, lets the user choose one, and runs it.
async function chooseCombination(
  args: unknown[],
  next: (command: string, args: unknown[]) => vscode.ProviderResult<unknown>,
): Promise<void> {
  const step = args[0] as ChooseArgs;
  const { combinations } = (await next(CHOOSE, [{ ...step, list: true }])) as { combinations: string[] };
  const chosen = await vscode.window.showQuickPick(combinations, { placeHolder: "Which combination should run?" });
  if (chosen !== undefined) {
    await next(RUN, [{ ...step, step: chosen }]);
  }
}

/// The server's settings, without the `pipelens.` prefix.
export function serverSettings(extension: vscode.Extension<unknown>): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  const configuration = vscode.workspace.getConfiguration("pipelens");
  for (const name of declaredSettings(extension)) {
    const found = configuration.inspect<unknown>(name);
    // The server has the defaults, and the user's own settings file, which a default from here would override.
    const isSet = [found?.globalValue, found?.workspaceValue, found?.workspaceFolderValue].some((value) => value !== undefined);
    if (isSet) {
      assign(settings, name.split("."), configuration.get<unknown>(name));
    }
  }
  return settings;
}

/// The names of the settings in the extension's manifest, without the `pipelens.` prefix.
function declaredSettings(extension: vscode.Extension<unknown>): string[] {
  const manifest = extension.packageJSON as Manifest;
  return Object.keys(manifest.contributes.configuration.properties).map((name) => name.replace(/^pipelens\./, ""));
}

interface Manifest {
  contributes: { configuration: { properties: Record<string, unknown> } };
}

/// Sets `a.b` as `b` of `a`.
function assign(settings: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path;
  if (name === undefined) {
    return;
  }
  if (rest.length === 0) {
    settings[name] = value;
    return;
  }
  const group = (settings[name] ?? {}) as Record<string, unknown>;
  settings[name] = group;
  assign(group, rest, value);
}

function serverPath(context: vscode.ExtensionContext): string {
  const configured = vscode.workspace.getConfiguration("pipelens").get<string>("server.path") ?? "";
  if (configured !== "") {
    return configured;
  }
  const name = process.platform === "win32" ? "pipelens.exe" : "pipelens";
  const bundled = context.asAbsolutePath(`bin/${name}`);
  if (isProgram(bundled)) {
    return bundled;
  }
  // If it is not found, the error shows the path where it was expected.
  return findOnPath(name) ?? bundled;
}

/// Finds a program in the absolute directories of the PATH. A program inside a workspace is never started.
function findOnPath(name: string): string | undefined {
  const workspaces = (vscode.workspace.workspaceFolders ?? [])
    .filter((folder) => folder.uri.scheme === "file" && existsSync(folder.uri.fsPath))
    .map((folder) => realpathSync(folder.uri.fsPath));
  // Check both the directory it is found in and the target of any links.
  const isInWorkspace = (file: string): boolean =>
    [realpathSync(dirname(file)), realpathSync(file)].some((place) => workspaces.some((workspace) => isInside(place, workspace)));
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
  return folders
    .map((folder) => join(folder, name))
    .find((file) => isProgram(file) && !isInWorkspace(file));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function isInside(file: string, folder: string): boolean {
  const path = relative(folder, file);
  return !path.startsWith("..") && !isAbsolute(path);
}
