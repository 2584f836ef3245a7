// Copyright 2026 the Longrun authors. MIT license.

import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Runs a module in a process of its own, on the runtime of the test. */
export function runModule(
  module: URL,
  ...args: string[]
): Promise<{ code: number; stdout: string }> {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const flags = "Deno" in globalThis
    ? [
      "run",
      "-A",
      "--no-check",
      "--node-modules-dir=none",
      "--import-map=compat/import_map.json",
    ]
    : "Bun" in globalThis
    ? []
    : ["--no-warnings", "--import=./compat/node.mjs"];
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...flags, fileURLToPath(module), ...args],
      { cwd: root, timeout: 20_000 },
      (error, stdout) => {
        const code = error === null ? 0 : Number(error.code ?? NaN);
        resolve({ code, stdout });
      },
    );
  });
}
