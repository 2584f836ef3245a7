// Copyright 2026 the Longrun authors. MIT license.

/**
 * Checks everything about the sources that needs no test: format, lint, types,
 * documentation, that the packages can be published and that browsers can run
 * the one in the root.
 *
 * @module
 */

import { areAliasesAlike } from "./aliases.ts";
import { checkBrowser } from "./browser.ts";
import { areDecisionsListed } from "./decisions.ts";
import {
  exists,
  find,
  findTests,
  fromRoot,
  inPackage,
  modules,
  packageIn,
  packages,
} from "./files.ts";
import { deno, run, suiteLimit } from "./process.ts";
import { resolution } from "./std.ts";
import { check, end, sum, type Totals } from "./totals.ts";

async function checkDocumentation(): Promise<Totals[]> {
  const all: Totals[] = [];
  for (const directory of packages()) {
    const { name, exports } = packageIn(directory);
    const entryPoints = Object.values(exports)
      .map((path) => inPackage(directory, path));
    // Each for itself: who uses one package may not know the others.
    const linted = await run(deno, ["doc", "--lint", ...entryPoints]);
    all.push(check(`documentation of ${name}`, linted));
  }
  return all;
}

async function tryPublishing(): Promise<Totals[]> {
  const all: Totals[] = [];
  for (const directory of packages()) {
    const published = await run(
      deno,
      ["publish", "--dry-run", "--allow-dirty"],
      // From the root Deno publishes the package there and no other.
      { cwd: fromRoot(directory) },
    );
    all.push(check(`publishing ${packageIn(directory).name}`, published));
  }
  return all;
}

/** Checks the sources. */
export async function checkSources(): Promise<Totals> {
  const flags = await resolution();
  const allModules = packages().flatMap((directory) => modules(directory));
  const sources = [
    ...allModules,
    ...["_tools", "bench", "compat", "examples"].flatMap((directory) =>
      find(directory, ".ts")
    ),
    ...findTests(".ts"),
  ];
  const pages = [
    ...find("docs", ".md"),
    ...packages().map((directory) => inPackage(directory, "README.md"))
      .filter(exists),
  ];
  return sum([
    check("format", await run(deno, ["fmt", "--check"])),
    check("lint", await run(deno, ["lint"])),
    check("types", await run(deno, ["check", ...flags, ...sources])),
    ...await checkDocumentation(),
    check(
      "examples in the documentation",
      await run(deno, [
        "test",
        "-A",
        "--doc",
        ...flags,
        ...allModules,
        ...pages,
      ], { limit: suiteLimit }),
    ),
    ...await tryPublishing(),
    check("aliases", areAliasesAlike()),
    check("decisions", areDecisionsListed()),
    await checkBrowser(),
  ]);
}

if (import.meta.main) end(await checkSources());
