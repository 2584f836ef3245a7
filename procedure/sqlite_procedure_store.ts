// Copyright 2026 the Longrun authors. MIT license.

/**
 * Procedures, their output and activities in a file.
 *
 * @module
 */

import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import type { DatabaseSync } from "node:sqlite";
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
  FORMAT,
  limitSize,
  type ProcedureStatements,
  statementsOf,
} from "./_procedure_tables.ts";
import { explain, inTransaction, openSqlite } from "./_sqlite_file.ts";
import { decodeStored, encodeStored } from "./_stored_value.ts";
import type { ActivitySummary } from "./activity.ts";
import type { ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import { ProcedureStoreError } from "./procedure_store_error.ts";
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

interface Row {
  readonly id: number;
  readonly value: string;
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
  readonly #database: DatabaseSync;
  readonly #statements: ProcedureStatements;
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
    this.#database = openSqlite(file, FORMAT, { wait });
    try {
      limitSize(this.#database, maxSize);
      this.#statements = statementsOf(this.#database);
      this.#load();
    } catch (error) {
      this.#database.close();
      throw explain(file, FORMAT.what, error);
    }
  }

  #load(): void {
    const all = (sql: string): unknown[] => this.#database.prepare(sql).all();
    for (const row of all("SELECT id, value FROM procedures") as Row[]) {
      const { summary, process } = this.#decode(row) as StoredProcedure;
      this.#memory.saveProcedure(summary, process);
      this.#lines.set(row.id, 0);
    }
    for (const row of all("SELECT id, value FROM activities") as Row[]) {
      this.#memory.saveActivity(this.#decode(row) as ActivitySummary);
    }
    const counters = all("SELECT name, value FROM counters") as {
      name: string;
      value: number;
    }[];
    for (const { name, value } of counters) {
      if (name === "procedure") this.#lastProcedureId = value;
      if (name === "activity") this.#lastActivityId = value;
    }
    const lines = all("SELECT pid, max(line) AS last FROM output GROUP BY pid");
    for (const { pid, last } of lines as { pid: number; last: number }[]) {
      this.#lines.set(pid, last);
    }
  }

  #decode({ id, value }: Row): unknown {
    try {
      return decodeStored(value);
    } catch (error) {
      throw new ProcedureStoreError(
        "damaged",
        this.file,
        `Cannot open the ${FORMAT.what} in '${this.file}': number ${id} cannot be read: ${error}`,
        { cause: error },
      );
    }
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
      const rows = this.#statements.read.all(pid, after, limit);
      return rows.map((row) =>
        numbered({ pid, ...row } as unknown as StoredOutput, Number(row.line))
      );
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
      this.#database.close();
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
      inTransaction(this.#database, () => {
        this.#writeStates();
        this.#writeLines();
      });
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
      inTransaction(this.#database, () => this.#writeStates());
      this.#clearStates();
    } catch {
      // The first attempt has told why.
    }
  }

  #clearStates(): void {
    this.#procedures.clear();
    this.#activities.clear();
  }

  #writeStates(): void {
    const { count, removeProcedure, removeOutput, removeActivity } =
      this.#statements;
    if (this.#procedures.size > 0) {
      const known = new Map(
        this.#memory.procedures().map((one) => [one.summary.id, one]),
      );
      count.run("procedure", this.lastProcedureId);
      for (const id of this.#procedures) {
        const one = known.get(id);
        if (one === undefined) {
          removeProcedure.run(id);
          removeOutput.run(id);
        } else this.#statements.saveProcedure.run(id, encodeStored(one));
      }
    }
    if (this.#activities.size > 0) {
      const known = new Map(
        this.#memory.activities().map((one) => [one.id, one]),
      );
      count.run("activity", this.lastActivityId);
      for (const id of this.#activities) {
        const one = known.get(id);
        if (one === undefined) removeActivity.run(id);
        else this.#statements.saveActivity.run(id, encodeStored(one));
      }
    }
  }

  #writeLines(): void {
    const last = new Map<number, number>();
    for (const { pid, line, time, stream, text, dropped } of this.#waiting) {
      this.#statements.append.run(pid, line, time, stream, text, dropped);
      last.set(pid, line);
    }
    for (const [pid, line] of last) {
      this.#statements.trim.run(pid, line - this.#maxLines);
    }
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
