// Copyright 2026 the Longrun authors. MIT license.

/**
 * The file of a store of procedures: values go in and come out, and nobody else
 * knows of tables and rows. It holds nothing back and tries nothing again: what
 * fails is thrown. When to write, and what to do when that fails, is the
 * business of the store.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";
import { numbered } from "./_output_window.ts";
import {
  FORMAT,
  limitSize,
  type ProcedureStatements,
  statementsOf,
} from "./_procedure_tables.ts";
import { explain, inTransaction, openSqlite } from "./_sqlite_file.ts";
import { decodeStored, encodeStored } from "./_stored_value.ts";
import type { ActivitySummary } from "./activity.ts";
import type { StoredOutput } from "./procedure_service.ts";
import type { StoredProcedure } from "./procedure_store.ts";
import { ProcedureStoreError } from "./procedure_store_error.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** How a file is opened, and how much it keeps. */
export interface ProcedureFileOptions {
  /** How many lines of a procedure are kept. */
  readonly maxLines: number;
  /** How large it may become, in bytes. */
  readonly maxSize: number;
  /** How long to wait for another owner to end, in milliseconds. */
  readonly wait: number;
}

/** All that a file has, but for the lines. */
export interface ProcedureFileContent {
  readonly procedures: readonly StoredProcedure[];
  readonly activities: readonly ActivitySummary[];
  /** The highest number that a procedure ever had, or 0. */
  readonly lastProcedureId: number;
  /** The highest number that an activity ever had, or 0. */
  readonly lastActivityId: number;
  /** The number of the last line of each procedure that has lines. */
  readonly lastLines: ReadonlyMap<number, number>;
}

/** Procedures and activities by their numbers; `undefined` is to be removed. */
export interface ProcedureFileChanges {
  readonly procedures: ReadonlyMap<number, StoredProcedure | undefined>;
  readonly activities: ReadonlyMap<number, ActivitySummary | undefined>;
  readonly lastProcedureId: number;
  readonly lastActivityId: number;
}

interface Row {
  readonly id: number;
  readonly value: string;
}

/** A SQLite file of procedures, which belongs to this program alone. */
export class ProcedureFile {
  readonly #path: string;
  readonly #maxLines: number;
  readonly #database: DatabaseSync;
  readonly #statements: ProcedureStatements;

  /** @throws {ProcedureStoreError} If it cannot be opened. */
  constructor(path: string, options: ProcedureFileOptions) {
    this.#path = path;
    this.#maxLines = options.maxLines;
    this.#database = openSqlite(path, FORMAT, { wait: options.wait });
    this.#statements = this.#orClose(() => {
      limitSize(this.#database, options.maxSize);
      return statementsOf(this.#database);
    });
  }

  /**
   * Reads it, which is part of opening it.
   *
   * @param take Takes what is read, or throws if that is not what it should be.
   * @throws {ProcedureStoreError} If it is damaged. It is closed then.
   */
  read(take: (content: ProcedureFileContent) => void): void {
    this.#orClose(() =>
      take({
        procedures: this.#values<StoredProcedure>(
          "procedures",
          (value) => value?.summary?.id,
        ),
        activities: this.#values<ActivitySummary>(
          "activities",
          (value) => value?.id,
        ),
        lastProcedureId: this.#counter("procedure"),
        lastActivityId: this.#counter("activity"),
        lastLines: this.#lastLines(),
      })
    );
  }

  /** The lines of a procedure after one of them, at most so many. */
  lines(pid: number, after: number, limit: number): StoredOutput[] {
    const rows = this.#statements.read.all(pid, after, limit);
    return rows.map(({ bytes, ...row }) => {
      const line = { pid, ...row, text: decoder.decode(bytes as Uint8Array) };
      return numbered(line as unknown as StoredOutput, Number(row.line));
    });
  }

  /** Writes all of it, or nothing: then it throws. */
  write(
    changes: ProcedureFileChanges,
    lines: readonly StoredOutput[] = [],
  ): void {
    inTransaction(this.#database, () => {
      this.#writeProcedures(changes);
      this.#writeActivities(changes);
      this.#writeLines(lines);
    });
  }

  /** Lets go of it. */
  close(): void {
    this.#database.close();
  }

  #orClose<T>(open: () => T): T {
    try {
      return open();
    } catch (error) {
      this.#database.close();
      throw explain(this.#path, FORMAT.what, error);
    }
  }

  #values<T>(
    table: "procedures" | "activities",
    idOf: (value: Partial<T> | null) => number | undefined,
  ): T[] {
    const rows = this.#all<Row>(`SELECT id, value FROM ${table}`);
    return rows.map((row) => this.#decode(row, idOf));
  }

  #counter(name: string): number {
    const rows = this.#all<{ name: string; value: number }>(
      "SELECT name, value FROM counters",
    );
    return rows.find((row) => row.name === name)?.value ?? 0;
  }

  #lastLines(): Map<number, number> {
    const rows = this.#all<{ pid: number; last: number }>(
      "SELECT pid, max(line) AS last FROM output GROUP BY pid",
    );
    return new Map(rows.map(({ pid, last }) => [pid, last]));
  }

  #all<T>(sql: string): T[] {
    return this.#database.prepare(sql).all() as T[];
  }

  #decode<T>(
    { id, value }: Row,
    idOf: (value: Partial<T> | null) => number | undefined,
  ): T {
    try {
      const decoded = decodeStored(value) as T;
      if (idOf(decoded) !== id) throw new Error("it is another, or none");
      return decoded;
    } catch (error) {
      throw new ProcedureStoreError(
        "damaged",
        this.#path,
        `Cannot open the ${FORMAT.what} in '${this.#path}': number ${id} cannot be read: ${error}`,
        { cause: error },
      );
    }
  }

  #writeProcedures(changes: ProcedureFileChanges): void {
    const { procedures, lastProcedureId } = changes;
    const { count, saveProcedure, removeProcedure, removeOutput } =
      this.#statements;
    if (procedures.size > 0) count.run("procedure", lastProcedureId);
    for (const [id, one] of procedures) {
      if (one === undefined) {
        removeProcedure.run(id);
        removeOutput.run(id);
      } else saveProcedure.run(id, encodeStored(one));
    }
  }

  #writeActivities(changes: ProcedureFileChanges): void {
    const { activities, lastActivityId } = changes;
    const { count, saveActivity, removeActivity } = this.#statements;
    if (activities.size > 0) count.run("activity", lastActivityId);
    for (const [id, one] of activities) {
      if (one === undefined) removeActivity.run(id);
      else saveActivity.run(id, encodeStored(one));
    }
  }

  #writeLines(lines: readonly StoredOutput[]): void {
    const last = new Map<number, number>();
    for (const { pid, line, time, stream, text, dropped } of lines) {
      this.#statements.append.run(pid, line, time, stream, text, dropped);
      last.set(pid, line);
    }
    for (const [pid, line] of last) {
      this.#statements.trim.run(pid, line - this.#maxLines);
    }
  }
}
