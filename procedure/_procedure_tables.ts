// Copyright 2026 the Longrun authors. MIT license.

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { SqliteFormat } from "./_sqlite_file.ts";

/** The tables of a store of procedures. */
export const FORMAT: SqliteFormat = {
  what: "store of procedures",
  applicationId: 0x4c72_5072,
  migrations: [`
    CREATE TABLE counters (
      name TEXT PRIMARY KEY, value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE procedures (id INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE activities (id INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE output (
      pid INTEGER NOT NULL, line INTEGER NOT NULL, time REAL NOT NULL,
      stream TEXT NOT NULL, text TEXT NOT NULL, dropped INTEGER NOT NULL,
      PRIMARY KEY (pid, line)
    ) STRICT;
  `],
};

/** The statements of a store, prepared. */
export interface ProcedureStatements {
  readonly count: StatementSync;
  readonly saveProcedure: StatementSync;
  readonly removeProcedure: StatementSync;
  readonly saveActivity: StatementSync;
  readonly removeActivity: StatementSync;
  readonly append: StatementSync;
  readonly trim: StatementSync;
  readonly removeOutput: StatementSync;
  readonly read: StatementSync;
}

/** Prepares the statements of a store. */
export const statementsOf = (database: DatabaseSync): ProcedureStatements => ({
  count: database.prepare("INSERT OR REPLACE INTO counters VALUES (?, ?)"),
  saveProcedure: database.prepare(
    "INSERT OR REPLACE INTO procedures VALUES (?, ?)",
  ),
  removeProcedure: database.prepare("DELETE FROM procedures WHERE id = ?"),
  saveActivity: database.prepare(
    "INSERT OR REPLACE INTO activities VALUES (?, ?)",
  ),
  removeActivity: database.prepare("DELETE FROM activities WHERE id = ?"),
  append: database.prepare(
    "INSERT OR REPLACE INTO output VALUES (?, ?, ?, ?, ?, ?)",
  ),
  trim: database.prepare("DELETE FROM output WHERE pid = ? AND line <= ?"),
  removeOutput: database.prepare("DELETE FROM output WHERE pid = ?"),
  // A text is read to its first NUL only.
  read: database.prepare(
    "SELECT line, time, stream, CAST(text AS BLOB) AS bytes, dropped FROM output WHERE pid = ? AND line > ? ORDER BY line LIMIT ?",
  ),
});

const PAGE = 4_096;

/** Lets a file grow to so many bytes. */
export function limitSize(database: DatabaseSync, bytes: number): void {
  if (bytes === Infinity) return;
  const pages = Math.max(1, Math.floor(bytes / PAGE));
  database.exec(`PRAGMA max_page_count = ${pages}`);
}
