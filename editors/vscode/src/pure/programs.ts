// Which files are sent to the server. Python and TypeScript files are so only if they are programs that make pipelines.

/// A filter as VS Code has them. Without a language, files of any.
export interface Filter {
  readonly scheme: "file" | "untitled";
  readonly language?: string;
  readonly pattern?: string;
}

/// The scheme of the logs of steps, whose text the server has.
export const LOG_SCHEME = "pipelens-log";

/// The languages of pipelines that are data: the server decides which files are pipelines, and returns empty answers for all others.
const DATA = ["yaml", "json", "jsonc"];
/// The programs of each language.
const PROGRAMS: Readonly<Record<string, string>> = {
  python: "**/{.hm,.harmont}/*.py",
  typescript: "**/{.hm,.harmont}/*.{ts,mts}",
};

/// Whether a language is one of pipelines that are data.
export function isData(language: string): boolean {
  return DATA.includes(language);
}

/// Returns the filters of the documents the server gets. `commands` are the globs of the files that the user has commands for.
export function documents(commands: readonly string[]): Filter[] {
  return [
    ...DATA.flatMap((language): Filter[] => [{ scheme: "file", language }, { scheme: "untitled", language }]),
    ...Object.entries(PROGRAMS).map(([language, pattern]): Filter => ({ scheme: "file", language, pattern })),
    ...commands.map((glob): Filter => ({ scheme: "file", pattern: anywhere(glob) })),
  ];
}

/// Returns the globs of programs, for looking through a workspace.
export function programGlobs(commands: readonly string[]): string[] {
  return [...Object.values(PROGRAMS), ...commands.map(anywhere)];
}

/// A glob is for paths in the project, which may be any folder of the workspace. The server decides in the end.
function anywhere(glob: string): string {
  return glob.startsWith("**/") || glob.startsWith("/") ? glob : `**/${glob.replace(/^\.\//, "")}`;
}

/// Returns the globs of the setting `pipelens.programs.commands`. People write settings by hand.
export function globsOf(setting: unknown): string[] {
  return typeof setting === "object" && setting !== null && !Array.isArray(setting) ? Object.keys(setting).filter((glob) => glob !== "") : [];
}
