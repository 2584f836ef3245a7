// Copyright 2026 the Longrun authors. MIT license.

/** A service that runs a script and tells the number of its process. */

import { fileSystemScript } from "../script.ts";
import { serve } from "../server.ts";
import { childrenOf } from "./_eventually.ts";

const [database = "", path = "", uri = ""] = Deno.args;
const server = await serve({
  port: 0,
  database,
  policy: { roots: [{ path }] },
});
const { procedures } = server;
await procedures.prepare({ script: fileSystemScript(uri) });
await procedures.start({ pid: 1, forceStart: true });
console.log(childrenOf(Deno.pid)[0]);
await new Promise(() => {});
