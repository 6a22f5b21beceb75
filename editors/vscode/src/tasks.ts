// Tasks: `{"type": "pipelens", "file": "pipeline.yml", "step": "build"}`, and with `pipeline` if the file has several.
import * as vscode from "vscode";
import type { Pipelines } from "./pipelines";
import type { PipelineRef, RunEvent } from "./protocol";
import { pipelineRef, refIndex } from "./pure/references";
import type { Server } from "./server";
import { RunTerminal, type Terminals } from "./terminals";

const TYPE = "pipelens";

interface Definition extends vscode.TaskDefinition {
  readonly file: string;
  /// The name or the index of a pipeline. Without one, the first.
  readonly pipeline?: PipelineRef;
  readonly step?: string;
}

export class Tasks implements vscode.TaskProvider {
  constructor(
    private readonly server: Server,
    private readonly pipelines: Pipelines,
    private readonly terminals: Terminals,
  ) {}

  provideTasks(): vscode.Task[] {
    return this.pipelines.all.flatMap((pipeline) => {
      const uri = vscode.Uri.parse(pipeline.uri);
      const folder = vscode.workspace.getWorkspaceFolder(uri);
      if (folder === undefined) {
        return [];
      }
      const file = vscode.workspace.asRelativePath(uri, false);
      const ref = pipelineRef(this.pipelines.of(pipeline.uri), pipeline.pipeline);
      const whole = { type: TYPE, file, ...(ref === undefined ? {} : { pipeline: ref }) };
      const steps = pipeline.steps.map(({ key }) => this.task({ ...whole, step: key }, folder));
      return [this.task(whole, folder), ...steps];
    });
  }

  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const { scope, definition } = task;
    const isFolder = typeof scope === "object";
    // VS Code asks for the same definition back.
    return isFolder && typeof definition["file"] === "string" ? this.task(definition as Definition, scope) : undefined;
  }

  private task(definition: Definition, folder: vscode.WorkspaceFolder): vscode.Task {
    const { file, pipeline, step } = definition;
    const name = [file, pipeline, step].filter((part) => part !== undefined).join(": ");
    const uri = vscode.Uri.joinPath(folder.uri, file).toString();
    const start = async (): Promise<{ runId?: string } | undefined> => {
      const index = refIndex(this.pipelines.of(uri), pipeline);
      const what = { uri, ...(index === undefined ? {} : { pipeline: index }) };
      return step === undefined ? this.server.execute("pipelens.runPipeline", what) : this.server.execute("pipelens.runStep", { ...what, step });
    };
    const execution = new vscode.CustomExecution(() => Promise.resolve(new TaskTerminal(this.server, this.terminals, start)));
    const task = new vscode.Task(definition, folder, name, TYPE, execution, []);
    task.group = vscode.TaskGroup.Test;
    return task;
  }
}

/// The terminal of a task starts its run when it opens, and ends with it.
class TaskTerminal extends RunTerminal {
  private readonly subscriptions: vscode.Disposable[] = [];
  private runId: string | undefined;

  constructor(
    private readonly server: Server,
    private readonly terminals: Terminals,
    private readonly run: () => Promise<{ runId?: string } | undefined>,
  ) {
    super(() => { this.stop(); });
  }

  override open(): void {
    super.open();
    void this.start();
  }

  override close(): void {
    super.close();
    this.stop();
  }

  private async start(): Promise<void> {
    this.subscriptions.push(
      this.server.onRunEvent((event) => { this.follow(event); }),
      this.server.onDidChange((change) => {
        if (change !== "started") {
          this.finish(1);
        }
      }),
    );
    const answer = await this.run();
    if (answer?.runId === undefined) {
      this.finish(1);
      return;
    }
    this.runId = answer.runId;
    this.terminals.take(answer.runId);
  }

  private follow(event: RunEvent): void {
    if (event.runId !== this.runId) {
      return;
    }
    this.show(event);
    if (event.kind === "runEnd") {
      this.finish(event.exitCode);
    }
  }

  private finish(exitCode: number): void {
    this.end(exitCode);
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private stop(): void {
    if (this.runId !== undefined && !this.isOver) {
      void this.server.execute("pipelens.cancel", { runId: this.runId });
    }
  }
}
