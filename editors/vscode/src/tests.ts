// Pipelines and their steps in the Test Explorer: buttons in the gutter, states, durations, output.
import * as vscode from "vscode";
import type { Pipelines } from "./pipelines";
import type { PipelineNode, RunEvent, StepNode } from "./protocol";
import { failedRun } from "./pure/cursor";
import { Writer } from "./pure/output";
import { leaves, selected, type Tree } from "./pure/selection";
import { isFailure, isLeft, words } from "./pure/words";
import { refuse, type Server } from "./server";

/// What an item stands for.
interface Place {
  readonly uri: string;
  readonly pipeline: number;
  /// The key of a step, or of one combination. Without one, the whole pipeline.
  readonly step?: string;
}

const TREE: Tree<vscode.TestItem> = {
  parent: (item) => item.parent,
  children: (item) => [...item.children].map(([, child]) => child),
};

type Kind = "run" | "from" | "watch";

/// A run that is shown.
class Followed {
  private readonly writer = new Writer();
  private readonly unsettled = new Set<string>();
  private settling: Promise<void> = Promise.resolve();

  constructor(
    readonly run: vscode.TestRun,
    private readonly place: Place,
    private readonly tests: Tests,
  ) {}

  handle(event: RunEvent): void {
    const text = this.writer.write(event);
    const item = "step" in event ? this.tests.item({ ...this.place, step: event.step }) : undefined;
    if (text !== "") {
      this.run.appendOutput(text, undefined, item);
    }
    switch (event.kind) {
      case "runStart":
        for (const step of event.steps) {
          this.unsettled.add(step.key);
          this.with(step.key, (item) => { this.run.enqueued(item); });
        }
        break;
      case "stepStart":
        this.with(event.step, (item) => { this.run.started(item); });
        break;
      case "stepEnd":
        this.unsettled.delete(event.step);
        this.settling = this.settling.then(() => this.settle(event));
        break;
      case "runEnd":
        void this.end();
        break;
      case "notice":
      case "stepQueued":
      case "imageResolved":
      case "stepPhase":
      case "stepLog":
      case "stepLogSkipped":
      case "stepArtifacts":
      case "stepKept":
        break;
    }
  }

  /// Ends what has not ended, for whatever reason.
  async end(): Promise<void> {
    await this.settling;
    for (const key of this.unsettled) {
      this.with(key, (item) => { this.run.skipped(item); });
    }
    this.unsettled.clear();
    this.run.end();
  }

  private with(step: string, change: (item: vscode.TestItem) => void): void {
    const item = this.tests.item({ ...this.place, step });
    if (item !== undefined) {
      change(item);
    }
  }

  private async settle(event: Extract<RunEvent, { kind: "stepEnd" }>): Promise<void> {
    const { step, outcome, durationMs } = event;
    const item = this.tests.item({ ...this.place, step });
    if (item === undefined) {
      return;
    }
    if (outcome === "succeeded" || outcome === "cached") {
      this.run.passed(item, durationMs);
    } else if (isFailure(outcome)) {
      const message = await this.tests.message(item, step, event.reason ?? words(outcome, event.exitCode));
      if (outcome === "errored") {
        this.run.errored(item, message, durationMs);
      } else {
        this.run.failed(item, message, durationMs);
      }
    } else {
      this.run.skipped(item);
    }
  }
}

export class Tests implements vscode.Disposable {
  private readonly controller = vscode.tests.createTestController("pipelens", "Pipelines");
  private readonly places = new WeakMap<vscode.TestItem, Place>();
  private readonly items = new Map<string, vscode.TestItem>();
  private readonly followed = new Map<string, Followed>();
  /// Events of runs whose pipeline is not known yet.
  private readonly waiting = new Map<string, RunEvent[]>();
  private readonly watched = new Map<string, vscode.TestRunRequest>();
  /// Documents in which lines were replaced: their buttons have moved to the end of what was replaced.
  private readonly displaced = new Set<string>();
  private readonly subscriptions: { dispose(): unknown }[];

