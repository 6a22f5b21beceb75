// States in words and icons. The states are the server's: `queued`, `running`, or an outcome.
import type { PipelineNode, RunNode, StepNode, StepState } from "../protocol";

/// The name of an icon of VS Code, and of the colour it is drawn in.
export interface Icon {
  readonly icon: string;
  readonly colour?: string;
}

const ICONS: Readonly<Record<string, Icon>> = {
  queued: { icon: "watch", colour: "testing.iconQueued" },
  running: { icon: "sync~spin", colour: "progressBar.background" },
  succeeded: { icon: "pass", colour: "testing.iconPassed" },
  cached: { icon: "pass-filled", colour: "testing.iconPassed" },
  failed: { icon: "error", colour: "testing.iconFailed" },
  timedOut: { icon: "error", colour: "testing.iconErrored" },
  errored: { icon: "error", colour: "testing.iconErrored" },
  engineUnreachable: { icon: "debug-disconnect", colour: "testing.iconErrored" },
  cancelled: { icon: "circle-slash", colour: "testing.iconSkipped" },
  skipped: { icon: "debug-step-over", colour: "testing.iconSkipped" },
};

export function iconOf(state: string | undefined): Icon {
  return ICONS[state ?? ""] ?? { icon: "circle-outline", colour: "testing.iconUnset" };
}

const WORDS: Readonly<Record<string, string>> = {
  timedOut: "timed out",
  errored: "could not run",
  engineUnreachable: "no container engine",
};

/// Returns a state as a person reads it, with what is known of the exit code.
export function words(state: string, exitCode?: number | null): string {
  if (state === "failed" && exitCode !== null && exitCode !== undefined) {
    return `exit ${exitCode}`;
  }
  return WORDS[state] ?? state;
}

export function isOver(state: string): boolean {
  return state !== "queued" && state !== "running";
}

export function isFailure(state: string): boolean {
  return state === "failed" || state === "timedOut" || state === "errored" || state === "engineUnreachable";
}

/// Whether a step in this state is run again with those that failed.
export function isLeft(state: string | undefined): boolean {
  return state !== undefined && (isFailure(state) || state === "skipped" || state === "cancelled");
}

/// Returns one character for a state.
export function signOf(state: string): string {
  if (state === "succeeded" || state === "cached") {
    return "✓";
  }
  return isFailure(state) ? "✗" : isOver(state) ? "–" : "●";
}

/// Returns a finished duration: `320 ms`, `3.2 s`, `02:05`.
export function duration(ms: number): string {
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : clock(ms);
}

/// Returns a duration that is still growing: `00:12`, `1:02:03`.
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const pad = (number: number): string => String(number).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  const rest = `${pad(minutes % 60)}:${pad(seconds % 60)}`;
  return minutes < 60 ? rest : `${Math.floor(minutes / 60)}:${rest}`;
}

/// Returns the time of something, which goes on since the server said how long it had taken.
export function time(state: string, durationMs: number | null, sinceMs: number): string | undefined {
  if (durationMs === null || state === "queued" || state === "skipped") {
    return undefined;
  }
  return state === "running" ? clock(durationMs + sinceMs) : duration(durationMs);
}

const PREDICTIONS: Readonly<Record<string, string>> = {
  cached: "would be cached",
  fromLast: "would continue from the last run",
  run: "would run",
};

/// Returns what a run would take from the cache.
export function prediction(prediction: string | null): string | undefined {
  return prediction === null ? undefined : PREDICTIONS[prediction];
}

/// From the one that is shown for all, to the one that is shown if there is no other.
const BY_WEIGHT = ["running", "failed", "errored", "timedOut", "queued", "cancelled", "skipped", "succeeded", "cached"];

/// Returns the state of a step, which is that of its combinations if it has a matrix.
export function stateOf(step: StepNode): StepState | null {
  if (step.entries.length === 0) {
    return step.state;
  }
  const weight = (state: StepState): number => BY_WEIGHT.indexOf(state.state);
  const states = step.entries.flatMap((entry) => (entry.state === null ? [] : [entry.state]));
  return states.reduce<StepState | null>((worst, state) => (worst === null || weight(state) < weight(worst) ? state : worst), null);
}

/// Returns the newest run of all pipelines. The ids of runs sort by time.
export function newestRun(pipelines: readonly PipelineNode[]): { pipeline: PipelineNode; run: RunNode } | undefined {
  const runs = pipelines.flatMap((pipeline) => pipeline.runs.map((run) => ({ pipeline, run })));
  return runs.reduce<(typeof runs)[number] | undefined>(
    (newest, each) => (newest === undefined || each.run.runId > newest.run.runId ? each : newest),
    undefined,
  );
}

/// Returns a pipeline as it is when the server has ended: whatever ran is cancelled.
export function withoutRunning(pipeline: PipelineNode): PipelineNode {
  const ended = (state: string): string => (isOver(state) ? state : "cancelled");
  const stepState = (state: StepState): StepState => ({ ...state, state: ended(state.state), phase: null });
  const step = (node: StepNode): StepNode => ({ ...node, state: node.state === null ? null : stepState(node.state), entries: node.entries.map(step) });
  const run = (node: RunNode): RunNode => {
    const steps = Object.entries(node.steps).map(([key, state]) => [key, stepState(state)]);
    return { ...node, state: ended(node.state), steps: Object.fromEntries(steps) as RunNode["steps"] };
  };
  return { ...pipeline, steps: pipeline.steps.map(step), runs: pipeline.runs.map(run) };
}
