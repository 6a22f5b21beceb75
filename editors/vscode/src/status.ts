// The newest run in the status bar.
import * as vscode from "vscode";
import type { Pipelines } from "./pipelines";
import type { RunNode } from "./protocol";
import { iconOf, isFailure, newestRun, time, words } from "./pure/words";

export class Status implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("pipelens.run", vscode.StatusBarAlignment.Left, 10);
  private readonly subscription: vscode.Disposable;

  constructor(private readonly pipelines: Pipelines) {
    this.item.name = "pipelens";
    this.item.command = "pipelens.editor.showLastLog";
    this.subscription = pipelines.onDidChange(() => { this.show(); });
  }

  dispose(): void {
    this.item.dispose();
    this.subscription.dispose();
  }

  private show(): void {
    const newest = newestRun(this.pipelines.all);
    if (newest === undefined) {
      this.item.hide();
      return;
    }
    const { pipeline, run } = newest;
    const taken = time(run.state, run.durationMs, this.pipelines.age(pipeline.uri)) ?? "";
    const what = run.state === "running" ? running(run) : failed(run);
    this.item.text = `$(${iconOf(run.state).icon}) ${run.title}${what === undefined ? "" : `: ${what}`} ${taken}`;
    this.item.tooltip = `${run.title}: ${words(run.state)} (click for the output)`;
    this.item.accessibilityInformation = { label: `pipelens, ${run.title}, ${words(run.state)} ${what ?? ""} ${taken}` };
    // A failure of an earlier day is no alarm.
    this.item.backgroundColor = run.isOwn && isFailure(run.state) ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    this.item.show();
  }
}

/// Returns the steps that run.
function running(run: RunNode): string | undefined {
  const keys = Object.entries(run.steps).filter(([, { state }]) => state === "running").map(([key]) => key);
  if (keys.length === 0 || (keys.length === 1 && run.title.endsWith(keys[0] ?? ""))) {
    return undefined;
  }
  return keys.length > 2 ? `${keys.length} steps` : keys.join(", ");
}

/// Returns the first step that failed, and how.
function failed(run: RunNode): string | undefined {
  const [key, state] = Object.entries(run.steps).find(([, { state }]) => isFailure(state)) ?? [];
  if (key === undefined || state === undefined || !isFailure(run.state)) {
    return isFailure(run.state) ? words(run.state) : undefined;
  }
  const how = words(state.state, state.exitCode);
  // The title of a run of one step names it.
  return run.title.endsWith(key) ? how : `${key} ${how}`;
}
