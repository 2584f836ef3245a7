// Copyright 2026 the Longrun authors. MIT license.

import { DatabaseSync } from "node:sqlite";
import { ProcedureStoreError } from "./procedure_store_error.ts";

/** What the files of a store are like. */
export interface SqliteFormat {
  /** What the store keeps, for messages. */
  readonly what: string;
  /** Tells files of this store from all others. */
  readonly applicationId: number;
  /** Each takes a file from the version that is its index to the next. */
  readonly migrations: readonly string[];
}

/** How a file is opened. */
export interface OpenSqliteOptions {
  /** How long to wait for another owner to end, in milliseconds. */
  readonly wait: number;
}

const BUSY = 5;
const DAMAGED = 11;
const NO_DATABASE = 26;

/** Not all errors have a number. */
const MESSAGES: readonly (readonly [string, number])[] = [
  ["is locked", BUSY],
  ["malformed", DAMAGED],
  ["not a database", NO_DATABASE],
];

function codeOf(error: unknown): number {
  const code: unknown = error instanceof Error
    ? Reflect.get(error, "errcode")
    : undefined;
  if (typeof code === "number") return code & 0xff;
  const message = error instanceof Error ? error.message : "";
  return MESSAGES.find(([text]) => message.includes(text))?.[1] ?? 0;
}

/** What an error of the database means for whoever opens the file. */
export function explain(
  file: string,
  what: string,
  error: unknown,
): ProcedureStoreError {
  if (error instanceof ProcedureStoreError) return error;
  const say = (
    code: ConstructorParameters<typeof ProcedureStoreError>[0],
    why: string,
  ): ProcedureStoreError =>
    new ProcedureStoreError(
      code,
      file,
      `Cannot open the ${what} in '${file}': ${why}`,
      { cause: error },
    );
  switch (codeOf(error)) {
    case BUSY:
      return say("in-use", "another service uses the file");
    case DAMAGED:
    case NO_DATABASE:
      return say(
        "damaged",
        "the file is damaged, or no database. Move it away to begin anew",
      );
    default:
      return say("failed", error instanceof Error ? error.message : `${error}`);
  }
}

/** Only its owner may read what scripts are called with. */
function makePrivate(file: string): void {
  if (file === ":memory:") return;
  Deno.openSync(file, { create: true, write: true, mode: 0o600 }).close();
}

/** Lets go of a file that is not ours to change, as it was. */
function giveBack(database: DatabaseSync, journal: unknown): void {
  if (database.isTransaction) database.exec("ROLLBACK");
  if (journal === "delete") database.exec("PRAGMA journal_mode = DELETE");
}

function numberOf(database: DatabaseSync, pragma: string): number {
  const row = database.prepare(`PRAGMA ${pragma}`).get() ?? {};
  return Number(Object.values(row)[0]);
}

function migrate(
  database: DatabaseSync,
  file: string,
  { what, applicationId, migrations }: SqliteFormat,
): void {
  const version = numberOf(database, "user_version");
  const owner = numberOf(database, "application_id");
  const tables = database.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get();
  const isEmpty = version === 0 && owner === 0 && tables === undefined;
  if (!isEmpty && owner !== applicationId) {
    throw new ProcedureStoreError(
      "foreign",
      file,
      `Cannot open the ${what} in '${file}': it is the database of another program, or for something else`,
    );
  }
  if (version > migrations.length) {
    throw new ProcedureStoreError(
      "newer",
      file,
      `Cannot open the ${what} in '${file}': its version is ${version}, the highest known is ${migrations.length}`,
    );
  }
  if (version === migrations.length) return;
  for (const migration of migrations.slice(version)) database.exec(migration);
  database.exec(`PRAGMA application_id = ${applicationId}`);
  database.exec(`PRAGMA user_version = ${migrations.length}`);
}

function check(database: DatabaseSync, file: string, what: string): void {
  const row = database.prepare("PRAGMA quick_check(1)").get() ?? {};
  const [result] = Object.values(row);
  if (result === "ok") return;
  throw new ProcedureStoreError(
    "damaged",
    file,
    `Cannot open the ${what} in '${file}': the file is damaged: ${result}`,
  );
}

/**
 * Opens a file for this program alone, and brings it up to date. The lock is
 * the operating system's: it goes with the process, however that ends.
 *
 * @throws {ProcedureStoreError} If it cannot be used.
 */
export function openSqlite(
  file: string,
  format: SqliteFormat,
  { wait }: OpenSqliteOptions,
): DatabaseSync {
  let database: DatabaseSync | undefined;
  let journal: unknown;
  try {
    makePrivate(file);
    database = new DatabaseSync(file, { timeout: wait });
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    journal = database.prepare("PRAGMA journal_mode").get()?.journal_mode;
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    database.exec("BEGIN EXCLUSIVE");
    check(database, file, format.what);
    migrate(database, file, format);
    database.exec("COMMIT");
    return database;
  } catch (error) {
    try {
      if (database !== undefined) giveBack(database, journal);
    } catch {
      // The first error tells more.
    }
    try {
      database?.close();
    } catch {
      // It was not open.
    }
    throw explain(file, format.what, error);
  }
}

/** Does all of it, or nothing. */
export function inTransaction(database: DatabaseSync, work: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
