// How a pipeline is named among those of its file.
import type { PipelineNode, PipelineRef } from "../protocol";

/// Returns what names a pipeline: nothing if it is the only one, its name if no other has it, else its index.
export function pipelineRef(pipelines: readonly PipelineNode[], index: number): PipelineRef | undefined {
  if (pipelines.length < 2) {
    return undefined;
  }
  const name = pipelines.find(({ pipeline }) => pipeline === index)?.name ?? "";
  return name !== "" && pipelines.filter((other) => other.name === name).length === 1 ? name : index;
}

/// Returns the pipeline that is named. Here, a pipeline without a name has that of its file; what is unknown is left to the server.
export function refIndex(pipelines: readonly PipelineNode[], ref: PipelineRef | undefined): PipelineRef | undefined {
  return pipelines.find(({ name }) => name === ref)?.pipeline ?? ref;
}
