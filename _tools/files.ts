// Copyright 2026 the Longrun authors. MIT license.

/**
 * The files of the repository.
 *
 * @module
 */

const root = new URL("../", import.meta.url);

/** The path of a file of the repository. */
export function fromRoot(path: string): string {
  const { pathname } = new URL(path, root);
  return decodeURIComponent(
    Deno.build.os === "windows" ? pathname.slice(1) : pathname,
  );
}

/** Whether a file of the repository is there. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(path, root));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The files in a directory and those below it whose names end alike. */
export function find(directory: string, ending: string): string[] {
  if (!exists(directory)) return [];
  const found: string[] = [];
  for (const entry of Deno.readDirSync(new URL(directory, root))) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) found.push(...find(path, ending));
    else if (entry.name.endsWith(ending)) found.push(path);
  }
  return found.sort();
}

/** The modules of the package: all that lie in the root. */
export function modules(): string[] {
  return [...Deno.readDirSync(root)]
    .map((entry) => entry.name)
    .filter((name) => name.endsWith(".ts"))
    .sort();
}

/** A JSON file of the repository. */
export function readJson<T>(path: string): T {
  return JSON.parse(Deno.readTextFileSync(new URL(path, root)));
}

/** The part of deno.json that the tools read. */
export interface DenoConfiguration {
  name: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
}

/** The configuration of Deno and of the package. */
export function configuration(): DenoConfiguration {
  return readJson("deno.json");
}
