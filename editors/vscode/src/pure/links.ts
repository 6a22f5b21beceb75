// Places in files that tools print: `src/main.rs:10:5`, `main.c(3,7)`, `File "a.py", line 3`.

export interface FileLink {
  /// Where it is in the line.
  readonly start: number;
  readonly length: number;
  readonly path: string;
  /// Counted from 1.
  readonly line: number;
  readonly column: number;
}

const PATTERNS = [
  /(?<path>(?:[A-Za-z]:)?[\w@.+~\-/\\]*[\w+~-]\.[A-Za-z]\w*):(?<line>\d+)(?::(?<column>\d+))?/g,
  /(?<path>(?:[A-Za-z]:)?[\w@.+~\-/\\]*[\w+~-]\.[A-Za-z]\w*)\((?<line>\d+)(?:,(?<column>\d+))?\)/g,
  /File "(?<path>[^"]+)", line (?<line>\d+)/g,
];

/// Returns the places that a line of output names.
export function linksIn(text: string): FileLink[] {
  const found = PATTERNS.flatMap((pattern) => [...text.matchAll(pattern)]);
  return found.flatMap((match) => {
    const { path, line, column } = match.groups ?? {};
    if (path === undefined || line === undefined || path.includes("//")) {
      return [];
    }
    return [{ start: match.index, length: match[0].length, path, line: Number(line), column: Number(column ?? 1) }];
  });
}

/// Returns the paths in a folder that a printed path may mean, the likeliest first: a step runs in a folder of its own, so its absolute paths
/// and those after a `cd` are tried without their beginning, one part after another.
export function candidates(path: string): string[] {
  const parts = path.replace(/\\/g, "/").split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? [] : parts.map((_, index) => parts.slice(index).join("/"));
}
