// What helps if something is refused.
import type { Refusal } from "../protocol";

/// A button: it opens the page for trust, or a setting.
export type Help = { readonly title: string; readonly setting: string } | { readonly title: string; readonly command: string };

/// Returns what an error of the server says about help. Other errors say nothing.
export function refusalOf(error: unknown): Refusal | undefined {
  const data: unknown = typeof error === "object" && error !== null && "data" in error ? error.data : undefined;
  if (typeof data !== "object" || data === null || !("help" in data)) {
    return undefined;
  }
  if (data.help === "setting" && "setting" in data && typeof data.setting === "string") {
    return { help: "setting", setting: data.setting };
  }
  return data.help === "trust" ? { help: "trust" } : undefined;
}

/// Returns the button for a refusal.
export function helpFor(refusal: Refusal): Help {
  return refusal.help === "trust" ? { title: "Manage Trust", command: "workbench.trust.manage" } : { title: "Settings", setting: refusal.setting };
}
