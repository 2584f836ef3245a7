// Copyright 2026 the Longrun authors. MIT license.

import { printJson, type Session } from "./_cli_session.ts";
import { table } from "./_cli_table.ts";
import { originalOf } from "./_client_wire.ts";

/** What a table shows of each value. */
export interface Columns<T extends object> {
  readonly titles: readonly string[];
  rowOf(value: T): string[];
}

/** Writes one value: a table of one row, or its JSON. */
export async function printRow<T extends object>(
  session: Session,
  { titles, rowOf }: Columns<T>,
  value: T,
): Promise<void> {
  const { terminal } = session;
  if (session.isJson) await printJson(session, value);
  else await terminal.print(table(terminal, titles, [rowOf(value)]));
}

/** Writes values: a table, or the JSON of all. Without any says `none`. */
export async function printRows<T extends object>(
  session: Session,
  { titles, rowOf }: Columns<T>,
  values: readonly T[],
  none: string,
): Promise<void> {
  const { terminal } = session;
  if (session.isJson) await printJson(session, values.map(originalOf));
  else if (values.length === 0) await terminal.tell(none);
  else await terminal.print(table(terminal, titles, values.map(rowOf)));
}
