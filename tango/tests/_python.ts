// Copyright 2026 the Longrun authors. MIT license.

import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Awaited } from "./_awaited.ts";

/** The Python that has the packages of the system. */
const PYTHON = "/usr/bin/python3";

/** Whether Python is there with a module. */
export function hasPython(module: string): boolean {
  return spawnSync(PYTHON, ["-c", `import ${module}`]).status === 0;
}

/** A Python program of this folder, ended with its block. */
export class PythonProgram implements AsyncDisposable {
  /** What it has printed. */
  readonly lines: string[] = [];
  readonly #child;
  readonly #changes: Awaited = new Awaited();
  #complaints = "";
  #ended = false;

  constructor(file: string, ...args: string[]) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const child = spawn(PYTHON, [path, ...args]);
    this.#child = child;
    let rest = "";
    child.stdout.on("data", (chunk: Uint8Array) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      this.lines.push(...lines);
      this.#changes.notify();
    });
    child.stderr.on("data", (chunk: Uint8Array) => {
      this.#complaints += chunk;
    });
    child.stdin.on("error", () => {});
    child.on("close", () => {
      this.#ended = true;
      this.#changes.notify();
    });
  }

  /** Waits for a line that matches, as often as told; gives the last of them. */
  async printed(pattern: RegExp, times = 1): Promise<string> {
    const found = () => this.lines.filter((line) => pattern.test(line));
    await this.#changes.until(
      () => found().length >= times || this.#ended,
      () => `${times} × ${pattern} in ${JSON.stringify(this.lines)}`,
    );
    const line = found()[times - 1];
    if (line !== undefined) return line;
    throw new Error(`Ended without ${pattern}: ${this.#complaints}`);
  }

  /** Writes a line to its input. */
  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#changes.until(() => this.#ended, () => "its end");
  }
}
