// Copyright 2026 the Longrun authors. MIT license.

/** Leaves a process behind, and a RUNNING procedure, and is killed. */
import { processIdentity, SqliteProcedureStore } from "../mod.ts";
import { procedure } from "./_procedure_stores.ts";

const store = new SqliteProcedureStore(Deno.args[0] ?? "");
const child = new Deno.Command("sh", {
  args: ["-c", "trap '' TERM; exec sleep 60"],
  stdin: "null",
  stdout: "null",
  stderr: "null",
}).spawn();
store.saveProcedure(procedure(1, "RUNNING"), processIdentity(child.pid));
Deno.stdout.writeSync(new TextEncoder().encode(`${child.pid}\n`));
Deno.kill(Deno.pid, "SIGKILL");
