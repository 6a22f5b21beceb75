// A terminal for each run, with the output of its steps. A finished run's terminal goes when its pipeline runs again.
import { stat } from "node:fs/promises";
import * as vscode from "vscode";
import type { Pipelines } from "./pipelines";
import type { RunEvent } from "./protocol";
import { candidates, linksIn } from "./pure/links";
import { Backlog, Writer } from "./pure/output";
import type { Server } from "./server";

/// What a terminal keeps until it is shown. A terminal of VS Code itself keeps a thousand lines.
const BACKLOG = 2_000_000;
/// Finished runs whose terminals are kept.
const MOST_TERMINALS = 5;
const INTERRUPT = "\u0003";

/// A terminal that shows the events of one run.
export class RunTerminal implements vscode.Pseudoterminal {
  private readonly writes = new vscode.EventEmitter<string>();
  private readonly closes = new vscode.EventEmitter<number>();
  private readonly backlog = new Backlog(BACKLOG);
  private readonly writer = new Writer();
  private isOpen = false;
  isOver = false;

  readonly onDidWrite = this.writes.event;
  readonly onDidClose = this.closes.event;

  constructor(private readonly cancel: () => void) {}

  open(): void {
    this.isOpen = true;
    this.flush();
  }

  close(): void {
    this.isOpen = false;
  }

  handleInput(data: string): void {
    if (this.isOver) {
      this.closes.fire(0);
    } else if (data === INTERRUPT) {
      this.cancel();
    }
  }

  show(event: RunEvent): void {
    this.say(this.writer.write(event));
    if (event.kind === "runEnd") {
      this.isOver = true;
    }
  }

  /// Ends the terminal's process, for a task.
  end(exitCode: number): void {
    this.isOver = true;
    this.closes.fire(exitCode);
  }

  say(text: string): void {
    if (text !== "") {
      this.backlog.add(text);
      this.flush();
    }
  }

  private flush(): void {
    if (this.isOpen) {
      this.writes.fire(this.backlog.take());
    }
  }
}

interface Shown {
  readonly uri: string | undefined;
  readonly title: string;
  readonly pty: RunTerminal;
  readonly terminal: vscode.Terminal;
}

class RunLink extends vscode.TerminalLink {
  constructor(start: number, length: number, readonly uri: vscode.Uri, readonly selection: vscode.Range) {
    super(start, length, "Open file");
  }
}

export class Terminals implements vscode.TerminalLinkProvider<RunLink>, vscode.Disposable {
  private readonly shown = new Map<string, Shown>();
  /// Runs whose output a task shows.
  private readonly taken = new Set<string>();
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly server: Server,
    private readonly pipelines: Pipelines,
  ) {
    this.subscriptions = [
      server.onRunEvent((event) => { this.handle(event); }),
      server.onDidChange((change) => {
        if (change !== "started") {
          this.abandon();
        }
      }),
      vscode.window.onDidCloseTerminal((terminal) => {
        for (const [runId, shown] of this.shown) {
          if (shown.terminal === terminal) {
            this.shown.delete(runId);
          }
        }
      }),
      vscode.window.registerTerminalLinkProvider(this),
    ];
  }

  /// Leaves the output of a run to a task.
  take(runId: string): void {
    this.taken.add(runId);
  }

  /// Shows the terminal of a run, or of the newest one. Returns whether there is one.
  reveal(runId?: string): boolean {
    const shown = runId === undefined ? [...this.shown.values()].at(-1) : this.shown.get(runId);
    shown?.terminal.show(true);
    return shown !== undefined;
  }

  async provideTerminalLinks(context: vscode.TerminalLinkContext): Promise<RunLink[]> {
    const isOwn = [...this.shown.values()].some(({ terminal }) => terminal === context.terminal);
    if (!isOwn) {
      return [];
    }
    const links = linksIn(context.line).map(async ({ start, length, path, line, column }) => {
      const uri = await this.find(path);
      const position = new vscode.Position(Math.max(line - 1, 0), Math.max(column - 1, 0));
      return uri === undefined ? [] : [new RunLink(start, length, uri, new vscode.Range(position, position))];
    });
    return (await Promise.all(links)).flat();
  }

  async handleTerminalLink(link: RunLink): Promise<void> {
    await vscode.window.showTextDocument(link.uri, { selection: link.selection });
  }

  dispose(): void {
    for (const { terminal } of this.shown.values()) {
      terminal.dispose();
    }
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private handle(event: RunEvent): void {
    if (this.taken.has(event.runId)) {
      if (event.kind === "runEnd") {
        this.taken.delete(event.runId);
      }
      return;
    }
    if (event.kind === "runStart") {
      this.begin(event.runId, event.uri, event.title);
    }
    this.shown.get(event.runId)?.pty.show(event);
  }

  private begin(runId: string, uri: string | undefined, title: string): void {
    const old = [...this.shown].filter(([, shown]) => shown.pty.isOver && shown.uri === uri && shown.title === title);
    const finished = [...this.shown].filter(([, shown]) => shown.pty.isOver);
    const tooMany = finished.slice(0, Math.max(0, finished.length - MOST_TERMINALS + 1));
    const wasActive = old.some(([, { terminal }]) => terminal === vscode.window.activeTerminal);
    const pty = new RunTerminal(() => void this.server.execute("pipelens.cancel", { runId }));
    const terminal = vscode.window.createTerminal({ name: title, pty, iconPath: new vscode.ThemeIcon("play-circle"), isTransient: true });
    if (wasActive) {
      terminal.show(true);
    }
    for (const [oldId, shown] of [...old, ...tooMany]) {
      this.shown.delete(oldId);
      shown.terminal.dispose();
    }
    this.shown.set(runId, { uri, title, pty, terminal });
  }

  /// The server has ended, and every run with it.
  private abandon(): void {
    for (const { pty } of this.shown.values()) {
      if (!pty.isOver) {
        pty.say("\u001b[33m– cancelled: the server has ended\u001b[0m\r\n");
        pty.isOver = true;
      }
    }
    this.taken.clear();
  }

  /// Finds the file that a printed path means.
  private async find(path: string): Promise<vscode.Uri | undefined> {
    const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri);
    const projects = this.pipelines.all.map(({ uri }) => vscode.Uri.joinPath(vscode.Uri.parse(uri), ".."));
    for (const candidate of candidates(path)) {
      for (const folder of [...projects, ...folders]) {
        const uri = vscode.Uri.joinPath(folder, candidate);
        if (await isFile(uri.fsPath)) {
          return uri;
        }
      }
    }
    return undefined;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
