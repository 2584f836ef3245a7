// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import { within } from "./_bounded_wait.ts";
import {
  Budget,
  EFFORT,
  LineSplitter,
  type OutputLimits,
} from "./_script_output.ts";
import type { ScriptOutput } from "./procedure_topics.ts";

/** What a script wrote, without the number of its procedure. */
export type Output = Omit<ScriptOutput, "pid">;

/** So many of the last lines of the errors are kept. */
const LAST = 20;
/** After the end of a process its pipes are read for so long. */
const DRAIN = 500;
/** So many bytes may be in a pipe. */
const PIPE = 65_536;

/** Pauses that all end when nothing is to be held back any more. */
export class Pauses {
  readonly #clock: Clock;
  readonly #open = new Set<() => void>();
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async wait(ms: number): Promise<void> {
    if (ms <= 0 || this.#isOver) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        cancel();
        this.#open.delete(end);
        resolve();
      };
      const cancel = this.#clock.setTimer(end, ms);
      this.#open.add(end);
    });
  }

  end(): void {
    this.#isOver = true;
    for (const end of this.#open) end();
  }
}

/** Reads what the process of a script writes, within bounds. */
export class Pipes {
  readonly lastErrors: string[] = [];
  /** The time that the service has for what the script says. */
  readonly effort: Budget;
  readonly #process: Deno.ChildProcess;
  readonly #marker: string;
  readonly #limits: Required<OutputLimits>;
  readonly #clock: Clock;
  readonly #onOutput: (output: Output) => void;
  readonly #lines: Budget;
  readonly #ends: Promise<void>[];
  readonly #readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  readonly #pauses: Pauses;
  readonly #marks = { stdout: 0, stderr: 0 };
  readonly #open = { stdout: true, stderr: true };
  #dropped = 0;
  #wanted = 0;
  #onMarks: (() => void) | undefined;

  constructor(
    process: Deno.ChildProcess,
    marker: string,
    limits: Required<OutputLimits>,
    clock: Clock,
    onOutput: (output: Output) => void,
  ) {
    this.#process = process;
    this.#marker = marker;
    this.#limits = limits;
    this.#clock = clock;
    this.#onOutput = onOutput;
    this.#pauses = new Pauses(clock);
    this.effort = new Budget(
      EFFORT.perSecond,
      EFFORT.burst,
      () => clock.now(),
    );
    this.#lines = new Budget(
      limits.linesPerSecond,
      limits.burst,
      () => clock.now(),
    );
    this.#ends = [this.#read("stdout"), this.#read("stderr")];
  }

  /** A line, if there are not too many. */
  line(stream: Output["stream"], text: string): void {
    if (stream === "stderr") {
      this.lastErrors.push(text);
      if (this.lastErrors.length > LAST) this.lastErrors.shift();
    }
    if (!this.#lines.take(1)) {
      this.#dropped++;
      return;
    }
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#onOutput({ stream, text, dropped });
  }

  /** Says what was dropped at the end. */
  #tellDropped(): void {
    if (this.#dropped === 0) return;
    const dropped = this.#dropped;
    this.#dropped = 0;
    const text = `${dropped} lines were too many and are lost`;
    this.#onOutput({ stream: "log", text, dropped });
  }

  /** Resolves when what was written before the end of a call has come. */
  async callEnd(): Promise<void> {
    this.#wanted++;
    if (!this.#hasMarks()) {
      await new Promise<void>((resolve) => {
        // A script can close its standard output.
        const cancel = this.#clock.setTimer(resolve, this.#patience);
        this.#onMarks = () => {
          cancel();
          resolve();
        };
      });
      this.#onMarks = undefined;
    }
    this.#tellDropped();
  }

  /** What is in the pipes takes its time if little may be read a second. */
  get #patience(): number {
    return DRAIN + 2 * PIPE / this.#limits.bytesPerSecond * 1_000;
  }

  #hasMarks(): boolean {
    return (["stdout", "stderr"] as const).every((name) =>
      !this.#open[name] || this.#marks[name] >= this.#wanted
    );
  }

  #checkMarks(): void {
    if (this.#hasMarks()) this.#onMarks?.();
  }

  /** Reads what is left of a process that has ended. */
  async drain(): Promise<void> {
    this.#pauses.end();
    // What the script has started may hold the pipes.
    await within(DRAIN, Promise.all(this.#ends), this.#clock);
    for (const reader of this.#readers) reader.cancel().catch(() => {});
    await Promise.all(this.#ends);
    this.#tellDropped();
  }

  async #read(name: "stdout" | "stderr"): Promise<void> {
    const { bytesPerSecond, lineLength } = this.#limits;
    const budget = new Budget(
      bytesPerSecond,
      bytesPerSecond,
      () => this.#clock.now(),
    );
    const splitter = new LineSplitter(
      lineLength,
      this.#marker,
      (text) => this.line(name, text),
      () => {
        this.#marks[name]++;
        this.#checkMarks();
      },
    );
    const reader = this.#process[name].getReader();
    this.#readers.push(reader);
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const began = this.#clock.now();
        splitter.push(value);
        const effort = this.#clock.now() - began;
        await this.#pauses.wait(
          Math.max(budget.spend(value.length), this.effort.spend(effort)),
        );
      }
    } catch {
      // A pipe that breaks has ended.
    }
    splitter.finish();
    this.#open[name] = false;
    this.#checkMarks();
  }
}
