// What the server says about the pipelines of the workspace and their runs. Everything that is drawn comes from here.
import * as vscode from "vscode";
import type { PipelineNode } from "./protocol";
import { documents, isData, programGlobs } from "./pure/programs";
import { withoutRunning } from "./pure/words";
import { commandGlobs, filesOf } from "./settings";
import type { Change, Server } from "./server";

/// Edits are asked about when the user pauses.
const PAUSE_MS = 300;
/// Run events come in bursts.
const BURST_MS = 150;
/// Large folders that are made by tools.
const IGNORED = "**/{node_modules,target}/**";
/// More files than a view can show.
const MOST_FILES = 200;

/// The schema of pipelines: the manifest says which files have it.
const PIPELINE_SCHEMA = "./dist/pipeline.schema.json";

interface Manifest {
  contributes: Record<"jsonValidation" | "yamlValidation", readonly { fileMatch: readonly string[]; url: string }[]>;
}

export class Pipelines implements vscode.Disposable {
  private readonly files = new Map<string, { nodes: PipelineNode[]; asked: number }>();
  private readonly changes = new vscode.EventEmitter<void>();
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly subscriptions: { dispose(): unknown }[] = [];
  private ticking: NodeJS.Timeout | undefined;
  private finding: NodeJS.Timeout | undefined;
  /// Whether a setting added files when they were looked for.
  private hasFurther = false;

  readonly onDidChange = this.changes.event;

  constructor(
    private readonly server: Server,
    private readonly extension: vscode.Extension<unknown>,
  ) {
    const globs = this.globs();
    const patterns = [`**/{${globs.join(",")}}`, ...programGlobs([])];
    const watchers = patterns.map((pattern) => vscode.workspace.createFileSystemWatcher(pattern));
    this.subscriptions.push(
      this.changes,
      ...watchers.flatMap((watcher) => [
        watcher,
        watcher.onDidCreate((uri) => { this.want(uri.toString(), BURST_MS); }),
        watcher.onDidDelete((uri) => { this.forget(uri.toString()); }),
      ]),
      server.onDidChange((change) => void this.reset(change)),
      vscode.workspace.onDidChangeWorkspaceFolders(() => void this.find()),
      server.onSettings(() => { this.findFurther(); }),
      // Without trust, the server does not look at earlier runs.
      vscode.workspace.onDidGrantWorkspaceTrust(() => void this.find()),
      server.onRunEvent((event) => {
        if (event.uri !== undefined && event.kind !== "stepLog" && event.kind !== "stepLogSkipped") {
          this.want(event.uri, BURST_MS);
        }
      }),
      // What a program makes is known when it was executed, some time after it was saved.
      server.onLenses((document) => {
        if (!isData(document.languageId)) {
          this.wantDocument(document);
        }
      }),
      vscode.workspace.onDidOpenTextDocument((document) => { this.wantDocument(document); }),
      vscode.workspace.onDidSaveTextDocument((document) => { this.wantDocument(document); }),
      vscode.workspace.onDidCloseTextDocument((document) => { this.wantKnown(document); }),
      vscode.workspace.onDidChangeTextDocument(({ document }) => { this.wantKnown(document); }),
      vscode.window.onDidChangeActiveTextEditor(() => { this.tellContext(); }),
    );
  }

  get all(): readonly PipelineNode[] {
    return [...this.files.keys()].sort().flatMap((uri) => this.of(uri));
  }

  of(uri: string): readonly PipelineNode[] {
    return this.files.get(uri)?.nodes ?? [];
  }

  /// Returns how long ago the server described a file.
  age(uri: string): number {
    return Date.now() - (this.files.get(uri)?.asked ?? Date.now());
  }

  /// Returns the file a command is about: the one it is given, else that of the active editor, else the only one there is.
  meant(given?: vscode.Uri): string | undefined {
    const active = vscode.window.activeTextEditor?.document.uri;
    const candidates = [given, active, ...vscode.window.visibleTextEditors.map(({ document }) => document.uri)];
    const known = candidates.flatMap((uri) => (uri === undefined ? [] : [uri.toString()])).find((uri) => this.files.has(uri));
    return known ?? (this.files.size === 1 ? [...this.files.keys()][0] : undefined);
  }

