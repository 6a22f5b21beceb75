// The page with the graph: draws what the extension sends, and tells it which step was chosen.
import type { FromPage, Place, Shown, ToPage } from "../src/pure/graph";
import { nearest, type Direction } from "../src/pure/nearest";

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void; setState(place: Place): void };

const editor = acquireVsCodeApi();
const place = element("graph");
const changes = element("changes");
let states: Readonly<Record<string, Shown>> = {};

const ARROWS: Readonly<Record<string, Direction>> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

window.addEventListener("message", (event: MessageEvent<ToPage>) => {
  const message = event.data;
  if (message.kind === "graph") {
    editor.setState(message.place);
    draw(message.name, message.svg);
  } else {
    tell(message.states);
    states = message.states;
  }
  mark();
});
editor.postMessage({ kind: "ready" });

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) {
    throw new Error(`the page has no #${id}`);
  }
  return found;
}

function steps(): SVGGElement[] {
  return [...place.querySelectorAll<SVGGElement>("g[data-step]")];
}

function draw(name: string, text: string): void {
  const focused = document.activeElement?.getAttribute("data-step");
  const image = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  image.setAttribute("role", "group");
  image.setAttribute("aria-label", `Graph of ${name}`);
  place.replaceChildren(document.importNode(image, true));
  for (const [index, step] of steps().entries()) {
    step.setAttribute("role", "button");
    // One step can be reached with Tab, the others with the arrow keys.
    step.setAttribute("tabindex", index === 0 ? "0" : "-1");
    step.addEventListener("click", () => { reveal(step); });
    step.addEventListener("keydown", (event) => { onKey(step, event); });
  }
  steps().find((step) => step.getAttribute("data-step") === focused)?.focus();
}

function reveal(step: SVGGElement): void {
  editor.postMessage({ kind: "reveal", step: step.getAttribute("data-step") ?? "" });
}

function onKey(step: SVGGElement, event: KeyboardEvent): void {
  const direction = ARROWS[event.key];
  if (event.key === "Enter" || event.key === " ") {
    reveal(step);
  } else if (direction !== undefined) {
    const all = steps();
    const boxes = all.map((each) => each.getBoundingClientRect());
    const next = all[nearest(boxes, all.indexOf(step), direction) ?? -1];
    if (next === undefined) {
      return;
    }
    step.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  } else {
    return;
  }
  event.preventDefault();
}

/// Shows the states on the steps.
function mark(): void {
  for (const step of steps()) {
    const key = step.getAttribute("data-step") ?? "";
    const shown = states[key];
    step.setAttribute("data-state", shown?.state ?? "");
    step.setAttribute("aria-label", shown === undefined ? key : `${key}: ${shown.words}`);
    const small = step.querySelector(".small");
    if (small !== null) {
      small.setAttribute("data-words", small.getAttribute("data-words") ?? small.textContent);
      small.textContent = shown?.short ?? small.getAttribute("data-words");
    }
  }
}

/// Says which steps have changed their state, for a screen reader.
function tell(next: Readonly<Record<string, Shown>>): void {
  const changed = Object.entries(next).filter(([key, shown]) => states[key]?.state !== shown.state);
  if (changed.length > 0) {
    changes.textContent = changed.map(([key, shown]) => `${key}: ${shown.words}`).join("; ");
  }
}
