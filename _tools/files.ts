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

/** The directories of the packages: the root, and the members it names. */
export function packages(): string[] {
  const { workspace } = readJson<{ workspace: string[] }>("deno.json");
  return [".", ...workspace.map((path) => path.replace(/^\.\//, ""))];
}

/** The packages that need Deno itself: Node and Bun do not run them. */
const DENO_ONLY: readonly string[] = ["procedure"];

/** The directories of the packages that Node and Bun run too. */
export function portablePackages(): string[] {
  return packages().filter((directory) => !DENO_ONLY.includes(directory));
}

/** A file of a package, as its path from the root. */
export function inPackage(directory: string, path: string): string {
  const inside = path.replace(/^\.\//, "");
  return directory === "." ? inside : `${directory}/${inside}`;
}

/** The modules of a package: all that lie in its directory. */
export function modules(directory = "."): string[] {
  return [...Deno.readDirSync(new URL(`${directory}/`, root))]
    .map((entry) => entry.name)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => inPackage(directory, name))
    .sort();
}

/** The files of these packages' tests whose names end alike. */
export function findTests(
  ending: string,
  below = "tests",
  directories: readonly string[] = packages(),
): string[] {
  return directories.flatMap((directory) =>
    find(inPackage(directory, below), ending)
  );
}

/** A JSON file of the repository. */
export function readJson<T>(path: string): T {
  return JSON.parse(Deno.readTextFileSync(new URL(path, root)));
}

/** The part of a package's deno.json that the tools read. */
export interface PackageConfiguration {
  name: string;
  version: string;
  exports: Record<string, string>;
}

/** The part of the root's deno.json that the tools read. */
export interface DenoConfiguration extends PackageConfiguration {
  imports: Record<string, string>;
}

/** The configuration of Deno and of the package in the root. */
export function configuration(): DenoConfiguration {
  return readJson("deno.json");
}

/** The configuration of a package. */
export function packageIn(directory: string): PackageConfiguration {
  return readJson(inPackage(directory, "deno.json"));
}
