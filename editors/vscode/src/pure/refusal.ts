// What helps if the server refuses something.

/// A button: it opens the page for trust, or a setting.
export type Help = { readonly title: string; readonly setting: string } | { readonly title: string; readonly command: string };

/// Returns the button for a refusal: trust if it is missing, else the setting that the message names.
export function helpFor(message: string, isTrusted: boolean): Help | undefined {
  if (!isTrusted) {
    return { title: "Manage Trust", command: "workbench.trust.manage" };
  }
  const setting = /`(pipelens\.[A-Za-z.]+)`/.exec(message)?.[1];
  return setting === undefined ? undefined : { title: "Settings", setting };
}
