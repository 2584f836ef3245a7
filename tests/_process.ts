// Copyright 2026 the Longrun authors. MIT license.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** How a program has ended. */
export interface ProgramResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Options of {@linkcode runFile}. */
export interface RunFileOptions {
  /** What the module is given. */
  args?: readonly string[];
  /** After how many milliseconds the process is ended. */
  timeout?: number;
  /** Told what the process has written so far, each time it writes. */
  onOutput?: (stdout: string, pid: number | undefined) => void;
}

/** Runs a module in a process of its own, on the runtime of the test. */
export function runFile(
  file: string,
  options: RunFileOptions = {},
): Promise<ProgramResult> {
  const { args = [], onOutput, timeout = 20_000 } = options;
  const isDeno = "Deno" in globalThis;
  const words = isDeno
    ? ["run", "--no-check", "--no-config", "-A", file, ...args]
    : [file, ...args];
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      words,
      { timeout },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : Number(error.code ?? NaN);
        resolve({ code: Number.isNaN(code) ? null : code, stdout, stderr });
      },
    );
    if (onOutput === undefined) return;
    let written = "";
    child.stdout?.on("data", (text) => {
      written += text;
      onOutput(written, child.pid);
    });
  });
}

/**
 * Runs a module in a process of its own, on the runtime of the test. In the
 * source `ROOT` stands for the address of the package's folder.
 */
export async function runProgram(
  source: string,
  timeout = 20_000,
): Promise<ProgramResult> {
  const root = new URL("..", import.meta.url).href.replace(/\/$/, "");
  const folder = await mkdtemp(join(tmpdir(), "longrun-test-"));
  const file = join(folder, "program.mjs");
  await writeFile(file, source.replaceAll("ROOT", root));
  try {
    return await runFile(file, { timeout });
  } finally {
    await rm(folder, { recursive: true });
  }
}
