// Shows runs as notifications with a Cancel button. The language client alone would show them in the status bar, without one.
import * as vscode from "vscode";
import {
  type LanguageClient,
  type ProgressToken,
  type WorkDoneProgressBegin,
  WorkDoneProgressCancelNotification,
  type WorkDoneProgressEnd,
  type WorkDoneProgressReport,
} from "vscode-languageclient/node";

type Params = WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd;

interface Shown {
  readonly view: vscode.Progress<{ message?: string; increment?: number }>;
  readonly done: () => void;
  percentage: number;
}

export class RunProgress implements vscode.Disposable {
  private readonly shown = new Map<ProgressToken, Shown>();

  /// Handles progress that can be cancelled, and leaves everything else to the language client.
  handle(client: LanguageClient, token: ProgressToken, params: Params): boolean {
    if (params.kind === "begin") {
      if (params.cancellable !== true) {
        return false;
      }
      this.begin(client, token, params);
      return true;
    }
    const shown = this.shown.get(token);
    if (shown === undefined) {
      return false;
    }
    if (params.kind === "report") {
      report(shown, params);
    } else {
      this.end(token, shown);
    }
    return true;
  }

  /// Ends everything that is shown, whoever was to end it.
  dispose(): void {
    for (const [token, shown] of this.shown) {
      this.end(token, shown);
    }
  }

  private begin(client: LanguageClient, token: ProgressToken, params: WorkDoneProgressBegin): void {
    const options = { location: vscode.ProgressLocation.Notification, cancellable: true, title: params.title };
    void vscode.window.withProgress(options, (view, cancellation) => {
      cancellation.onCancellationRequested(() => {
        if (client.isRunning()) {
          void client.sendNotification(WorkDoneProgressCancelNotification.type, { token });
        }
      });
      return new Promise<void>((resolve) => {
        const shown = { view, done: resolve, percentage: 0 };
        this.shown.set(token, shown);
        report(shown, params);
      });
    });
  }

  private end(token: ProgressToken, shown: Shown): void {
    this.shown.delete(token);
    shown.done();
  }
}

function report(shown: Shown, params: { message?: string; percentage?: number }): void {
  const percentage = Math.max(shown.percentage, params.percentage ?? 0);
  shown.view.report({ increment: percentage - shown.percentage, ...(params.message === undefined ? {} : { message: params.message }) });
  shown.percentage = percentage;
}
