// Shows a folder of artifacts.
import * as vscode from "vscode";

/// More files than a list is useful for.
const MOST_FILES = 500;

/// Shows a folder: in the file manager, or, if it is on another machine, as a list of its files.
export async function openFolder(folder: vscode.Uri): Promise<void> {
  if (vscode.env.remoteName === undefined && vscode.env.uiKind === vscode.UIKind.Desktop) {
    await vscode.commands.executeCommand("revealFileInOS", folder);
    return;
  }
  const files = await filesIn(folder, "");
  const chosen = await vscode.window.showQuickPick(files, { title: "Artifacts", placeHolder: folder.fsPath });
  if (chosen !== undefined) {
    await vscode.commands.executeCommand("vscode.open", vscode.Uri.joinPath(folder, chosen));
  }
}

async function filesIn(folder: vscode.Uri, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (const [name, type] of await vscode.workspace.fs.readDirectory(folder)) {
    if (found.length >= MOST_FILES) {
      break;
    }
    if (type === vscode.FileType.Directory) {
      found.push(...(await filesIn(vscode.Uri.joinPath(folder, name), `${prefix}${name}/`)));
    } else {
      found.push(`${prefix}${name}`);
    }
  }
  return found.slice(0, MOST_FILES);
}
