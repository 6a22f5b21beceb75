// What the panel with the graph is told, and the page it is.
import type { PipelineNode, StepNode } from "../protocol";
import { isOver, signOf, stateOf, time, words } from "./words";

/// The state of a step, as the graph shows it.
export interface Shown {
  readonly state: string;
  /// What is read aloud: `exit 3, 1.2 s`.
  readonly words: string;
  /// What is shown below its name, where there is little room: `✗ 1.2 s`.
  readonly short: string;
}

/// Which pipeline a panel shows. The page keeps it, so that the panel can be restored.
export interface Place {
  readonly uri: string;
  readonly pipeline: number;
}

/// From the extension to the page.
export type ToPage =
  | { readonly kind: "graph"; readonly place: Place; readonly name: string; readonly svg: string }
  | { readonly kind: "states"; readonly states: Readonly<Record<string, Shown>> };

/// From the page to the extension.
export type FromPage = { readonly kind: "ready" } | { readonly kind: "reveal"; readonly step: string };

/// Whether what a page has kept is a place: it may be of another version of the extension.
export function isPlace(state: unknown): state is Place {
  return typeof state === "object" && state !== null && "uri" in state && typeof state.uri === "string" && "pipeline" in state && typeof state.pipeline === "number";
}

/// Returns the states of a pipeline's steps. A step with a matrix is drawn as its combinations.
export function statesOf(pipeline: PipelineNode, sinceMs: number): Record<string, Shown> {
  const states: Record<string, Shown> = {};
  for (const step of drawn(pipeline)) {
    const state = stateOf(step);
    if (state === null) {
      continue;
    }
    const taken = time(state.state, state.durationMs, sinceMs);
    const said = isOver(state.state) || state.phase === null ? words(state.state, state.exitCode) : state.phase;
    const short = `${signOf(state.state)} ${taken ?? words(state.state, state.exitCode)}`;
    states[step.key] = { state: state.state, words: taken === undefined ? said : `${said}, ${taken}`, short };
  }
  return states;
}

/// Returns what the image has: the steps, and the combinations of those that have a matrix.
export function drawn(pipeline: PipelineNode): StepNode[] {
  return pipeline.steps.flatMap((step) => [step, ...step.entries]);
}

/// Removes the style that the server's image has for browsers: the page uses the editor's theme.
export function withoutStyle(svg: string): string {
  return svg.replace(/<style>[^<]*<\/style>/, "");
}

/// Returns the page. Nothing in it comes from another machine, and only its own script runs.
export function page(nonce: string, script: string, style: string, source: string): string {
  const policy = `default-src 'none'; style-src ${source}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>Graph</title>
</head>
<body>
<div id="graph"></div>
<p id="changes" role="status" aria-live="polite"></p>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
