// The settings, as the server gets them.
import * as vscode from "vscode";
import { globsOf } from "./pure/programs";

interface Manifest {
  contributes: { configuration: { properties: Record<string, { default?: unknown }> } };
}

/// Settings whose default here is another than the server's: terminals show the output of runs, so it is not sent twice.
const OWN_DEFAULTS: ReadonlySet<string> = new Set(["run.logMessages"]);

/// Returns the server's settings, without the `pipelens.` prefix.
export function serverSettings(extension: vscode.Extension<unknown>, scope?: vscode.Uri): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  const configuration = vscode.workspace.getConfiguration("pipelens", scope);
  for (const name of declaredSettings(extension)) {
    const found = configuration.inspect<unknown>(name);
    // The server has the defaults, and the user's own settings file, which a default from here would override.
    const isSet = [found?.globalValue, found?.workspaceValue, found?.workspaceFolderValue].some((value) => value !== undefined);
    if (isSet || OWN_DEFAULTS.has(name)) {
      assign(settings, name.split("."), configuration.get<unknown>(name));
    }
  }
  return settings;
}

/// Returns the globs of the files that the user has commands for.
export function commandGlobs(): string[] {
  return globsOf(vscode.workspace.getConfiguration("pipelens").get<unknown>("programs.commands"));
}

/// Returns the globs of the further pipelines of a folder.
export function filesOf(folder: vscode.WorkspaceFolder): string[] {
  return vscode.workspace.getConfiguration("pipelens", folder).get<string[]>("files") ?? [];
}

/// Returns the names of the settings in the extension's manifest, without the `pipelens.` prefix.
function declaredSettings(extension: vscode.Extension<unknown>): string[] {
  const manifest = extension.packageJSON as Manifest;
  return Object.keys(manifest.contributes.configuration.properties).map((name) => name.replace(/^pipelens\./, ""));
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

/// Shows a setting in the editor for settings. Those of a machine are on a page of their own if the machine is another one.
export async function openSetting(name: string): Promise<void> {
  if (vscode.env.remoteName === undefined) {
    await vscode.commands.executeCommand("workbench.action.openSettings", name);
  } else {
    await vscode.commands.executeCommand("workbench.action.openRemoteSettings", { query: name });
  }
}
