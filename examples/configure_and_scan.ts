// Copyright 2026 the Longrun authors. MIT license.

/**
 * Configures a telescope and scans with it, on Deno, Node or Bun:
 *
 * ```sh
 * deno run examples/configure_and_scan.ts      # scans for 5 s
 * node examples/configure_and_scan.ts 60       # for a minute
 * ```
 *
 * Both are long-running commands: their progress is a bar. Ctrl-C aborts what
 * the telescope does, and what is printed then is how it has really ended: the
 * commands are followed to their ends, whatever happens. A second Ctrl-C does
 * not wait.
 */

import process from "node:process";
import { execute } from "./_execute.ts";
import { ProgressBar } from "./_progress_bar.ts";
import { makeTelescope, type TelescopeCommands } from "./_telescope.ts";

const app = new AbortController();
const { signal } = app;

// Whoever has started this process may pass on a signal that it has got from
// the terminal already: within a tenth of a second it is the same key.
let interruptedAt: number | undefined;
const interrupt = (): void => {
  const now = performance.now();
  if (interruptedAt === undefined) {
    interruptedAt = now;
    app.abort(new DOMException("Interrupted", "AbortError"));
  } else if (now - interruptedAt > 100) {
    process.exit(130);
  }
};
process.on("SIGINT", interrupt);

const telescope = makeTelescope();

/** Has the telescope do something; returns whether to go on. */
async function show<K extends keyof TelescopeCommands>(
  command: K,
  argument: TelescopeCommands[K],
): Promise<boolean> {
  const bar = new ProgressBar(command);
  const end = await execute(telescope, command, argument, {
    signal,
    onProgress: (percent) => bar.show(percent),
  });
  bar.end(end);
  return end.isWell && !signal.aborted;
}

try {
  const [, , seconds = "5"] = process.argv;
  const isDone = await show("Configure", { source: "Vela" }) &&
    await show("Scan", { seconds: Number(seconds) });
  if (!isDone) process.exitCode = 1;
} finally {
  process.off("SIGINT", interrupt);
  await telescope.stop();
}
