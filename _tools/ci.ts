// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs everything. The last line of the output is the total. What the file of
 * `LONGRUN_RESULTS` already has the result of does not run again.
 *
 * @module
 */

import { checkSources } from "./check.ts";
import { leaksOnBun, leaksOnDeno, leaksOnNode } from "./leaks.ts";
import { tryPackage } from "./pack.ts";
import { deno, run } from "./process.ts";
import { remembered } from "./results.ts";
import { testOnDeno } from "./test.ts";
import { testOnBun } from "./test_bun.ts";
import { testOnNode } from "./test_node.ts";
import { check, end, show, sum, type Totals } from "./totals.ts";

async function demonstrate(): Promise<Totals> {
  return sum([
    check("demo", await run(deno, ["task", "demo"], { limit: 60_000 })),
    check(
      "demo of procedures",
      await run(deno, ["task", "demo:procedure", "--once"], { limit: 60_000 }),
    ),
  ]);
}

const steps: [name: string, step: () => Promise<Totals>][] = [
  ["tests on Deno", testOnDeno],
  ["tests on Node", testOnNode],
  ["tests on Bun", testOnBun],
  ["leaks on Deno", leaksOnDeno],
  ["leaks on Node", leaksOnNode],
  ["leaks on Bun", leaksOnBun],
  ["checks", checkSources],
  ["package", tryPackage],
  ["demos", demonstrate],
];

const results = remembered();
for (const [name, step] of steps) {
  if (results.has(name)) continue;
  console.log(`\n# ${name}\n`);
  try {
    results.set(name, await step());
  } catch (error) {
    console.error(error);
    results.set(name, check(name, false));
  }
}

console.log();
for (const [name, totals] of results) {
  console.log(`${name}: ${show(totals)}`);
  totals.failures = totals.failures.map((text) => `${name}: ${text}`);
}
end(sum([...results.values()]));
