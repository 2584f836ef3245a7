// Copyright 2026 the Longrun authors. MIT license.

/**
 * Running other programs.
 *
 * @module
 */

import { fromRoot } from "./files.ts";

/** The Deno that runs this; read once, for `npm ci` may replace the file. */
export const deno = Deno.execPath();

/** The other runtimes: npm puts them there. */
export const node22 = fromRoot("node_modules/node22/bin/node");
export const node24 = fromRoot("node_modules/node24/bin/node");
export const bun = fromRoot("node_modules/bun/bin/bun.exe");

/**
 * A run of many tests that hangs is ended after so many milliseconds. What ends
 * other programs would end some that only are slow: the tests on Deno take
 * minutes.
 */
export const suiteLimit = 3_600_000;

/** Options of {@linkcode run} and {@linkcode read}. */
export interface RunOptions {
  /** The working directory instead of the root of the repository. */
  cwd?: string;
  /**
   * After how many milliseconds the program is ended.
   *
   * @default {600_000}
   */
  limit?: number;
}

/**
 * The environment without the directories that npx puts first in the path:
 * with them, `node` is a program that `npm ci` is about to delete.
 */
function environment(): Record<string, string> {
  const variables = Deno.env.toObject();
  const separator = Deno.build.os === "windows" ? ";" : ":";
  variables.PATH = (variables.PATH ?? "").split(separator)
    .filter((directory) => !/node_modules[\\/]\.bin[\\/]?$/.test(directory))
    .join(separator);
  return variables;
}

function spawn(
  program: string,
  args: string[],
  stdout: "inherit" | "piped",
  options: RunOptions,
): Deno.ChildProcess {
  return new Deno.Command(program, {
    args,
    cwd: options.cwd ?? fromRoot("."),
    clearEnv: true,
    env: environment(),
    stdin: "null",
    stdout,
    stderr: "inherit",
  }).spawn();
}

async function succeeded(
  child: Deno.ChildProcess,
  { limit = 600_000 }: RunOptions,
): Promise<boolean> {
  const timer = setTimeout(() => {
    console.error(`Ended after ${limit / 1000} s.`);
    child.kill();
  }, limit);
  const { success } = await child.status;
  clearTimeout(timer);
  return success;
}

/** Runs a program and tells whether it succeeded. */
export function run(
  program: string,
  args: string[],
  options: RunOptions = {},
): Promise<boolean> {
  return succeeded(spawn(program, args, "inherit", options), options);
}

/** Runs a program and gives what it printed besides. */
export async function read(
  program: string,
  args: string[],
  options: RunOptions = {},
): Promise<{ success: boolean; text: string }> {
  const child = spawn(program, args, "piped", options);
  const [text, success] = await Promise.all([
    child.stdout.text(),
    succeeded(child, options),
  ]);
  return { success, text };
}
