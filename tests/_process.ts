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

/**
 * Runs a module in a process of its own, on the runtime of the test. In the
 * source `ROOT` stands for the address of the package's folder.
 */
export async function runProgram(source: string): Promise<ProgramResult> {
  const root = new URL("..", import.meta.url).href.replace(/\/$/, "");
  const folder = await mkdtemp(join(tmpdir(), "longrun-test-"));
  const file = join(folder, "program.mjs");
  await writeFile(file, source.replaceAll("ROOT", root));
  const isDeno = "Deno" in globalThis;
  const args = isDeno
    ? ["run", "--no-check", "--no-config", "-A", file]
    : [file];
  try {
    return await new Promise((resolve) => {
      execFile(
        process.execPath,
        args,
        { timeout: 20_000 },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : Number(error.code ?? NaN);
          resolve({ code: Number.isNaN(code) ? null : code, stdout, stderr });
        },
      );
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}
