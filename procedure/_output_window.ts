// Copyright 2026 the Longrun authors. MIT license.

import {
  checkFiniteCount,
  checkOptions,
  checkString,
  checkType,
} from "./_arguments.ts";
import type { OutputOptions, StoredOutput } from "./procedure_service.ts";
import type { NewOutput } from "./procedure_store.ts";

/**
 * Lines with the number of those that are missing, before the line that follows
 * them. `after` is how far the reader has come.
 */
export function tellGap(
  lines: readonly StoredOutput[],
  after: number,
): readonly StoredOutput[] {
  let last = after;
  return lines.map((line) => {
    const missing = line.line - last - 1;
    last = line.line;
    if (missing <= 0) return line;
    return Object.freeze({ ...line, dropped: line.dropped + missing });
  });
}

/**
 * A line with its number, and with nothing else that it may bear.
 *
 * @throws {TypeError} If it is no line: nothing of it could be kept.
 */
export function numbered(output: NewOutput, line: number): StoredOutput {
  const doing = "append output";
  const { pid, stream, text, dropped, time } = output;
  checkString(doing, "stream", stream);
  checkString(doing, "text", text);
  checkFiniteCount(doing, "dropped", dropped, 0);
  checkType(Number.isFinite(time), doing, "time", "a finite number", time);
  return Object.freeze({
    pid,
    line,
    time,
    stream,
    text: text.toWellFormed(),
    dropped,
  });
}

/** The newest lines of a procedure. */
export class OutputWindow {
  readonly #most: number;
  readonly #lines: StoredOutput[] = [];
  /** How many at the front are gone already. */
  #gone = 0;
  #last: number;

  constructor(most: number, last = 0) {
    this.#most = most;
    this.#last = last;
  }

  append(output: NewOutput): StoredOutput {
    const stored = numbered(output, this.#last + 1);
    this.#last++;
    this.#lines.push(stored);
    if (this.#lines.length - this.#gone > this.#most) this.#gone++;
    if (this.#gone > this.#most) {
      this.#lines.splice(0, this.#gone);
      this.#gone = 0;
    }
    return stored;
  }

  read(after: number, limit: number): readonly StoredOutput[] {
    const first = this.#last - (this.#lines.length - this.#gone) + 1;
    const start = this.#gone + Math.max(0, after + 1 - first);
    return tellGap(this.#lines.slice(start, start + limit), after);
  }
}

/**
 * Reads the options of {@linkcode ProcedureStore.output}.
 *
 * @param options The options.
 * @returns The options with their defaults.
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If one is not an integer, or too small.
 */
export function readOutputOptions(
  options: OutputOptions,
): Required<OutputOptions> {
  const doing = "read output";
  checkOptions(doing, options);
  const { after = 0, limit = 1_000 } = options;
  checkFiniteCount(doing, "after", after, 0);
  checkFiniteCount(doing, "limit", limit, 1);
  // A database counts no further.
  const most = Number.MAX_SAFE_INTEGER;
  return { after: Math.min(after, most), limit: Math.min(limit, most) };
}