  /// Asks the server about a file.
  async refresh(uri: string): Promise<void> {
    clearTimeout(this.timers.get(uri));
    this.timers.delete(uri);
    const tree = await this.server.tree({ uri });
    if (tree === undefined) {
      return;
    }
    if (tree.pipelines.length === 0) {
      this.files.delete(uri);
    } else {
      this.files.set(uri, { nodes: tree.pipelines, asked: Date.now() });
    }
    this.tell();
  }

  dispose(): void {
    clearInterval(this.ticking);
    clearTimeout(this.finding);
    for (const timer of this.timers.values()) {
      clearTimeout(timer);
    }
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private globs(): string[] {
    const { contributes } = this.extension.packageJSON as Manifest;
    const validations = [...contributes.yamlValidation, ...contributes.jsonValidation];
    const globs = validations.filter(({ url }) => url === PIPELINE_SCHEMA).flatMap(({ fileMatch }) => fileMatch);
    // The server says of the others that they are no pipelines.
    return globs.filter((glob) => !glob.startsWith("!"));
  }

  /// Looks for all pipelines anew.
  private async reset(change: Change): Promise<void> {
    if (change !== "started") {
      if (change === "missing") {
        this.files.clear();
      }
      // What is shown stays until the next server describes it.
      for (const file of this.files.values()) {
        file.nodes = file.nodes.map(withoutRunning);
      }
      this.tell();
      return;
    }
    await this.find();
    void vscode.commands.executeCommand("setContext", "pipelens.isReady", true);
  }

  /// Asks about every file that may be a pipeline.
  private async find(): Promise<void> {
    const further = furtherPatterns();
    this.hasFurther = further.length > 0;
    const patterns = [`**/{${this.globs().join(",")}}`, ...programGlobs(commandGlobs()), ...further];
    const found = await Promise.all(patterns.map((pattern) => vscode.workspace.findFiles(pattern, IGNORED, MOST_FILES)));
    const open = vscode.workspace.textDocuments.filter(isCandidate).map(({ uri }) => uri);
    const uris = new Set([...[...found.flat(), ...open].map(String), ...this.files.keys()]);
    await Promise.all([...uris].map((uri) => this.refresh(uri)));
    this.tell();
  }

  /// Looks for the files that a setting adds or added, once the server has it.
  private findFurther(): void {
    if (this.hasFurther || furtherPatterns().length > 0) {
      clearTimeout(this.finding);
      this.finding = setTimeout(() => { void this.find(); }, BURST_MS);
    }
  }

  private forget(uri: string): void {
    this.files.delete(uri);
    this.tell();
  }

  private wantDocument(document: vscode.TextDocument): void {
    if (isCandidate(document)) {
      this.want(document.uri.toString(), BURST_MS);
    }
  }

  private wantKnown(document: vscode.TextDocument): void {
    const uri = document.uri.toString();
    if (this.files.has(uri)) {
      clearTimeout(this.timers.get(uri));
      this.timers.delete(uri);
      this.want(uri, PAUSE_MS);
    }
  }

  /// Asks about a file soon. What happens until then is answered along with it.
  private want(uri: string, delayMs: number): void {
    if (!this.timers.has(uri)) {
      this.timers.set(uri, setTimeout(() => { void this.refresh(uri); }, delayMs));
    }
  }

  private tell(): void {
    const isRunning = this.all.some(({ runs }) => runs.some(({ state }) => state === "running"));
    if (isRunning && this.ticking === undefined) {
      this.ticking = setInterval(() => { this.changes.fire(); }, 1000);
    } else if (!isRunning) {
      clearInterval(this.ticking);
      this.ticking = undefined;
    }
    void vscode.commands.executeCommand("setContext", "pipelens.isRunning", isRunning);
    void vscode.commands.executeCommand("setContext", "pipelens.hasPipelines", this.files.size > 0);
    void vscode.commands.executeCommand("setContext", "pipelens.paths", [...this.files.keys()].map((uri) => vscode.Uri.parse(uri).fsPath));
    this.tellContext();
    this.changes.fire();
  }

  /// The palette has the commands of a pipeline while one is in the active editor.
  private tellContext(): void {
    void vscode.commands.executeCommand("setContext", "pipelens.isPipeline", this.meant() !== undefined);
  }
}

function furtherPatterns(): vscode.RelativePattern[] {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return folders.flatMap((folder) => filesOf(folder).map((glob) => new vscode.RelativePattern(folder, glob)));
}

function isCandidate(document: vscode.TextDocument): boolean {
  return vscode.languages.match(documents(commandGlobs()), document) > 0;
}
