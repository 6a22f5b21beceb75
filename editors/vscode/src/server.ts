// The server's process and the client for it. A client is made anew whenever the server is started, so a changed path, a crash and a missing
// program need no reload of the window.
import * as vscode from "vscode";
import type { LanguageClient, Middleware } from "vscode-languageclient/node";
import type { RunProgress } from "./progress";
import type { CommandArguments, Refusal, RunEvent, RunsParams, RunTree } from "./protocol";
import { findServer } from "./pure/binary";
import { helpFor, refusalOf } from "./pure/refusal";
import { commandGlobs, openSetting, serverSettings } from "./settings";

/// What the commands answer with.
interface RunAnswer {
  readonly runId?: string;
}
export interface Answers {
  "pipelens.runPipeline": RunAnswer;
  "pipelens.runStep": RunAnswer;
  "pipelens.runFrom": RunAnswer;
  "pipelens.rerunFailed": RunAnswer;
  "pipelens.chooseCombination": { readonly combinations: string[] };
  "pipelens.watch": { readonly watchId: string };
  "pipelens.stopWatching": { readonly stopped: string[] };
  "pipelens.cancel": { readonly cancelled: string[] };
  "pipelens.openLog": { readonly path: string };
  "pipelens.openArtifacts": { readonly path: string };
  "pipelens.showGraph": { readonly path: string };
  "pipelens.openShell": { readonly command: string };
  "pipelens.listRuns": unknown;
  "pipelens.clearCache": { readonly removedBytes: number };
  "pipelens.doctor": unknown;
}

export type Command = keyof CommandArguments;

/// `ended`: another one is about to be started. `missing`: the user has to do something first.
export type Change = "started" | "ended" | "missing";

/// After this many crashes within the time below, the user decides whether to start the server again.
const MOST_CRASHES = 3;
const CRASH_TIME_MS = 3 * 60 * 1000;

