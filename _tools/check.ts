// Copyright 2026 the Longrun authors. MIT license.

/**
 * Checks everything about the sources that needs no test: format, lint, types,
 * documentation, that the package can be published and that browsers can run
 * it.
 *
 * @module
 */

import { areAliasesAlike } from "./aliases.ts";
import { checkBrowser } from "./browser.ts";
import { configuration, find, modules } from "./files.ts";
import { deno, run } from "./process.ts";
import { resolution } from "./std.ts";
import { check, end, sum, type Totals } from "./totals.ts";

/** Checks the sources. */
export async function checkSources(): Promise<Totals> {
  const flags = await resolution();
  const entryPoints = Object.values(configuration().exports);
  const sources = [
    ...modules(),
    ...["_tools", "bench", "compat", "examples", "tests"].flatMap((directory) =>
      find(directory, ".ts")
    ),
  ];
  const pages = [...find("docs", ".md"), "README.md"];
  return sum([
    check("format", await run(deno, ["fmt", "--check"])),
    check("lint", await run(deno, ["lint"])),
    check("types", await run(deno, ["check", ...flags, ...sources])),
    check(
      "documentation",
      await run(deno, ["doc", "--lint", ...entryPoints]),
    ),
    check(
      "examples in the documentation",
      await run(deno, [
        "test",
        "-A",
        "--doc",
        ...flags,
        ...modules(),
        ...pages,
      ]),
    ),
    check(
      "publishing",
      await run(deno, ["publish", "--dry-run", "--allow-dirty"]),
    ),
    check("aliases", areAliasesAlike()),
    await checkBrowser(),
  ]);
}

if (import.meta.main) end(await checkSources());