  constructor(
    private readonly server: Server,
    private readonly pipelines: Pipelines,
  ) {
    const { Run } = vscode.TestRunProfileKind;
    const { controller } = this;
    controller.createRunProfile("Run", Run, (request, token) => this.start("run", request, token), true, undefined, true);
    controller.createRunProfile("Run From Here", Run, (request, token) => this.start("from", request, token));
    controller.createRunProfile("Watch", Run, (request, token) => this.start("watch", request, token), false, undefined, true);
    controller.createRunProfile("Rerun Failed", Run, (request, token) => this.rerun(request, token));
    controller.refreshHandler = async () => {
      await Promise.all([...new Set(pipelines.all.map(({ uri }) => uri))].map((uri) => pipelines.refresh(uri)));
    };
    this.subscriptions = [
      controller,
      pipelines.onDidChange(() => { this.draw(); }),
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.some(({ range }) => !range.isSingleLine)) {
          this.displaced.add(document.uri.toString());
        }
      }),
      server.onRunEvent((event) => { this.handle(event); }),
      server.onDidChange((change) => {
        if (change !== "started") {
          this.abandon();
        }
      }),
    ];
  }

  item(place: Place): vscode.TestItem | undefined {
    return this.items.get(idOf(place));
  }

  /// Returns what to show about a failure, on the line that the server marks.
  async message(item: vscode.TestItem, step: string, text: string): Promise<vscode.TestMessage> {
    const { uri } = item;
    if (uri === undefined) {
      return new vscode.TestMessage(text);
    }
    const isAbout = (finding: { code?: unknown; message: string }): boolean =>
      finding.code === "step-failed" && finding.message.includes(`\`${step}\``);
    const asked = await this.server.findings(uri.toString()).catch(() => []);
    const finding = asked.find(isAbout) ?? vscode.languages.getDiagnostics(uri).find(isAbout);
    const message = new vscode.TestMessage(finding?.message ?? text);
    const range = finding?.range ?? item.range;
    if (range !== undefined) {
      message.location = new vscode.Location(uri, range);
    }
    return message;
  }

  dispose(): void {
    this.abandon();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  /// Makes the items those that the server describes. Items stay, so that VS Code keeps their states.
  private draw(): void {
    const kept = new Set<string>();
    const roots = this.pipelines.all.map((pipeline) => this.drawPipeline(pipeline, kept));
    this.displaced.clear();
    this.controller.items.replace(roots);
    for (const id of this.items.keys()) {
      if (!kept.has(id)) {
        this.items.delete(id);
      }
    }
  }

  private drawPipeline(pipeline: PipelineNode, kept: Set<string>): vscode.TestItem {
    const { uri, name, position } = pipeline;
    const place = { uri, pipeline: pipeline.pipeline };
    const item = this.keep(place, name, position, kept);
    item.description = vscode.workspace.asRelativePath(vscode.Uri.parse(uri));
    item.children.replace(pipeline.steps.map((step) => this.drawStep(place, step, kept)));
    return item;
  }

  private drawStep(place: Place, step: StepNode, kept: Set<string>): vscode.TestItem {
    const item = this.keep({ ...place, step: step.key }, step.key, step.position, kept);
    item.description = step.label ?? "";
    item.children.replace(step.entries.map((entry) => this.drawStep(place, entry, kept)));
    return item;
  }

  private keep(place: Place, label: string, position: { line: number; character: number }, kept: Set<string>): vscode.TestItem {
    const id = idOf(place);
    kept.add(id);
    const item = this.items.get(id) ?? this.controller.createTestItem(id, label, vscode.Uri.parse(place.uri));
    item.label = label;
    item.sortText = String(position.line).padStart(8, "0") + String(position.character).padStart(6, "0");
    const start = new vscode.Position(position.line, position.character);
    if (this.displaced.has(place.uri)) {
      // VS Code would take the same range for no change.
      item.range = undefined;
    }
    if (item.range?.start.isEqual(start) !== true) {
      item.range = new vscode.Range(start, start);
    }
    this.items.set(id, item);
    this.places.set(item, place);
    return item;
  }

  private async start(kind: Kind, request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<void> {
    for (const place of this.selected(request).flatMap((item) => this.places.get(item) ?? [])) {
      if (kind === "watch" || request.continuous === true) {
        await this.watch(place, request, token);
      } else {
        await this.run(kind, place, request, token);
      }
    }
  }

  private async run(kind: Kind, place: Place, request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<void> {
    const { uri, pipeline, step } = place;
    const answer =
      step === undefined
        ? await this.server.execute("pipelens.runPipeline", { uri, pipeline })
        : await this.server.execute(kind === "from" ? "pipelens.runFrom" : "pipelens.runStep", { uri, pipeline, step });
    this.follow(answer?.runId, place, request, token);
  }

  private selected(request: vscode.TestRunRequest): vscode.TestItem[] {
    const included = request.include ?? [...this.controller.items].map(([, item]) => item);
    return selected(included, request.exclude ?? [], TREE);
  }

  /// Runs again what failed: in the selection, or, if nothing is selected, in the newest run with failed steps.
  private async rerun(request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<void> {
    if (request.include === undefined && (request.exclude ?? []).length === 0) {
      await this.rerunNewest(request, token);
      return;
    }
    let count = 0;
    for (const item of this.selected(request)) {
      const place = this.places.get(item);
      if (place !== undefined) {
        count += await (place.step === undefined ? this.rerunPipeline(place, request, token) : this.rerunSteps(item, request, token));
      }
    }
    if (count === 0) {
      await refuse("No step of the selection has failed, so there is nothing to run again");
    }
  }

  /// Returns how many runs it starts.
  private async rerunPipeline(place: Place, request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<number> {
    const node = this.node(place);
    const failed = node === undefined ? undefined : failedRun([node]);
    if (failed === undefined) {
      return 0;
    }
    const answer = await this.server.execute("pipelens.rerunFailed", { runId: failed.runId });
    this.follow(answer?.runId, place, request, token);
    return 1;
  }

  private async rerunSteps(item: vscode.TestItem, request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<number> {
    const places = leaves([item], TREE).flatMap((leaf) => this.places.get(leaf) ?? []);
    const failed = places.filter((place) => isLeft(this.stateOf(place)));
    for (const place of failed) {
      await this.run("run", place, request, token);
    }
    return failed.length;
  }

  private async rerunNewest(request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<void> {
    const answer = await this.server.execute("pipelens.rerunFailed");
    if (answer?.runId !== undefined) {
      // Its pipeline is known once the run has begun.
      const { runId } = answer;
      token.onCancellationRequested(() => void this.server.execute("pipelens.cancel", { runId }));
      if (!this.followed.has(runId)) {
        this.watched.set(runId, request);
      }
    }
  }

  private node({ uri, pipeline }: Place): PipelineNode | undefined {
    return this.pipelines.of(uri).find((node) => node.pipeline === pipeline);
  }

  /// Returns the newest state of a step or a combination.
  private stateOf(place: Place): string | undefined {
    const steps = this.node(place)?.steps ?? [];
    return [...steps, ...steps.flatMap(({ entries }) => entries)].find(({ key }) => key === place.step)?.state?.state;
  }

  private async watch(place: Place, request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<void> {
    const { uri, pipeline, step } = place;
    const id = idOf(place);
    this.watched.set(id, request);
    const answer = await this.server.execute("pipelens.watch", { uri, pipeline, ...(step === undefined ? {} : { step }) });
    const end = async (): Promise<void> => {
      this.watched.delete(id);
      if (answer !== undefined && this.server.isRunning) {
        await this.server.execute("pipelens.stopWatching", { watchId: answer.watchId });
      }
    };
    if (answer === undefined) {
      this.watched.delete(id);
    } else if (token.isCancellationRequested) {
      await end();
    } else {
      token.onCancellationRequested(() => void end());
    }
  }

  /// Shows a run that was started here.
  private follow(runId: string | undefined, place: Place, request: vscode.TestRunRequest, token?: vscode.CancellationToken): void {
    if (runId === undefined) {
      return;
    }
    const run = this.controller.createTestRun(request);
    const cancel = (): void => void this.server.execute("pipelens.cancel", { runId });
    run.token.onCancellationRequested(cancel);
    token?.onCancellationRequested(cancel);
    const followed = new Followed(run, place, this);
    this.followed.set(runId, followed);
    for (const event of this.waiting.get(runId) ?? []) {
      followed.handle(event);
    }
    this.waiting.delete(runId);
  }

  private handle(event: RunEvent): void {
    const { runId, uri } = event;
    const waiting = this.waiting.get(runId);
    if (waiting !== undefined) {
      waiting.push(event);
    } else if (this.followed.has(runId)) {
      this.followed.get(runId)?.handle(event);
    } else if (event.kind === "runStart" && uri !== undefined) {
      this.waiting.set(runId, [event]);
      void this.adopt(runId, uri, event.steps.map(({ key }) => key));
    }
    if (event.kind === "runEnd") {
      this.followed.delete(runId);
      if (!this.waiting.has(runId)) {
        this.watched.delete(runId);
      }
    }
  }

  /// Shows a run that was started elsewhere: by a lens, a command, or because a file has changed.
  private async adopt(runId: string, uri: string, steps: readonly string[]): Promise<void> {
    await this.pipelines.refresh(uri);
    const pipeline = this.pipelines.of(uri).find(({ runs }) => runs.some((run) => run.runId === runId));
    if (pipeline === undefined) {
      this.waiting.delete(runId);
      return;
    }
    const place = { uri, pipeline: pipeline.pipeline };
    const ids = [...steps.map((step) => idOf({ ...place, step })), idOf(place)];
    const items = ids.slice(0, -1).flatMap((id) => this.items.get(id) ?? []);
    const request =
      this.watched.get(runId) ??
      ids.map((id) => this.watched.get(id)).find((request) => request !== undefined) ??
      new vscode.TestRunRequest(items);
    this.watched.delete(runId);
    const events = this.waiting.get(runId) ?? [];
    const isOver = events.some(({ kind }) => kind === "runEnd");
    this.follow(runId, place, request);
    if (isOver) {
      this.followed.delete(runId);
    }
  }

  /// The server has ended, and every run with it.
  private abandon(): void {
    for (const followed of this.followed.values()) {
      void followed.end();
    }
    this.followed.clear();
    this.waiting.clear();
    this.watched.clear();
  }
}

function idOf({ uri, pipeline, step }: Place): string {
  return `${uri}#${pipeline}${step === undefined ? "" : `/${step}`}`;
}
