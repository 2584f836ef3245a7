// Copyright 2026 the Longrun authors. MIT license.

/**
 * Looks for memory leaks: runs the scripts of tests/leaks on Deno, Node and Bun
 * with the garbage collector at hand. Each script prints `ok name` or
 * `FAILED name` for each of its checks and fails if one of them did.
 *
 * @module
 */

import { findTests, packages, portablePackages } from "./files.ts";
import { install } from "./npm.ts";
import { bun, deno, node24, read } from "./process.ts";
import { resolution } from "./std.ts";
import { counted, end, failure, sum, type Totals } from "./totals.ts";

/** A script that hangs is ended after so many milliseconds. */
const limit = 180_000;

async function countLeaks(
  program: string,
  args: string[],
  directories: string[] = portablePackages(),
): Promise<Totals> {
  const all: Totals[] = [];
  for (const file of findTests("_leak.ts", "tests/leaks", directories)) {
    console.log(file);
    const { success, text } = await read(program, [...args, file], { limit });
    console.log(text.trimEnd());
    const passed = text.match(/^ok /gm)?.length ?? 0;
    const failures: string[] = text.match(/^FAILED .*/gm) ?? [];
    if (success ? passed === 0 : failures.length === 0) {
      failures.push("FAILED without a word");
    }
    all.push(
      counted({ passed }),
      ...failures.map((line) => failure(line.replace("FAILED", `${file}:`))),
    );
  }
  return sum(all);
}

/** Looks for leaks on Deno. */
export async function leaksOnDeno(): Promise<Totals> {
  const flags = await resolution();
  const args = ["run", "-A", ...flags, "--v8-flags=--expose-gc"];
  return await countLeaks(deno, args, packages());
}

/** Looks for leaks on Node. */
export async function leaksOnNode(): Promise<Totals> {
  await install();
  return await countLeaks(node24, [
    "--expose-gc",
    "--import=./compat/node.mjs",
  ]);
}

/** Looks for leaks on Bun. */
export async function leaksOnBun(): Promise<Totals> {
  await install();
  return await countLeaks(bun, ["run"]);
}

if (import.meta.main) {
  const all: Totals[] = [];
  for (
    const [runtime, look] of [
      ["Deno", leaksOnDeno],
      ["Node", leaksOnNode],
      ["Bun", leaksOnBun],
    ] as const
  ) {
    console.log(`# ${runtime}`);
    all.push(await look());
  }
  end(sum(all));
}
