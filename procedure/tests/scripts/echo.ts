// Copyright 2026 the Longrun authors. MIT license.

import type { ScriptArguments } from "../../script_module.ts";

/** Answers each ping until it is told enough. */
export async function main({ subscribe, publish, pid }: ScriptArguments) {
  const events = subscribe(["ping", "enough"]);
  publish("echo.listens", { pid });
  for await (const { topic, data } of events) {
    if (topic === "enough") break;
    publish("pong", { pid, data });
  }
}
