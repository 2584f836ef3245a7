// Copyright 2026 the Longrun authors. MIT license.

/** Writes to a store as fast as it can, and tells what it has written. */
import { SqliteProcedureStore } from "../sqlite_procedure_store.ts";
import { line, procedure } from "./_procedure_stores.ts";

const store = new SqliteProcedureStore(Deno.args[0] ?? "", { maxLines: 50 });
const say = (text: string): void => {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
};
say("open");
for (let id = store.lastProcedureId + 1;; id++) {
  store.saveProcedure(procedure(id, "CREATING"));
  for (let count = 0; count < 60; count++) {
    store.appendOutput(line(id, `${id} ${count}`));
  }
  store.saveProcedure(procedure(id, "COMPLETE"));
  say(`saved ${id}`);
  if (id > 20) store.removeProcedure(id - 20);
}
