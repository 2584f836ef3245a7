// Copyright 2026 the Longrun authors. MIT license.

/**
 * Scheduling blocks in a file.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";
import {
  checkFiniteCount,
  checkFunction,
  checkName,
  checkOptions,
} from "./_arguments.ts";
import {
  definitionNotFound,
  makeInstance,
} from "./_scheduling_block_instance.ts";
import {
  inTransaction,
  openSqlite,
  type SqliteFormat,
} from "./_sqlite_file.ts";
import { checkDefinition } from "./_scheduling_block_wire.ts";
import { decodeStored, encodeStored } from "./_stored_value.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { WaitOptions } from "./procedure_service.ts";
import type {
  NewSchedulingBlockInstance,
  SchedulingBlockDefinition,
  SchedulingBlockInstance,
  SchedulingBlockStore,
} from "./scheduling_block_store.ts";

/** Options of {@linkcode SqliteSchedulingBlockStore}. */
export interface SqliteSchedulingBlockStoreOptions {
  /**
   * The time of day, in milliseconds since the epoch.
   *
   * @default {Date.now}
   */
  now?: () => number;
  /**
   * How long to wait for another owner of the file to end, in milliseconds.
   * Blocks the program.
   *
   * @default {1_000}
   */
  wait?: number;
}

const FORMAT: SqliteFormat = {
  what: "store of scheduling blocks",
  applicationId: 0x4c72_5362,
  migrations: [`
    CREATE TABLE definitions (
      id TEXT NOT NULL, version INTEGER NOT NULL, value TEXT NOT NULL,
      PRIMARY KEY (id, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE instances (
      number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, value TEXT NOT NULL
    ) STRICT;
  `],
};

/**
 * Keeps scheduling blocks in a SQLite file of their own, which one program at a
 * time has.
 *
 * @example Usage
 * ```ts
 * import { SqliteSchedulingBlockStore } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * using blocks = new SqliteSchedulingBlockStore(":memory:");
 * const first = blocks.putDefinition({ id: "sbd-1", activities: {} });
 * const second = blocks.putDefinition({ id: "sbd-1", activities: {} });
 * assertEquals([first.version, second.version], [1, 2]);
 * ```
 */
export class SqliteSchedulingBlockStore
  implements SchedulingBlockStore, Disposable {
  /** The file. */
  readonly file: string;
  readonly #database: DatabaseSync;
  readonly #now: () => number;
  #isClosed = false;

  /**
   * Opens a file, or makes it.
   *
   * @param file Its path; `":memory:"` is a file that is none.
   * @param options The time, and how long to wait.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {ProcedureStoreError} If the file cannot be used.
   */
  constructor(file: string, options: SqliteSchedulingBlockStoreOptions = {}) {
    const doing = "create SqliteSchedulingBlockStore";
    checkName(doing, "file", file);
    checkOptions(doing, options);
    const { now = Date.now, wait = 1_000 } = options;
    checkFunction(doing, "now", now);
    checkFiniteCount(doing, "wait", wait, 0);
    this.file = file;
    this.#now = now;
    this.#database = openSqlite(file, FORMAT, { wait });
  }

  /**
   * Keeps a definition as the next version of it; the versions before stay.
   *
   * @param definition The definition, without a version.
   * @returns It, with its version.
   * @throws {TypeError} If it has no name, or no activities.
   * @throws {ProcedureError} `"closed"`.
   */
  putDefinition(
    definition: Omit<SchedulingBlockDefinition, "version">,
  ): SchedulingBlockDefinition {
    const database = this.#open();
    const doing = "put a definition";
    checkDefinition(doing, definition);
    const { id } = definition;
    let made: SchedulingBlockDefinition = { ...definition, version: 1 };
    inTransaction(database, () => {
      const last = database.prepare(
        "SELECT max(version) AS version FROM definitions WHERE id = ?",
      ).get(id);
      made = { ...made, version: Number(last?.version ?? 0) + 1 };
      database.prepare("INSERT INTO definitions VALUES (?, ?, ?)")
        .run(id, made.version, encodeStored(made));
    });
    return made;
  }

  /**
   * The newest version of a definition.
   *
   * @param sbdId What it is called.
   * @param options What ends the wait.
   * @returns A promise of it.
   * @throws {ProcedureError} `"scheduling-block-not-found"`, `"closed"`.
   */
  // deno-lint-ignore require-await
  async getDefinition(
    sbdId: string,
    options: WaitOptions = {},
  ): Promise<SchedulingBlockDefinition> {
    options.signal?.throwIfAborted();
    const row = this.#open().prepare(
      "SELECT value FROM definitions WHERE id = ? ORDER BY version DESC LIMIT 1",
    ).get(sbdId);
    if (row !== undefined) {
      return decodeStored(row.value as string) as SchedulingBlockDefinition;
    }
    throw definitionNotFound(sbdId);
  }

  /**
   * Makes an instance.
   *
   * @param instance What it is made of.
   * @param options What ends the wait.
   * @returns A promise of it when it is in the file.
   * @throws {ProcedureError} `"closed"`.
   */
  // deno-lint-ignore require-await
  async addInstance(
    instance: NewSchedulingBlockInstance,
    options: WaitOptions = {},
  ): Promise<SchedulingBlockInstance> {
    options.signal?.throwIfAborted();
    const id = `sbi-${crypto.randomUUID()}`;
    const made = makeInstance(id, instance, this.#now());
    this.#open().prepare("INSERT INTO instances (id, value) VALUES (?, ?)")
      .run(made.id, encodeStored(made));
    return made;
  }

  /**
   * All instances, in the order in which they were made.
   *
   * @param options What ends the wait.
   * @returns A promise of them.
   * @throws {ProcedureError} `"closed"`.
   */
  // deno-lint-ignore require-await
  async instances(
    options: WaitOptions = {},
  ): Promise<readonly SchedulingBlockInstance[]> {
    options.signal?.throwIfAborted();
    const rows = this.#open().prepare(
      "SELECT value FROM instances ORDER BY number",
    ).all();
    return rows.map((row) =>
      decodeStored(row.value as string) as SchedulingBlockInstance
    );
  }

  /** Lets go of the file. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#database.close();
  }

  /** The same as {@linkcode SqliteSchedulingBlockStore.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(): DatabaseSync {
    if (!this.#isClosed) return this.#database;
    throw new ProcedureError(
      "closed",
      "The store of scheduling blocks is closed",
    );
  }
}
