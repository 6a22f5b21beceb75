// What the line of the cursor means.
import type { PipelineNode, RunNode, StepNode } from "../protocol";
import { isLeft } from "./words";

export interface StepPlace {
  readonly pipeline: PipelineNode;
  readonly step: StepNode;
}

/// Returns the step on a line: the last that begins there or above, unless another pipeline begins after it.
export function stepAt(pipelines: readonly PipelineNode[], line: number): StepPlace | undefined {
  const above = stepsOf(pipelines).filter(({ step }) => step.position.line <= line);
  const nearest = last(above, ({ step }) => step.position.line);
  const begun = beginning(pipelines, line);
  const isCutOff = nearest !== undefined && begun !== undefined && begun.position.line > nearest.step.position.line;
  return isCutOff ? undefined : nearest;
}

/// Returns the pipeline on a line. Above all of them, that is the first.
export function pipelineAt(pipelines: readonly PipelineNode[], line: number): PipelineNode | undefined {
  return stepAt(pipelines, line)?.pipeline ?? beginning(pipelines, line) ?? pipelines[0];
}

/// Returns all steps, without the combinations of a matrix.
export function stepsOf(pipelines: readonly PipelineNode[]): StepPlace[] {
  return pipelines.flatMap((pipeline) => pipeline.steps.map((step) => ({ pipeline, step })));
}

/// Returns the newest run in which something has failed, or could not run because of that. The ids of runs sort by time.
export function failedRun(pipelines: readonly PipelineNode[]): RunNode | undefined {
  const runs = pipelines.flatMap(({ runs }) => runs).filter(({ steps }) => Object.values(steps).some(({ state }) => isLeft(state)));
  return runs.reduce<RunNode | undefined>((newest, run) => (newest === undefined || run.runId > newest.runId ? run : newest), undefined);
}

/// Returns the pipeline that begins last at or above a line.
function beginning(pipelines: readonly PipelineNode[], line: number): PipelineNode | undefined {
  return last(pipelines.filter(({ position }) => position.line <= line), ({ position }) => position.line);
}

/// Returns the one with the highest line; of several, the last.
function last<T>(all: readonly T[], lineOf: (each: T) => number): T | undefined {
  return all.reduce<T | undefined>((best, each) => (best === undefined || lineOf(each) >= lineOf(best) ? each : best), undefined);
}
