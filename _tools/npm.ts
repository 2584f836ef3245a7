// Copyright 2026 the Longrun authors. MIT license.

/**
 * What npm installs for Node and Bun.
 *
 * @module
 */

import { exists, fromRoot } from "./files.ts";
import { bun, node22, node24, run } from "./process.ts";

function modified(path: string): number {
  return Deno.statSync(fromRoot(path)).mtime?.valueOf() ?? 0;
}

/** Installs node_modules where it is missing or older than its lock file. */
export async function install(): Promise<void> {
  const mark = "node_modules/.package-lock.json";
  if (!exists(mark) || modified(mark) < modified("package-lock.json")) {
    await npm(["ci"]);
  }
  for (const program of [node22, node24, bun]) {
    if (!exists(program)) {
      throw new Error(`npm did not install ${program}: run "npm ci".`);
    }
  }
}

/** Runs npm. */
export async function npm(args: string[], cwd?: string): Promise<void> {
  const program = Deno.build.os === "windows" ? "npm.cmd" : "npm";
  if (!await run(program, args, { cwd })) {
    throw new Error(`npm ${args.join(" ")} failed`);
  }
}
