// The graph beside the text. It follows edits and runs; a click on a step shows it in the text.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as vscode from "vscode";
import type { Pipelines } from "./pipelines";
import type { PipelineNode } from "./protocol";
import { drawn, type FromPage, isPlace, page, type Place, statesOf, type ToPage, withoutStyle } from "./pure/graph";
import type { Server } from "./server";

/// The type of the panels, by which VS Code restores them.
const TYPE = "pipelens.graph";

export class Graphs implements vscode.WebviewPanelSerializer, vscode.Disposable {
  private readonly panels = new Map<string, Panel>();
  private readonly serializer: vscode.Disposable;

  constructor(
    private readonly server: Server,
    private readonly pipelines: Pipelines,
    private readonly extension: vscode.Uri,
  ) {
    this.serializer = vscode.window.registerWebviewPanelSerializer(TYPE, this);
  }

  /// Shows the graph of a pipeline beside its text.
  async show(uri: string, pipeline: number): Promise<void> {
    const open = this.panels.get(idOf({ uri, pipeline }));
    if (open !== undefined) {
      open.reveal();
      return;
    }
    const answer = await this.server.execute("pipelens.showGraph", { uri, pipeline, show: false });
    if (answer === undefined) {
      return;
    }
    const svg = await readFile(answer.path, "utf8");
    const name = this.pipelines.of(uri).find((node) => node.pipeline === pipeline)?.name ?? "pipeline";
    const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    this.add(vscode.window.createWebviewPanel(TYPE, `Graph of ${name}`, place, { retainContextWhenHidden: true }), { uri, pipeline }, svg);
  }

  /// Fills a panel that was open before the window was loaded again.
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    if (!isPlace(state)) {
      panel.dispose();
      return;
    }
    const { uri, pipeline } = state;
    await this.server.ready();
    await this.pipelines.refresh(uri);
    if (this.panels.has(idOf(state)) || !this.pipelines.of(uri).some((node) => node.pipeline === pipeline)) {
      panel.dispose();
      return;
    }
    this.add(panel, state, (await draw(this.server, state)) ?? "");
  }

  dispose(): void {
    this.serializer.dispose();
    for (const panel of this.panels.values()) {
      panel.dispose();
    }
  }

  private add(shown: vscode.WebviewPanel, place: Place, svg: string): void {
    const panel = new Panel(shown, this.server, this.pipelines, this.extension, place, svg);
    this.panels.set(idOf(place), panel);
    panel.onDidDispose(() => this.panels.delete(idOf(place)));
  }
}

function idOf({ uri, pipeline }: Place): string {
  return `${uri}#${pipeline}`;
}

/// Draws what is shown already, or shown again. While it cannot be drawn, that is no message of its own.
async function draw(server: Server, { uri, pipeline }: Place): Promise<string | undefined> {
  const answer = await server.ask("pipelens.showGraph", { uri, pipeline, show: false });
  return answer === undefined ? undefined : readFile(answer.path, "utf8").catch(() => undefined);
}

class Panel implements vscode.Disposable {
  private readonly subscriptions: vscode.Disposable[];
  /// What the image shows: it is drawn anew when that has changed.
  private version: string;
  readonly onDidDispose: vscode.Event<void>;

  constructor(
    private readonly panel: vscode.WebviewPanel,
    private readonly server: Server,
    private readonly pipelines: Pipelines,
    extension: vscode.Uri,
    private readonly place: Place,
    private svg: string,
  ) {
    const { webview } = panel;
    webview.options = { enableScripts: true, localResourceRoots: [vscode.Uri.joinPath(extension, "dist"), vscode.Uri.joinPath(extension, "media")] };
    panel.iconPath = vscode.Uri.joinPath(extension, "media", "pipelens.svg");
    this.version = this.signature();
    this.onDidDispose = panel.onDidDispose;
    this.subscriptions = [
      pipelines.onDidChange(() => void this.follow()),
      webview.onDidReceiveMessage((message: FromPage) => void this.hear(message)),
      panel.onDidDispose(() => { this.end(); }),
    ];
    const file = (folder: string, name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(extension, folder, name)).toString();
    webview.html = page(randomBytes(16).toString("hex"), file("dist", "graph.js"), file("media", "graph.css"), webview.cspSource);
  }

  reveal(): void {
    this.panel.reveal(undefined, true);
  }

  dispose(): void {
    this.panel.dispose();
  }

  private get node(): PipelineNode | undefined {
    return this.pipelines.of(this.place.uri).find(({ pipeline }) => pipeline === this.place.pipeline);
  }

  private end(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private async hear(message: FromPage): Promise<void> {
    if (message.kind === "ready") {
      this.sendImage();
      this.tell();
      return;
    }
    const { node } = this;
    const step = node === undefined ? undefined : drawn(node).find(({ key }) => key === message.step);
    if (step !== undefined) {
      const position = new vscode.Position(step.position.line, step.position.character);
      const selection = new vscode.Range(position, position);
      await vscode.window.showTextDocument(vscode.Uri.parse(this.place.uri), { viewColumn: vscode.ViewColumn.One, selection });
    }
  }

  private async follow(): Promise<void> {
    const signature = this.signature();
    if (signature !== this.version && this.node !== undefined) {
      this.version = signature;
      const svg = await draw(this.server, this.place);
      // A later edit may have been drawn first.
      if (svg !== undefined && this.version === signature) {
        this.svg = svg;
        this.sendImage();
      }
    }
    this.tell();
  }

  private sendImage(): void {
    this.send({ kind: "graph", place: this.place, name: this.node?.name ?? "pipeline", svg: withoutStyle(this.svg) });
  }

  private tell(): void {
    const { node } = this;
    if (node !== undefined) {
      this.send({ kind: "states", states: statesOf(node, this.pipelines.age(this.place.uri)) });
    }
  }

  private send(message: ToPage): void {
    void this.panel.webview.postMessage(message);
  }

  /// The version of the text changes with every edit, runs do not change it.
  private signature(): string {
    const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === this.place.uri);
    return String(document?.version ?? 0);
  }
}
