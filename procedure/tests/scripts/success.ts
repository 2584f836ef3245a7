// Copyright 2026 the Longrun authors. MIT license.

import type { ScriptArguments } from "../../script_module.ts";

export function init({ kwargs, log }: ScriptArguments): void {
  log.info(`subarray ${kwargs.subarray_id}`);
}

export async function main({ args, kwargs, publish }: ScriptArguments) {
  console.log("observing", ...args);
  for (let scan = 1; scan <= Number(kwargs.scans ?? 2); scan++) {
    publish("scan.started", { scan });
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
