// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs the tests on Bun, which finds the names of deno.json in tsconfig.json.
 * Arguments go to `bun test`.
 *
 * @module
 */

import { findTests, portablePackages } from "./files.ts";
import { countTests } from "./junit.ts";
import { install } from "./npm.ts";
import { bun, run, suiteLimit } from "./process.ts";
import { end, type Totals } from "./totals.ts";

/** Runs the tests on Bun. */
export async function testOnBun(args: string[] = []): Promise<Totals> {
  await install();
  return await countTests((report) =>
    run(bun, [
      "test",
      // Deno and Node have no limit by themselves.
      "--timeout=120000",
      "--reporter=junit",
      `--reporter-outfile=${report}`,
      ...args,
      ...findTests("_test.ts", "tests", portablePackages())
        .map((file) => `./${file}`),
    ], { limit: suiteLimit })
  );
}

if (import.meta.main) end(await testOnBun(Deno.args));
