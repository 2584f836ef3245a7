// Copyright 2026 the Longrun authors. MIT license.

/**
 * Checks that the modules need nothing but web standards: each says that it is
 * compatible with browsers, imports only its neighbours, has sound types
 * where only those of browsers exist, and works where Deno and Node do not.
 *
 * @module
 */

import { fromRoot, modules } from "./files.ts";
import { deno, read, run } from "./process.ts";
import { check, end, sum, type Totals } from "./totals.ts";

const mark = /^\/\/ This module is browser compatible\.$/m;

function areMarked(): boolean {
  const unmarked = modules().filter((module) =>
    !mark.test(Deno.readTextFileSync(fromRoot(module)))
  );
  for (const module of unmarked) {
    console.error(`${module} does not say that it is browser compatible.`);
  }
  return unmarked.length === 0;
}

interface ModuleGraph {
  modules: { specifier: string; dependencies?: { specifier: string }[] }[];
}

async function areAlone(): Promise<boolean> {
  let alone = true;
  for (const module of modules()) {
    const { success, text } = await read(deno, ["info", "--json", module]);
    if (!success) return false;
    const graph: ModuleGraph = JSON.parse(text);
    const own = graph.modules.find((one) =>
      one.specifier.endsWith(`/${module}`)
    );
    for (const { specifier } of own?.dependencies ?? []) {
      if (/^\.\/\w+\.ts$/.test(specifier)) continue;
      console.error(`${module} imports ${specifier}.`);
      alone = false;
    }
  }
  return alone;
}

/** Checks that the modules need nothing but web standards. */
export async function checkBrowser(): Promise<Totals> {
  return sum([
    check("browser: every module says so", areMarked()),
    check("browser: the modules import only each other", await areAlone()),
    check(
      "browser: types without those of Deno and Node",
      await run(deno, ["check", "--config=_tools/browser.json", ...modules()]),
    ),
    check(
      "browser: the modules load without Deno and Node",
      await run(deno, ["run", "--no-check", "-A", "_tools/browser_load.ts"]),
    ),
  ]);
}

if (import.meta.main) end(await checkBrowser());
