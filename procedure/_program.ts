// Copyright 2026 the Longrun authors. MIT license.

import { type Clock, systemClock } from "@longrun/tasks/clock";
import { onAbort } from "@longrun/tasks/cancellation";
import { within } from "./_bounded_wait.ts";

/** How a program is run. */
export interface ProgramOptions {
  /** The folder that it runs in. */
  cwd: string;
  /** All of its environment: nothing is added from that of this process. */
  env: Readonly<Record<string, string>>;
  /** How long it may run, in milliseconds. */
  timeout: number;
  /** Ends it. */
  signal?: AbortSignal | undefined;
  /** Measures the time. */
  clock?: Clock | undefined;
}

/** What a program left. */
export interface ProgramResult {
  /** The code that it exited with. */
  readonly code: number;
  /** What it printed, the beginning if that is much. */
  readonly stdout: string;
  /** What it complained of, the end if that is much. */
  readonly stderr: string;
}

/** The reason why a program that takes too long is ended. */
export class ProgramTimeoutError extends Error {
  /** The name of the class. */
  override readonly name: string = "ProgramTimeoutError";
}

const LONGEST_OUTPUT = 0x100000;
const LONGEST_COMPLAINT = 0x4000;
/** How long a killed program, or what it left behind, is waited for. */
const PATIENCE = 5000;
const WINDOWS = Deno.build.os === "windows";

/** Kills a program and whatever it has started. */
function killGroup(child: Deno.ChildProcess): void {
  try {
    if (WINDOWS) child.kill("SIGKILL");
    else Deno.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Reads all there is, and keeps so many bytes of the beginning or the end. */
class Output {
  readonly done: Promise<void>;
  #bytes = new Uint8Array();
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(
    stream: ReadableStream<Uint8Array>,
    longest: number,
    keep: "beginning" | "end",
  ) {
    this.#reader = stream.getReader();
    this.done = this.#read(longest, keep).catch(() => {});
  }

  get text(): string {
    return new TextDecoder().decode(this.#bytes);
  }

  cancel(): void {
    this.#reader.cancel().catch(() => {});
  }

  async #read(longest: number, keep: "beginning" | "end"): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      const room = longest - this.#bytes.length;
      if (keep === "beginning" && room <= 0) continue;
      const bytes = new Uint8Array(this.#bytes.length + value.length);
      bytes.set(this.#bytes);
      bytes.set(value, this.#bytes.length);
      this.#bytes = keep === "beginning"
        ? bytes.slice(0, longest)
        : bytes.slice(-longest);
    }
  }
}

/**
 * Runs a program in a process group of its own, and waits until it has ended.
 * On an abort and when the time is over the whole group is killed, for git
 * leaves the transfer to programs that it starts.
 *
 * @throws {ProgramTimeoutError} If the time is over first.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 * @throws {Error} If the program cannot be started.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  const { cwd, env, timeout, signal, clock = systemClock } = options;
  signal?.throwIfAborted();
  const child = new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { ...env },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: !WINDOWS,
  }).spawn();
  const stdout = new Output(child.stdout, LONGEST_OUTPUT, "beginning");
  const stderr = new Output(child.stderr, LONGEST_COMPLAINT, "end");
  const cut = Promise.withResolvers<{ readonly reason: unknown }>();
  const forget = signal === undefined
    ? () => {}
    : onAbort(signal, (reason) => cut.resolve({ reason }));
  const cancelTimer = timeout === Infinity ? () => {} : clock.setTimer(() => {
    const took = `Timed out after ${timeout} ms`;
    cut.resolve({ reason: new ProgramTimeoutError(took) });
  }, timeout);
  try {
    const end = await Promise.race([child.status, cut.promise]);
    if ("reason" in end) {
      killGroup(child);
      await within(PATIENCE, child.status);
      throw end.reason;
    }
    const both = Promise.all([stdout.done, stderr.done]);
    // Something that it left behind may hold the pipes open.
    if (!await within(PATIENCE, both)) killGroup(child);
    return { code: end.code, stdout: stdout.text, stderr: stderr.text };
  } finally {
    forget();
    cancelTimer();
    stdout.cancel();
    stderr.cancel();
  }
}
