// Copyright 2026 the Longrun authors. MIT license.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Debian's Python, the one that knows Tango. */
export const PYTHON = "/usr/bin/python3";

/** The path of a file beside this one. */
export function beside(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** The arguments with which Python starts a program that does not outlive us. */
export function launching(program: string, args: readonly string[]): string[] {
  return [beside("launch.py"), String(process.pid), program, ...args];
}

/** Waits so many milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A port of this machine that nobody listens on. */
export function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === "object" && address !== null) {
          resolve(address.port);
        } else {
          reject(new Error("The server has no address"));
        }
      });
    });
  });
}

/** How a child is started. */
export interface ChildOptions {
  env?: Record<string, string>;
}

/**
 * A program that runs for a test. It ends when the test's process does, and
 * what it prints goes to a file that has no name: no pipe is read meanwhile.
 */
export class Child {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #exited: Promise<string>;
  #file: number | undefined;
  #exit: string | undefined = undefined;
  #lastOutput = "";

  constructor(
    program: string,
    args: readonly string[],
    options: ChildOptions = {},
  ) {
    this.#name = program;
    const path = join(
      tmpdir(),
      `longrun-${process.pid}-${Math.random().toString(36).slice(2)}.log`,
    );
    // Appending: the child and we share the position in the file.
    this.#file = openSync(path, "a+");
    unlinkSync(path);
    this.#child = spawn(PYTHON, launching(program, args), {
      stdio: ["ignore", this.#file, this.#file],
      env: { ...process.env, ...options.env },
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        resolve(this.#exit ??= String(error));
      });
      this.#child.once("exit", (code, signal) => {
        resolve(this.#exit ??= signal ?? `code ${code}`);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How it has ended, `undefined` while it runs. */
  get exit(): string | undefined {
    return this.#exit;
  }

  /** What it has printed, the end of it if that is much. */
  get output(): string {
    if (this.#file === undefined) return this.#lastOutput;
    const { size } = fstatSync(this.#file);
    const length = Math.min(size, 0x10000);
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const position = size - length + done;
      const read = readSync(this.#file, bytes, done, length - done, position);
      if (read === 0) break;
      done += read;
    }
    return new TextDecoder("latin1").decode(bytes.subarray(0, done));
  }

  /** Waits until it has printed a text. */
  async printed(text: string, ms = 30_000): Promise<void> {
    const deadline = performance.now() + ms;
    while (!this.output.includes(text)) {
      if (this.#exit !== undefined) {
        throw this.#failure(`has ended by ${this.#exit}`);
      }
      if (performance.now() > deadline) {
        throw this.#failure(`has not printed '${text}' within ${ms} ms`);
      }
      await pause(20);
    }
  }

  /** Waits until it has ended, and tells how. */
  async exited(ms = 10_000): Promise<string> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(this.#failure(`has not ended within ${ms} ms`)),
      ms,
    );
    try {
      return await Promise.race([this.#exited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends it a signal. */
  signal(name: NodeJS.Signals): void {
    const { pid } = this.#child;
    // Not `kill` of the child: Deno sends no signal after the first one.
    if (this.#exit === undefined && pid !== undefined) process.kill(pid, name);
  }

  /** Ends it and waits for its end. */
  async end(name: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.signal(name);
    // A stopped process does not hear anything else.
    if (name !== "SIGKILL") this.signal("SIGCONT");
    try {
      await this.exited();
    } finally {
      if (this.#file !== undefined) {
        this.#lastOutput = this.output;
        closeSync(this.#file);
        this.#file = undefined;
      }
    }
  }

  /** Does not keep the process of the test alive. */
  unref(): void {
    this.#child.unref();
  }

  #failure(what: string): Error {
    return new Error(`${this.#name} ${what}. It printed:\n${this.output}`);
  }
}