export class Server implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private progress: RunProgress | undefined;
  private readonly events = new vscode.EventEmitter<RunEvent>();
  private readonly changes = new vscode.EventEmitter<Change>();
  private readonly lenses = new vscode.EventEmitter<vscode.TextDocument>();
  private readonly logs = new vscode.EventEmitter<string>();
  private readonly asked = new vscode.EventEmitter<void>();
  private crashes: number[] = [];
  /// What the last start was decided by.
  private startedAs: string | undefined;
  /// One start or stop after another.
  private turn: Promise<void> = Promise.resolve();

  /// The events of every run, in order.
  readonly onRunEvent = this.events.event;
  readonly onDidChange = this.changes.event;
  /// The lenses of a document are asked for: it has changed, or the server knows more about it.
  readonly onLenses = this.lenses.event;
  /// The URI of a log that is shown and has grown.
  readonly onLogChange = this.logs.event;
  /// The server is told the settings of each folder.
  readonly onSettings = this.asked.event;
  /// What a command of a lens does here, rather than in the server.
  readonly own = new Map<string, (argument: unknown) => Promise<unknown>>();

  constructor(
    private readonly context: vscode.ExtensionContext,
    readonly output: vscode.OutputChannel,
  ) {}

  get isRunning(): boolean {
    return this.client?.isRunning() === true;
  }

  /// Returns the program, or why there is none.
  program(): ReturnType<typeof findServer> {
    return findServer({
      configured: vscode.workspace.getConfiguration("pipelens").get<string>("server.path") ?? "",
      extension: this.context.extensionPath,
      path: process.env["PATH"] ?? "",
      workspaces: (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri.fsPath),
      platform: process.platform,
    });
  }

  /// Starts the server, or ends it and starts it again.
  restart(): Promise<void> {
    this.turn = this.turn.then(async () => {
      try {
        await this.end();
        await this.start();
      } catch (error) {
        // The next turn has to come.
        this.output.appendLine(reasonOf(error));
      }
    });
    return this.turn;
  }

  /// Waits for a start or stop that has begun.
  ready(): Promise<void> {
    return this.turn;
  }

  async stop(): Promise<void> {
    await this.turn;
    await this.end();
  }

  dispose(): void {
    this.progress?.dispose();
    this.events.dispose();
    this.changes.dispose();
    this.lenses.dispose();
    this.logs.dispose();
    this.asked.dispose();
  }

  /// Tells the server about changed settings, or starts another one if they name another program or other files.
  /// Whoever trusts a workspace is told that all restricted settings have changed: most of them have not.
  async configure(): Promise<void> {
    await this.ready();
    if (setupOf(this.program()) !== this.startedAs) {
      await this.restart();
      return;
    }
    await this.notify("workspace/didChangeConfiguration", { settings: serverSettings(this.context.extension) });
  }

  async trust(): Promise<void> {
    await this.notify("pipelens/didChangeTrust", { trusted: true });
  }

  /// Asks for the tree of a file's pipelines and runs. Without a server, there is none.
  async tree(params: RunsParams): Promise<RunTree | undefined> {
    try {
      return this.isRunning ? await this.client?.sendRequest<RunTree>("pipelens/runs", params) : undefined;
    } catch (error) {
      // It has just ended.
      this.output.appendLine(reasonOf(error));
      return undefined;
    }
  }

  /// Asks for the text of a log.
  async logText(uri: string): Promise<string | undefined> {
    const answer = this.isRunning ? await this.client?.sendRequest<{ text: string }>("workspace/textDocumentContent", { uri }) : undefined;
    return answer?.text;
  }

  /// Asks for the findings of a file as they are now, where the server lets clients ask.
  async findings(uri: string): Promise<readonly { range: vscode.Range; code?: unknown; message: string }[]> {
    const client = this.client;
    if (client?.initializeResult?.capabilities.diagnosticProvider === undefined) {
      return [];
    }
    const report = await client.sendRequest<{ items?: never[] }>("textDocument/diagnostic", { textDocument: { uri } });
    return client.protocol2CodeConverter.asDiagnostics(report.items ?? []);
  }

  /// Asks the server to execute a command for the extension itself. If it refuses, that is only in the output.
  async ask<C extends Command>(command: C, argument: CommandArguments[C]): Promise<Answers[C] | undefined> {
    try {
      const params = { command, arguments: [argument] };
      return this.isRunning ? await this.client?.sendRequest<Answers[C]>("workspace/executeCommand", params) : undefined;
    } catch (error) {
      this.output.appendLine(reasonOf(error));
      return undefined;
    }
  }

  /// Asks the server to execute a command. If it refuses, the user is told why, once, and nothing is returned.
  async execute<C extends Command>(command: C, argument?: CommandArguments[C]): Promise<Answers[C] | undefined> {
    if (!this.isRunning) {
      // It may be starting.
      await this.turn;
    }
    const client = this.client;
    if (client?.isRunning() !== true) {
      this.explainMissing("The pipelens server is not running.");
      return undefined;
    }
    try {
      const params = { command, arguments: argument === undefined ? [] : [argument] };
      return await client.sendRequest<Answers[C]>("workspace/executeCommand", params);
    } catch (error) {
      // If the server has died meanwhile, that is what the user is told.
      if (client === this.client && client.isRunning()) {
        void refuse(reasonOf(error), refusalOf(error));
      }
      return undefined;
    }
  }

  private async start(): Promise<void> {
    const program = this.program();
    this.startedAs = setupOf(program);
    if ("missing" in program) {
      this.giveUp(`pipelens cannot find its server: ${program.missing}.`);
      return;
    }
    // Most of the extension's code is for this: it is loaded when the rest is in place.
    const { createClient, RunProgress, State } = await import("./client.js");
    this.progress ??= new RunProgress();
    const { output, context } = this;
    const settings = serverSettings(context.extension);
    const client = createClient({ program: program.path, folder: context.extensionPath, output, settings, middleware: this.middleware() });
    client.onNotification("pipelens/runEvent", (event: RunEvent) => {
      this.events.fire(event);
    });
    client.onRequest("workspace/textDocumentContent/refresh", ({ uri }: { uri: string }) => {
      this.logs.fire(uri);
      return null;
    });
    this.client = client;
    try {
      await client.start();
    } catch (error) {
      this.client = undefined;
      this.giveUp(`pipelens cannot start its server \`${program.path}\`: ${reasonOf(error)}.`);
      return;
    }
    client.onDidChangeState(({ newState }) => {
      if (newState === State.Stopped && this.client === client) {
        this.recover();
      }
    });
    this.tell("started");
  }

  private async notify(method: string, params: object): Promise<void> {
    // A server that is starting was made with what was true before.
    await this.ready();
    try {
      if (this.isRunning) {
        await this.client?.sendNotification(method, params);
      }
    } catch (error) {
      // It has just ended. The next one is told when it starts.
      this.output.appendLine(reasonOf(error));
    }
  }

  private tell(change: Change): void {
    void vscode.commands.executeCommand("setContext", "pipelens.isServerMissing", change === "missing");
    this.changes.fire(change);
  }

  private giveUp(message: string): void {
    this.tell("missing");
    this.explainMissing(message);
  }

  private async end(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    if (client === undefined) {
      return;
    }
    this.progress?.dispose();
    try {
      await client.dispose();
    } catch (error) {
      // It had died.
      this.output.appendLine(reasonOf(error));
    }
    this.changes.fire("ended");
  }

  /// The server has died: starts it again, and says so once.
  private recover(): void {
    this.progress?.dispose();
    const now = Date.now();
    this.crashes = [...this.crashes.filter((time) => now - time < CRASH_TIME_MS), now];
    if (this.crashes.length > MOST_CRASHES) {
      this.client = undefined;
      this.tell("missing");
      void this.offerRestart(`The pipelens server has ended unexpectedly ${this.crashes.length} times in three minutes.`);
      return;
    }
    void this.restart().then(() => {
      if (this.isRunning) {
        void this.offerOutput("The pipelens server ended unexpectedly and was started again. Runs that had not finished are cancelled.");
      }
    });
  }

  private async offerOutput(message: string): Promise<void> {
    if ((await vscode.window.showWarningMessage(message, "Show Output")) !== undefined) {
      this.output.show();
    }
  }

  private async offerRestart(message: string): Promise<void> {
    const chosen = await vscode.window.showErrorMessage(message, "Restart Server", "Show Output");
    if (chosen === "Restart Server") {
      this.crashes = [];
      await this.restart();
    } else if (chosen === "Show Output") {
      this.output.show();
    }
  }

  private explainMissing(message: string): void {
    const install = "Install it, or set its path in `pipelens.server.path`.";
    void vscode.window.showErrorMessage(`${message} ${install}`, "Open Settings", "Retry").then(async (chosen) => {
      if (chosen === "Open Settings") {
        await openSetting("pipelens.server.path");
      } else if (chosen === "Retry" && !this.isRunning) {
        await this.restart();
      }
    });
  }

  private middleware(): Middleware {
    return {
      handleWorkDoneProgress: (token, params, next) => {
        if (this.client === undefined || this.progress?.handle(this.client, token, params) !== true) {
          next(token, params);
        }
      },
      workspace: {
        // The client's own answer has the defaults too.
        configuration: ({ items }) => {
          this.asked.fire();
          return items.map(({ scopeUri }) => serverSettings(this.context.extension, scopeUri === undefined ? undefined : vscode.Uri.parse(scopeUri)));
        },
      },
      provideCodeLenses: (document, token, next) => {
        this.lenses.fire(document);
        return next(document, token);
      },
      // The client's own way shows a second message if a command is refused.
      executeCommand: (command, args) => {
        const [argument] = args as unknown[];
        const own = this.own.get(command);
        return own === undefined ? this.execute(command as Command, argument as CommandArguments[Command]) : own(argument);
      },
    };
  }
}

/// Shows why something was refused, with the button that helps.
export async function refuse(message: string, refusal?: Refusal): Promise<void> {
  const help = refusal === undefined ? undefined : helpFor(refusal);
  const buttons = help === undefined ? [] : [help.title];
  const chosen = await vscode.window.showErrorMessage(message, ...buttons);
  if (help !== undefined && chosen === help.title) {
    await ("setting" in help ? openSetting(help.setting) : vscode.commands.executeCommand(help.command));
  }
}

/// What has to be the same for a server to stay: its program, or why there is none, and which files it gets.
function setupOf(program: ReturnType<typeof findServer>): string {
  return JSON.stringify([program, commandGlobs()]);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
