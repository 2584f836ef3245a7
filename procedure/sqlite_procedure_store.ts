// Copyright 2026 the Longrun authors. MIT license.

/**
 * Procedures, their output and activities in a file.
 *
 * @module
 */

import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import {
  checkCommon,
  checkFiniteCount,
  checkName,
  checkOptions,
  checkPositive,
} from "./_arguments.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { numbered, readOutputOptions, tellGap } from "./_output_window.ts";
import {
  ProcedureFile,
  type ProcedureFileChanges,
  type ProcedureFileContent,
} from "./_procedure_file.ts";
import type { ActivitySummary } from "./activity.ts";
import type { ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { OutputOptions, StoredOutput } from "./procedure_service.ts";
import {
  InMemoryProcedureStore,
  type NewOutput,
  type ProcedureStore,
  type ProcessIdentity,
  type StoredProcedure,
} from "./procedure_store.ts";

/** Options of {@linkcode SqliteProcedureStore}. */
export interface SqliteProcedureStoreOptions {
  /**
   * How many lines of a procedure are kept.
   *
   * @default {10_000}
   */
  maxLines?: number;
  /**
   * How large the file may become, in bytes; beyond that the store behaves as
   * if the disk were full.
   *
   * @default {Infinity}
   */
  maxSize?: number;
  /**
   * How long lines of output may wait to be written, in milliseconds: so much
   * of it is lost when the program crashes.
   *
   * @default {250}
   */
  flushInterval?: number;
  /**
   * After how long what could not be written is tried again, in milliseconds.
   *
   * @default {5_000}
   */
  retryInterval?: number;
  /**
   * How long to wait for another owner of the file to end, in milliseconds.
   * Blocks the program.
   *
   * @default {1_000}
   */
  wait?: number;
  /**
   * Measures the intervals.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told when nothing can be written any more, and when it can again.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

/** As many lines wait at most before they are written at once. */
const BATCH = 1_000;

/** As many lines wait at most while nothing can be written. */
const MOST_WAITING = 20_000;

/** The values of these numbers; `undefined` for those that are no more. */
function pick<V>(
  ids: ReadonlySet<number>,
  values: readonly V[],
  idOf: (value: V) => number,
): Map<number, V | undefined> {
  if (ids.size === 0) return new Map();
  const known = new Map(values.map((value) => [idOf(value), value]));
  return new Map([...ids].map((id) => [id, known.get(id)]));
}

/**
 * Keeps procedures in a SQLite file. One service at a time has the file: the
 * lock ends with the process, also when that is killed.
 *
 * A state is in the file when {@linkcode saveProcedure} returns; lines of output
 * are gathered, and written together.
 *
 * **When to use.** Where what was executed has to be known after a crash. Call
 * `recoverProcedures()` before the store is given to a service.
 *
 * **Gotchas.** It never throws because the disk is full: that is logged, once,
 * the service goes on with what is in memory, and everything is written when
 * there is room again. Lines wait in a bounded buffer meanwhile.
 *
 * @example Usage
 * ```ts
 * import { SqliteProcedureStore } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * using store = new SqliteProcedureStore(":memory:");
 * assertEquals(store.procedures(), []);
 * ```
 */
export class SqliteProcedureStore implements ProcedureStore {
  /** The file. */
  readonly file: string;
  readonly #content: ProcedureFile;
  readonly #memory: InMemoryProcedureStore = new InMemoryProcedureStore();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxLines: number;
  readonly #flushInterval: number;
  readonly #retryInterval: number;
  /** The number of the last line of each procedure that is kept. */
  readonly #lines: Map<number, number> = new Map();
  /** What is not in the file as it is in memory. */
  readonly #procedures: Set<number> = new Set();
  readonly #activities: Set<number> = new Set();
  #lastProcedureId = 0;
  #lastActivityId = 0;
  #waiting: StoredOutput[] = [];
  #cancelTimer: (() => void) | undefined = undefined;
  #hasFailed = false;
  #isClosed = false;

  /**
   * Opens a file, or makes it.
   *
   * @param file Its path; `":memory:"` is a file that is none.
   * @param options How much is kept, and when it is written.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   * @throws {ProcedureStoreError} If the file is used by another service,
   * damaged, of another program, of a newer version, or cannot be opened.
   */
  constructor(file: string, options: SqliteProcedureStoreOptions = {}) {
    const doing = "create SqliteProcedureStore";
    checkName(doing, "file", file);
    checkOptions(doing, options);
    checkCommon(doing, options);
    const {
      maxLines = 10_000,
      maxSize = Infinity,
      flushInterval = 250,
      retryInterval = 5_000,
      wait = 1_000,
      clock = systemClock,
      logger = defaultLogger,
    } = options;
    checkFiniteCount(doing, "maxLines", maxLines, 1);
    checkPositive(doing, "maxSize", maxSize);
    checkPositive(doing, "flushInterval", flushInterval);
    checkPositive(doing, "retryInterval", retryInterval);
    checkFiniteCount(doing, "wait", wait, 0);
    this.file = file;
    this.#maxLines = maxLines;
    this.#flushInterval = flushInterval;
    this.#retryInterval = retryInterval;
    this.#clock = clock;
    this.#logger = harmlessLogger(logger);
    this.#content = new ProcedureFile(file, { maxLines, maxSize, wait });
    this.#content.read((content) => this.#load(content));
  }

  #load(content: ProcedureFileContent): void {
    for (const { summary, process } of content.procedures) {
      this.#memory.saveProcedure(summary, process);
      this.#lines.set(summary.id, 0);
    }
    for (const summary of content.activities) {
      this.#memory.saveActivity(summary);
    }
    for (const [pid, last] of content.lastLines) this.#lines.set(pid, last);
    this.#lastProcedureId = content.lastProcedureId;
    this.#lastActivityId = content.lastActivityId;
  }

  /** The highest number that a procedure ever had, or 0. */
  get lastProcedureId(): number {
    return Math.max(this.#lastProcedureId, this.#memory.lastProcedureId);
  }

  /** The highest number that an activity ever had, or 0. */
  get lastActivityId(): number {
    return Math.max(this.#lastActivityId, this.#memory.lastActivityId);
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
    this.#memory.saveProcedure(summary, process);
    const { id } = summary;
    if (!this.#lines.has(id)) this.#lines.set(id, 0);
    this.#procedures.add(id);
    this.#flush();
  }

  /**
   * Forgets a procedure and its output.
   *
   * @param pid Its number.
   * @throws {ProcedureError} `"closed"`.
   */
  removeProcedure(pid: number): void {
    this.#memory.removeProcedure(pid);
    if (!this.#lines.delete(pid)) return;
    this.#waiting = this.#waiting.filter((line) => line.pid !== pid);
    this.#procedures.add(pid);
    this.#flush();
  }

  /** All procedures, in the order of their numbers. */
  procedures(): readonly StoredProcedure[] {
    return this.#memory.procedures();
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
    const last = this.#lines.get(pid);
    const stored = numbered(output, (last ?? 0) + 1);
    if (last === undefined) return stored;
    this.#lines.set(pid, stored.line);
    this.#waiting.push(stored);
    if (this.#waiting.length > MOST_WAITING + BATCH) {
      this.#waiting.splice(0, BATCH);
    }
    if (this.#waiting.length >= BATCH && !this.#hasFailed) this.#flush();
    else this.#schedule(this.#flushInterval);
    return stored;
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
    const last = this.#lines.get(pid);
    if (last === undefined) return [];
    const first = Math.max(after, last - this.#maxLines);
    const lines = this.#readLines(pid, first, limit);
    for (const line of this.#waiting) {
      if (lines.length >= limit) break;
      if (line.pid === pid && line.line > first) lines.push(line);
    }
    return tellGap(lines, after);
  }

  #readLines(pid: number, after: number, limit: number): StoredOutput[] {
    try {
      return this.#content.lines(pid, after, limit);
    } catch (error) {
      this.#fail(error);
      return [];
    }
  }

  /**
   * Keeps an activity, in place of what was known of it.
   *
   * @param summary Its summary.
   * @throws {ProcedureError} `"closed"`.
   */
  saveActivity(summary: ActivitySummary): void {
    this.#memory.saveActivity(summary);
    this.#activities.add(summary.id);
    this.#flush();
  }

  /**
   * Forgets an activity.
   *
   * @param id Its number.
   * @throws {ProcedureError} `"closed"`.
   */
  removeActivity(id: number): void {
    this.#memory.removeActivity(id);
    this.#activities.add(id);
    this.#flush();
  }

  /** All activities, in the order of their numbers. */
  activities(): readonly ActivitySummary[] {
    return this.#memory.activities();
  }

  /** Writes what waits to be written now, if it can be. */
  flush(): void {
    this.#checkOpen();
    this.#flush();
  }

  /** Writes what waits to be written, and lets go of the file. */
  close(): void {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#memory.close();
    const lost = this.#procedures.size + this.#activities.size +
      this.#waiting.length;
    if (lost > 0) {
      this.#logger.error(
        `The store '${this.file}' is closed, and not all was written`,
        {
          file: this.file,
          procedures: this.#procedures.size,
          activities: this.#activities.size,
          lines: this.#waiting.length,
        },
      );
    }
    this.#waiting = [];
    try {
      this.#content.close();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The same as {@linkcode SqliteProcedureStore.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new ProcedureError("closed", "The store of procedures is closed");
  }

  #schedule(delay: number): void {
    if (this.#isClosed || this.#cancelTimer !== undefined) return;
    const flush = (): void => {
      this.#cancelTimer = undefined;
      this.#flush();
    };
    this.#cancelTimer = this.#clock.setTimer(
      flush,
      this.#hasFailed ? this.#retryInterval : delay,
      { ref: false },
    );
  }

  /** States and output together; if that fails at least the states. */
  #flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (!this.#isDirty) return;
    try {
      this.#content.write(this.#changes(), this.#waiting);
      this.#clearStates();
      this.#waiting = [];
      this.#recover();
    } catch (error) {
      this.#fail(error);
      this.#flushStates();
      this.#schedule(this.#retryInterval);
    }
  }

  get #isDirty(): boolean {
    return this.#procedures.size + this.#activities.size +
        this.#waiting.length > 0;
  }

  #flushStates(): void {
    if (this.#procedures.size + this.#activities.size === 0) return;
    try {
      this.#content.write(this.#changes());
      this.#clearStates();
    } catch {
      // The first attempt has told why.
    }
  }

  #clearStates(): void {
    this.#procedures.clear();
    this.#activities.clear();
  }

  #changes(): ProcedureFileChanges {
    const procedures = this.#memory.procedures();
    const activities = this.#memory.activities();
    return {
      procedures: pick(this.#procedures, procedures, (one) => one.summary.id),
      activities: pick(this.#activities, activities, ({ id }) => id),
      lastProcedureId: this.lastProcedureId,
      lastActivityId: this.lastActivityId,
    };
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#logger.error(
      `The store '${this.file}' cannot be written; what happens now is kept in memory until it can: ${error}`,
      { file: this.file, error },
    );
  }

  #recover(): void {
    if (!this.#hasFailed) return;
    this.#hasFailed = false;
    this.#logger.warn(`The store '${this.file}' can be written again`, {
      file: this.file,
    });
  }
}
