// The logs of steps as documents: the server has their text, without what is meant for a terminal, and folds and links it.
import * as vscode from "vscode";
import { LOG_SCHEME } from "./pure/programs";
import type { Server } from "./server";

export class Logs implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changes = new vscode.EventEmitter<vscode.Uri>();
  private readonly subscription: vscode.Disposable;

  readonly onDidChange = this.changes.event;

  constructor(private readonly server: Server) {
    this.subscription = vscode.Disposable.from(
      this.changes,
      vscode.workspace.registerTextDocumentContentProvider(LOG_SCHEME, this),
      server.onLogChange((uri) => { this.changes.fire(vscode.Uri.parse(uri)); }),
    );
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string | undefined> {
    // A log may be open before the server has started.
    await this.server.ready();
    return this.server.logText(uri.toString());
  }

  dispose(): void {
    this.subscription.dispose();
  }
}
