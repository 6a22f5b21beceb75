// The graph beside the text. It follows edits and runs; a click on a step shows it in the text.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as vscode from "vscode";
import type { Pipelines } from "./pipelines";
import type { PipelineNode } from "./protocol";
import { drawn, type FromPage, page, statesOf, type ToPage, withoutStyle } from "./pure/graph";
import type { Server } from "./server";

export class Graphs implements vscode.Disposable {
  private readonly panels = new Map<string, Panel>();

  constructor(
    private readonly server: Server,
    private readonly pipelines: Pipelines,
    private readonly extension: vscode.Uri,
  ) {}

  /// Shows the graph of a pipeline beside its text.
  async show(uri: string, pipeline: number): Promise<void> {
    const id = `${uri}#${pipeline}`;
    const open = this.panels.get(id);
    if (open !== undefined) {
      open.reveal();
      return;
    }
    const svg = await draw(this.server, uri, pipeline);
    if (svg === undefined) {
      return;
    }
    const panel = new Panel(this.server, this.pipelines, this.extension, uri, pipeline, svg);
    this.panels.set(id, panel);
    panel.onDidDispose(() => this.panels.delete(id));
  }

  dispose(): void {
    for (const panel of this.panels.values()) {
      panel.dispose();
    }
  }
}

async function draw(server: Server, uri: string, pipeline: number): Promise<string | undefined> {
  const answer = await server.execute("pipelens.showGraph", { uri, pipeline, show: false });
  return answer === undefined ? undefined : readFile(answer.path, "utf8");
}

class Panel implements vscode.Disposable {
  private readonly panel: vscode.WebviewPanel;
  private readonly subscriptions: vscode.Disposable[];
  /// What the image shows: it is drawn anew when that has changed.
  private version: string;
  readonly onDidDispose: vscode.Event<void>;

  constructor(
    private readonly server: Server,
    private readonly pipelines: Pipelines,
    extension: vscode.Uri,
    private readonly uri: string,
    private readonly pipeline: number,
    private svg: string,
  ) {
    const roots = [vscode.Uri.joinPath(extension, "dist"), vscode.Uri.joinPath(extension, "media")];
    this.panel = vscode.window.createWebviewPanel(
      "pipelens.graph",
      `Graph of ${this.node?.name ?? "pipeline"}`,
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: true, localResourceRoots: roots, retainContextWhenHidden: true },
    );
    this.panel.iconPath = vscode.Uri.joinPath(extension, "media", "pipelens.svg");
    this.version = this.signature();
    this.onDidDispose = this.panel.onDidDispose;
    this.subscriptions = [
      pipelines.onDidChange(() => void this.follow()),
      this.panel.webview.onDidReceiveMessage((message: FromPage) => void this.hear(message)),
      this.panel.onDidDispose(() => { this.end(); }),
    ];
    const { webview } = this.panel;
    const place = (folder: string, file: string): string => webview.asWebviewUri(vscode.Uri.joinPath(extension, folder, file)).toString();
    webview.html = page(randomBytes(16).toString("hex"), place("dist", "graph.js"), place("media", "graph.css"), webview.cspSource);
  }

  reveal(): void {
    this.panel.reveal(undefined, true);
  }

  dispose(): void {
    this.panel.dispose();
  }

  private get node(): PipelineNode | undefined {
    return this.pipelines.of(this.uri).find(({ pipeline }) => pipeline === this.pipeline);
  }

  private end(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private async hear(message: FromPage): Promise<void> {
    if (message.kind === "ready") {
      this.send({ kind: "graph", name: this.node?.name ?? "pipeline", svg: withoutStyle(this.svg) });
      this.tell();
      return;
    }
    const { node } = this;
    const step = node === undefined ? undefined : drawn(node).find(({ key }) => key === message.step);
    if (step !== undefined) {
      const position = new vscode.Position(step.position.line, step.position.character);
      const selection = new vscode.Range(position, position);
      await vscode.window.showTextDocument(vscode.Uri.parse(this.uri), { viewColumn: vscode.ViewColumn.One, selection });
    }
  }

  private async follow(): Promise<void> {
    const signature = this.signature();
    if (signature !== this.version && this.node !== undefined) {
      this.version = signature;
      const svg = await draw(this.server, this.uri, this.pipeline);
      if (svg !== undefined) {
        this.svg = svg;
        this.send({ kind: "graph", name: this.node.name, svg: withoutStyle(svg) });
      }
    }
    this.tell();
  }

  private tell(): void {
    const { node } = this;
    if (node !== undefined) {
      this.send({ kind: "states", states: statesOf(node, this.pipelines.age(this.uri)) });
    }
  }

  private send(message: ToPage): void {
    void this.panel.webview.postMessage(message);
  }

  /// The version of the text changes with every edit, runs do not change it.
  private signature(): string {
    const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === this.uri);
    return String(document?.version ?? 0);
  }
}
