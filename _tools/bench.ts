// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs the benchmarks on Deno, or with `--runtime=node` or `--runtime=bun` on
 * another one. Further arguments name files; without, all run.
 *
 * @module
 */

import { find } from "./files.ts";
import { install } from "./npm.ts";
import { bun, deno, node24, run } from "./process.ts";
import { passedOn, resolution } from "./std.ts";

async function command(runtime: string): Promise<[string, string[]]> {
  switch (runtime) {
    case "deno":
      return [deno, [
        "run",
        "-A",
        ...await resolution(),
        "--v8-flags=--expose-gc",
      ]];
    case "node":
      await install();
      return [node24, ["--expose-gc", "--import=./compat/node.mjs"]];
    case "bun":
      await install();
      return [bun, ["run"]];
    default:
      throw new TypeError(`There is no runtime "${runtime}".`);
  }
}

const flag = "--runtime=";
const args = passedOn();
const runtime = args.find((argument) => argument.startsWith(flag));
const named = args.filter((argument) => argument !== runtime);
const [program, options] = await command(runtime?.slice(flag.length) ?? "deno");
const files = named.length > 0 ? named : find("bench", "_bench.ts");

let success = files.length > 0;
for (const file of files) {
  console.log(`\n# ${file}`);
  success = await run(program, [...options, file]) && success;
}
Deno.exit(success ? 0 : 1);
