// Copyright 2026 the Longrun authors. MIT license.

/**
 * Serves procedures on this machine, executes a script to its end, stops one
 * that runs away, and shows where the control page is. With `--once` it ends by
 * itself.
 *
 * @module
 */

import { procedureInput, serve } from "@longrun/procedure";

const scripts = new URL("scripts/", import.meta.url);
const script = (name: string) => ({
  type: "filesystem" as const,
  uri: new URL(name, scripts).href,
});
const isOnce = Deno.args.includes("--once");

const interrupt = new AbortController();
const onInterrupt = () => interrupt.abort();
Deno.addSignalListener("SIGINT", onInterrupt);

await using server = await serve({
  port: isOnce ? 0 : 5000,
  policy: { roots: [{ path: decodeURIComponent(scripts.pathname) }] },
  signal: interrupt.signal,
});
const { procedures } = server;
console.log(`The control page is at ${server.page}`);

procedures.bus.onEvent("procedure.lifecycle.statechange", ({ data }) => {
  const { pid, state } = data as { pid: number; state: string };
  console.log(`procedure ${pid} is ${state}`);
});
procedures.bus.onEvent("script.output", ({ data }) => {
  const { pid, text } = data as { pid: number; text: string };
  console.log(`procedure ${pid} says: ${text}`);
});

const observation = await procedures.prepare({
  script: script("observe.ts"),
  initArgs: procedureInput({ dish: "SKA001" }),
});
await procedures.start({
  pid: observation.id,
  args: procedureInput({ scans: 3 }),
  forceStart: true,
});
await procedures.waitForState(observation.id, "COMPLETE");

const runaway = await procedures.prepare({ script: script("runaway.ts") });
await procedures.start({ pid: runaway.id, forceStart: true });
await procedures.stop({ pid: runaway.id });

if (isOnce) {
  await server.close();
} else {
  console.log(`Ctrl-C ends it; until then ${server.page} is yours`);
  await server.finished;
}
Deno.removeSignalListener("SIGINT", onInterrupt);
