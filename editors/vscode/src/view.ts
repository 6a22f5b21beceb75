// The view: pipelines with their steps, and the runs of each.
import * as vscode from "vscode";
import type { Pipelines } from "./pipelines";
import type { PipelineNode, RunNode, StepNode, StepState } from "./protocol";
import { iconOf, isOver, prediction, stateOf, time, words } from "./pure/words";

export type Node =
  | { readonly kind: "pipeline"; readonly pipeline: PipelineNode }
  | { readonly kind: "step"; readonly pipeline: PipelineNode; readonly step: StepNode; readonly parent: Node }
  | { readonly kind: "history"; readonly pipeline: PipelineNode }
  | { readonly kind: "run"; readonly pipeline: PipelineNode; readonly run: RunNode }
  | { readonly kind: "past"; readonly pipeline: PipelineNode; readonly run: RunNode; readonly key: string; readonly state: StepState };

export class View implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changes = new vscode.EventEmitter<void>();
  private readonly view: vscode.TreeView<Node>;
  private readonly subscription: vscode.Disposable;

  readonly onDidChangeTreeData = this.changes.event;

  constructor(private readonly pipelines: Pipelines) {
    this.view = vscode.window.createTreeView("pipelens.runs", { treeDataProvider: this, showCollapseAll: true });
    this.subscription = pipelines.onDidChange(() => { this.changes.fire(); });
  }

  getChildren(node?: Node): Node[] {
    if (node === undefined) {
      return this.pipelines.all.map((pipeline) => ({ kind: "pipeline", pipeline }));
    }
    const { pipeline } = node;
    switch (node.kind) {
      case "pipeline": {
        const steps = pipeline.steps.map((step): Node => ({ kind: "step", pipeline, step, parent: node }));
        return pipeline.runs.length === 0 ? steps : [...steps, { kind: "history", pipeline }];
      }
      case "step":
        return node.step.entries.map((step) => ({ kind: "step", pipeline, step, parent: node }));
      case "history":
        return pipeline.runs.map((run) => ({ kind: "run", pipeline, run }));
      case "run":
        return Object.entries(node.run.steps).map(([key, state]) => ({ kind: "past", pipeline, run: node.run, key, state }));
      case "past":
        return [];
    }
  }

  getParent(node: Node): Node | undefined {
    switch (node.kind) {
      case "pipeline":
        return undefined;
      case "step":
        return node.parent;
      case "history":
        return { kind: "pipeline", pipeline: node.pipeline };
      case "run":
        return { kind: "history", pipeline: node.pipeline };
      case "past":
        return { kind: "run", pipeline: node.pipeline, run: node.run };
    }
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const since = this.pipelines.age(node.pipeline.uri);
    const item = itemOf(node, since);
    item.id = idOf(node);
    return item;
  }

  dispose(): void {
    vscode.Disposable.from(this.view, this.subscription, this.changes).dispose();
  }
}

const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;

function idOf(node: Node): string {
  const pipeline = `${node.pipeline.uri}#${node.pipeline.pipeline}`;
  switch (node.kind) {
    case "pipeline":
      return pipeline;
    case "step":
      return `${pipeline}/${node.step.key}`;
    case "history":
      return `${pipeline}?`;
    case "run":
      return `${pipeline}?${node.run.runId}`;
    case "past":
      return `${pipeline}?${node.run.runId}/${node.key}`;
  }
}

function itemOf(node: Node, sinceMs: number): vscode.TreeItem {
  const { pipeline } = node;
  switch (node.kind) {
    case "pipeline": {
      const [run] = pipeline.runs;
      const item = new vscode.TreeItem(pipeline.name, Expanded);
      item.iconPath = icon(run?.state);
      item.description = [run === undefined ? undefined : time(run.state, run.durationMs, sinceMs), vscode.workspace.asRelativePath(vscode.Uri.parse(pipeline.uri))]
        .filter((part) => part !== undefined)
        .join(" · ");
      item.contextValue = values("pipeline", run?.state === "running" && "running", (run?.artifacts ?? null) !== null && "artifacts");
      item.command = reveal(node);
      return item;
    }
    case "step": {
      const { step } = node;
      const state = stateOf(step);
      const item = stepItem(step.key, state, sinceMs, step.entries.length > 0 ? Collapsed : None);
      const next = prediction(step.prediction);
      item.description = [item.description, step.label ?? undefined, next].filter((part) => part !== undefined && part !== "").join(" · ");
      item.contextValue = values(item.contextValue ?? "", "runnable");
      item.command = reveal(node);
      return item;
    }
    case "history": {
      const item = new vscode.TreeItem("Runs", Collapsed);
      item.iconPath = new vscode.ThemeIcon("history");
      item.description = String(pipeline.runs.length);
      return item;
    }
    case "run": {
      const { run } = node;
      const item = new vscode.TreeItem(startOf(run.runId), Collapsed);
      item.iconPath = icon(run.state);
      item.description = [run.title, words(run.state), time(run.state, run.durationMs, sinceMs)].join(" · ");
      item.contextValue = values("run", run.isOwn && run.state === "running" && "running", run.artifacts !== null && "artifacts");
      return item;
    }
    case "past":
      return stepItem(node.key, node.state, sinceMs, None);
  }
}

function stepItem(key: string, state: StepState | null, sinceMs: number, collapsible: vscode.TreeItemCollapsibleState): vscode.TreeItem {
  const item = new vscode.TreeItem(key, collapsible);
  item.iconPath = icon(state?.state);
  if (state === null) {
    item.contextValue = "step";
    return item;
  }
  const said = isOver(state.state) ? words(state.state, state.exitCode) : (state.phase ?? words(state.state));
  item.description = [said, time(state.state, state.durationMs, sinceMs)].filter((part) => part !== undefined).join(" · ");
  item.accessibilityInformation = { label: `${key}, ${item.description}` };
  item.contextValue = values(
    "step",
    !isOver(state.state) && "running",
    state.log !== null && "log",
    state.shell !== null && "shell",
    state.artifacts !== null && "artifacts",
  );
  return item;
}

function icon(state: string | undefined): vscode.ThemeIcon {
  const { icon, colour } = iconOf(state);
  return new vscode.ThemeIcon(icon, colour === undefined ? undefined : new vscode.ThemeColor(colour));
}

function values(...parts: (string | false)[]): string {
  return parts.filter((part) => part !== false).join(" ");
}

function reveal(node: Node): vscode.Command {
  return { title: "Show", command: "pipelens.item.reveal", arguments: [node] };
}

/// Returns when a run began: its id begins with the time.
function startOf(runId: string): string {
  return new Date(Number.parseInt(runId.replaceAll("-", "").slice(0, 12), 16)).toLocaleString();
}
