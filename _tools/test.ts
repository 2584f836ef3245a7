// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs the tests on Deno. Arguments go to `deno test`, but for `--compat`,
 * which takes `@std` from compat even where JSR answers.
 *
 * @module
 */

import { inPackage, packages } from "./files.ts";
import { countTests } from "./junit.ts";
import { deno, run, suiteLimit } from "./process.ts";
import { remember } from "./results.ts";
import { passedOn, resolution } from "./std.ts";
import { end, type Totals } from "./totals.ts";

/** Runs the tests on Deno. */
export async function testOnDeno(args: string[] = []): Promise<Totals> {
  const flags = await resolution();
  return await countTests((report) =>
    run(deno, [
      "test",
      "-A",
      ...flags,
      `--junit-path=${report}`,
      ...args,
      ...packages().map((directory) => inPackage(directory, "tests/")),
    ], { limit: suiteLimit })
  );
}

if (import.meta.main) {
  const totals = await testOnDeno(passedOn());
  remember("tests on Deno", totals);
  end(totals);
}
