// Finds the server's program. A program inside a workspace is never started, unless the user's own settings name it.
import { accessSync, constants, existsSync, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join, relative } from "node:path";

export interface Places {
  /// The path in the settings; empty if it is not set.
  readonly configured: string;
  /// The folder of the extension, which may contain the program.
  readonly extension: string;
  /// The PATH of the environment.
  readonly path: string;
  readonly workspaces: readonly string[];
  readonly platform: NodeJS.Platform;
}

export type Found = { readonly path: string } | { readonly missing: string };

/// Returns the program: the one in the settings, else the one that came with the extension, else the one on the PATH.
export function findServer(places: Places): Found {
  const { configured } = places;
  if (configured !== "") {
    return isProgram(configured) ? { path: configured } : { missing: `\`${configured}\`, the path in the settings, is not a program` };
  }
  const name = places.platform === "win32" ? "pipelens.exe" : "pipelens";
  const bundled = join(places.extension, "bin", name);
  if (isProgram(bundled)) {
    return { path: bundled };
  }
  const path = findOnPath(name, places);
  return path === undefined ? { missing: `there is no \`${name}\` on the PATH` } : { path };
}

/// Finds a program in the absolute directories of the PATH.
function findOnPath(name: string, places: Places): string | undefined {
  const workspaces = places.workspaces.filter((folder) => existsSync(folder)).map((folder) => realpathSync(folder));
  // Check both the directory it is found in and the target of any links.
  const isInWorkspace = (file: string): boolean =>
    [realpathSync(dirname(file)), realpathSync(file)].some((place) => workspaces.some((workspace) => isInside(place, workspace)));
  const folders = places.path.split(delimiter).filter((folder) => isAbsolute(folder));
  return folders.map((folder) => join(folder, name)).find((file) => isProgram(file) && !isInWorkspace(file));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/// Whether a file is in a folder or below it.
export function isInside(file: string, folder: string): boolean {
  const path = relative(folder, file);
  return !path.startsWith("..") && !isAbsolute(path);
}
