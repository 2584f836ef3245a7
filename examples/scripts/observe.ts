// Copyright 2026 the Longrun authors. MIT license.

import type { ScriptArguments } from "@longrun/procedure";

let dish = "";

/** Called when the procedure is prepared. */
export function init({ kwargs, log }: ScriptArguments): void {
  dish = String(kwargs.dish ?? "SKA001");
  log.info(`${dish} is ours`);
}

/** Called when the procedure is started. */
export async function main(
  { kwargs, log, publish, signal }: ScriptArguments,
): Promise<void> {
  const scans = Number(kwargs.scans ?? 3);
  for (let scan = 1; scan <= scans; scan++) {
    signal.throwIfAborted();
    log.info(`scan ${scan} of ${scans}`);
    publish("scan.started", { dish, scan });
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
