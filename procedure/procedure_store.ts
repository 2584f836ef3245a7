// Copyright 2026 the Longrun authors. MIT license.

/**
 * What of procedures and activities survives the service.
 *
 * @module
 */

import { checkFiniteCount, checkOptions } from "./_arguments.ts";
import { OutputWindow, readOutputOptions } from "./_output_window.ts";
import { storedCopy } from "./_stored_value.ts";
import type { ActivitySummary } from "./activity.ts";
import type { ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { OutputOptions, StoredOutput } from "./procedure_service.ts";
import type { ScriptOutput } from "./procedure_topics.ts";

/**
 * Which process it is. The operating system uses numbers again: only the number
 * and the time of the start together tell that it is still the same.
 */
export interface ProcessIdentity {
  /** Its number in the operating system. */
  readonly osPid: number;
  /** When it started, as the system tells it; `null` if it does not. */
  readonly startTime: string | null;
}

/** A procedure as it is kept. */
export interface StoredProcedure {
  /** Its summary. */
  readonly summary: ProcedureSummary;
  /** Its process, `null` if none was told. */
  readonly process: ProcessIdentity | null;
}

/** A line before it has a number. */
export interface NewOutput extends ScriptOutput {
  /** When it came, in milliseconds since the epoch. */
  readonly time: number;
}

/**
 * Keeps procedures, their output, and activities.
 *
 * It gives back copies, which are frozen. What JSON has no word for in the
 * arguments of scripts is kept if it is `undefined`, a `bigint`, a date, a map,
 * a set or bytes; of anything else, such as a function, a text that tells of it.
 */
export interface ProcedureStore extends Disposable {
  /** The highest number that a procedure ever had, also a removed one; or 0. */
  readonly lastProcedureId: number;
  /** The highest number that an activity ever had, also a removed one; or 0. */
  readonly lastActivityId: number;
  /**
   * Keeps a procedure, in place of what was known of it.
   *
   * @param summary Its summary.
   * @param process Its process; `undefined` leaves what is known.
   */
  saveProcedure(
    summary: ProcedureSummary,
    process?: ProcessIdentity | null,
  ): void;
  /** Forgets a procedure and its output. */
  removeProcedure(pid: number): void;
  /** All procedures, in the order of their numbers. */
  procedures(): readonly StoredProcedure[];
  /**
   * Keeps a line and numbers it. When there are too many lines of the procedure
   * the oldest go: the numbers tell how many. A line of a procedure that is not
   * kept is numbered only.
   */
  appendOutput(output: NewOutput): StoredOutput;
  /**
   * The lines of a procedure, in order; none if it is not kept. `dropped` of
   * the first includes the lines after `after` that are not kept any more.
   */
  output(pid: number, options?: OutputOptions): readonly StoredOutput[];
  /** Keeps an activity, in place of what was known of it. */
  saveActivity(summary: ActivitySummary): void;
  /** Forgets an activity. */
  removeActivity(id: number): void;
  /** All activities, in the order of their numbers. */
  activities(): readonly ActivitySummary[];
  /** Writes what is still to be written, and ends. Nothing more can be kept. */
  close(): void;
}

/** Options of {@linkcode InMemoryProcedureStore}. */
export interface InMemoryProcedureStoreOptions {
  /**
   * How many lines of a procedure are kept.
   *
   * @default {10_000}
   */
  maxLines?: number;
}

const inOrder = <V>(map: ReadonlyMap<number, V>): V[] =>
  [...map].sort(([one], [other]) => one - other).map(([, value]) => value);

/**
 * Keeps procedures as long as the program runs.
 *
 * **When to use.** In tests, and where nothing has to survive. What survives
 * the program is a `SqliteProcedureStore`.
 *
 * @example Usage
 * ```ts
 * import { InMemoryProcedureStore } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * using store = new InMemoryProcedureStore();
 * store.saveProcedure({
 *   id: 7,
 *   script: { type: "filesystem", uri: "file:///scripts/observe.ts" },
 *   calls: [],
 *   history: { states: [["CREATING", 0]], stacktrace: null },
 *   state: "CREATING",
 * });
 * const line = { pid: 7, stream: "stdout", text: "scan 1", dropped: 0 } as const;
 * assertEquals(store.appendOutput({ ...line, time: 0 }).line, 1);
 * store.removeProcedure(7);
 * assertEquals(store.procedures(), []);
 * assertEquals(store.lastProcedureId, 7);
 * ```
 */
export class InMemoryProcedureStore implements ProcedureStore {
  readonly #maxLines: number;
  readonly #procedures: Map<number, StoredProcedure> = new Map();
  readonly #activities: Map<number, ActivitySummary> = new Map();
  readonly #output: Map<number, OutputWindow> = new Map();
  #lastProcedureId = 0;
  #lastActivityId = 0;
  #isClosed = false;

  /**
   * Creates an empty store.
   *
   * @param options How much is kept.
   * @throws {RangeError} If `maxLines` is not a positive integer.
   */
  constructor(options: InMemoryProcedureStoreOptions = {}) {
    const doing = "create InMemoryProcedureStore";
    checkOptions(doing, options);
    const { maxLines = 10_000 } = options;
    checkFiniteCount(doing, "maxLines", maxLines, 1);
    this.#maxLines = maxLines;
  }

  /** The highest number that a procedure ever had, or 0. */
  get lastProcedureId(): number {
    return this.#lastProcedureId;
  }

  /** The highest number that an activity ever had, or 0. */
  get lastActivityId(): number {
    return this.#lastActivityId;
  }

  /**
   * Keeps a procedure, in place of what was known of it.
   *
   * @param summary Its summary.
   * @param process Its process; `undefined` leaves what is known.
   * @throws {ProcedureError} `"closed"`.
   */
  saveProcedure(
    summary: ProcedureSummary,
    process?: ProcessIdentity | null,
  ): void {
    this.#checkOpen();
    const { id } = summary;
    checkFiniteCount("save a procedure", "id", id, 1);
    const known = this.#procedures.get(id)?.process ?? null;
    this.#procedures.set(
      id,
      storedCopy({ summary, process: process === undefined ? known : process }),
    );
    if (id > this.#lastProcedureId) this.#lastProcedureId = id;
  }

  /**
   * Forgets a procedure and its output.
   *
   * @param pid Its number.
   * @throws {ProcedureError} `"closed"`.
   */
  removeProcedure(pid: number): void {
    this.#checkOpen();
    this.#procedures.delete(pid);
    this.#output.delete(pid);
  }

  /** All procedures, in the order of their numbers. */
  procedures(): readonly StoredProcedure[] {
    this.#checkOpen();
    return inOrder(this.#procedures);
  }

  /**
   * Keeps a line and numbers it.
   *
   * @param output The line.
   * @returns It, with its number.
   * @throws {ProcedureError} `"closed"`.
   */
  appendOutput(output: NewOutput): StoredOutput {
    this.#checkOpen();
    const { pid } = output;
    const window = this.#output.get(pid) ?? new OutputWindow(this.#maxLines);
    if (this.#procedures.has(pid)) this.#output.set(pid, window);
    return window.append(output);
  }

  /**
   * The lines of a procedure, in order.
   *
   * @param pid Its number.
   * @param options Which of them.
   * @returns The lines; none if the procedure is not kept.
   * @throws {ProcedureError} `"closed"`.
   */
  output(pid: number, options: OutputOptions = {}): readonly StoredOutput[] {
    this.#checkOpen();
    const { after, limit } = readOutputOptions(options);
    return this.#output.get(pid)?.read(after, limit) ?? [];
  }

  /**
   * Keeps an activity, in place of what was known of it.
   *
   * @param summary Its summary.
   * @throws {ProcedureError} `"closed"`.
   */
  saveActivity(summary: ActivitySummary): void {
    this.#checkOpen();
    const { id } = summary;
    checkFiniteCount("save an activity", "id", id, 1);
    this.#activities.set(id, storedCopy(summary));
    if (id > this.#lastActivityId) this.#lastActivityId = id;
  }

  /**
   * Forgets an activity.
   *
   * @param id Its number.
   * @throws {ProcedureError} `"closed"`.
   */
  removeActivity(id: number): void {
    this.#checkOpen();
    this.#activities.delete(id);
  }

  /** All activities, in the order of their numbers. */
  activities(): readonly ActivitySummary[] {
    this.#checkOpen();
    return inOrder(this.#activities);
  }

  /** Forgets everything. */
  close(): void {
    this.#isClosed = true;
    for (const map of [this.#procedures, this.#activities, this.#output]) {
      map.clear();
    }
  }

  /** The same as {@linkcode InMemoryProcedureStore.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new ProcedureError("closed", "The store of procedures is closed");
  }
}
