// Copyright 2026 the Longrun authors. MIT license.

import type { ScriptArguments } from "../../script_module.ts";

let subarray: unknown;

export function init({ kwargs }: ScriptArguments): void {
  subarray = kwargs.subarray_id;
}

export function main({ log }: ScriptArguments): void {
  log.info(`subarray ${subarray} is aborted`);
}
