// Copyright 2026 the Longrun authors. MIT license.

/**
 * Results that one command leaves for the next one: continuous integration
 * runs the tests by their own command and counts them with all the rest.
 *
 * @module
 */

import type { Totals } from "./totals.ts";

const file = Deno.env.get("LONGRUN_RESULTS");

/** Leaves a result in the file of the environment, if it names one. */
export function remember(name: string, totals: Totals): void {
  if (!file) return;
  const line = JSON.stringify({ name, totals });
  Deno.writeTextFileSync(file, `${line}\n`, { append: true });
}

/** The results that were left. */
export function remembered(): Map<string, Totals> {
  const results = new Map<string, Totals>();
  if (!file) return results;
  for (const line of Deno.readTextFileSync(file).trim().split("\n")) {
    if (line === "") continue;
    const { name, totals } = JSON.parse(line);
    results.set(name, totals);
  }
  return results;
}
