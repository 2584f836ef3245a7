// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs the tests on Node. Arguments go to `node --test`.
 *
 * @module
 */

import { findTests, portablePackages } from "./files.ts";
import { countTests } from "./junit.ts";
import { install } from "./npm.ts";
import { node24, run, suiteLimit } from "./process.ts";
import { end, type Totals } from "./totals.ts";

/** Runs the tests on Node. */
export async function testOnNode(args: string[] = []): Promise<Totals> {
  await install();
  return await countTests((report) =>
    run(node24, [
      "--import=./compat/node.mjs",
      "--test",
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      "--test-reporter=junit",
      `--test-reporter-destination=${report}`,
      ...args,
      ...findTests("_test.ts", "tests", portablePackages()),
    ], { limit: suiteLimit })
  );
}

if (import.meta.main) end(await testOnNode(Deno.args));
