// Run events as a terminal shows them.
import type { RunEvent } from "../protocol";
import { duration, signOf, words } from "./words";

/// Colours that tell steps apart; red, green and yellow keep their meaning.
const STEP_COLOURS = [36, 35, 34, 96, 95, 94];
const RESET = "\u001b[0m";

/// Writes the events of one run, each step in a colour of its own.
export class Writer {
  private readonly colours = new Map<string, number>();

  /// Returns what an event adds to a terminal; empty if it adds nothing. Lines end with CRLF.
  write(event: RunEvent): string {
    switch (event.kind) {
      case "runStart":
        return line(bold(`${event.title} on ${event.runner}`));
      case "notice":
        return line(dim(event.message));
      case "stepStart": {
        const image = event.image === null ? "" : `, ${event.image}`;
        const again = event.attempt > 1 ? `, attempt ${event.attempt}` : "";
        return this.of(event.step, dim(`started on ${event.runner}${image}${again}`));
      }
      case "imageResolved":
        return this.of(event.step, dim(`${event.image} is ${event.digest}`));
      case "stepLog":
        return event.lines.map(({ text }) => this.of(event.step, `${text}${RESET}`)).join("");
      case "stepLogSkipped":
        return this.of(event.step, dim(`… ${event.lines} more lines in ${event.logFile}`));
      case "stepEnd":
        return this.of(event.step, ended(event.outcome, event.exitCode, event.durationMs, event.reason));
      case "stepKept":
        return this.of(event.step, dim("Its state was kept: “Open Shell in Failed Step” opens a shell in it."));
      case "runEnd":
        return line(ended(event.outcome, event.exitCode, event.durationMs, null));
      case "stepQueued":
      case "stepPhase":
      case "stepArtifacts":
        return "";
    }
  }

  private of(step: string, text: string): string {
    let colour = this.colours.get(step);
    if (colour === undefined) {
      colour = STEP_COLOURS[this.colours.size % STEP_COLOURS.length] ?? 36;
      this.colours.set(step, colour);
    }
    return line(`\u001b[${colour}m[${step}]${RESET} ${text}`);
  }
}

function ended(outcome: string, exitCode: number | null, durationMs: number, reason: string | null): string {
  const sign = signOf(outcome);
  const colour = sign === "✗" ? 31 : sign === "✓" ? 32 : 33;
  const why = reason === null ? "" : `: ${reason}`;
  return `\u001b[${colour}m${sign} ${words(outcome, exitCode)}${why}${RESET}${outcome === "skipped" ? "" : dim(` ${duration(durationMs)}`)}`;
}

function line(text: string): string {
  return `${text}\r\n`;
}

function bold(text: string): string {
  return `\u001b[1m${text}${RESET}`;
}

function dim(text: string): string {
  return `\u001b[2m${text}${RESET}`;
}

/// Holds what a terminal has not shown yet, up to a limit; then the oldest is dropped, and that is said.
export class Backlog {
  private chunks: string[] = [];
  private size = 0;
  private dropped = false;

  constructor(private readonly limit: number) {}

  add(text: string): void {
    this.chunks.push(text);
    this.size += text.length;
    while (this.size > this.limit && this.chunks.length > 1) {
      this.size -= this.chunks.shift()?.length ?? 0;
      this.dropped = true;
    }
  }

  take(): string {
    const text = (this.dropped ? line(dim("… earlier lines are in the log")) : "") + this.chunks.join("");
    this.chunks = [];
    this.size = 0;
    this.dropped = false;
    return text;
  }
}
