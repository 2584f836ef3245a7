// Copyright 2026 the Longrun authors. MIT license.

/**
 * The names that sources import stand in four files: deno.json for Deno,
 * compat/import_map.json for Deno without JSR and for Node, tsconfig.json for
 * Bun, and package.json for npm.
 *
 * @module
 */

import {
  configuration,
  inPackage,
  packageIn,
  packages,
  readJson,
} from "./files.ts";

/** Checks that a name means the same in all files that have it. */
export function areAliasesAlike(): boolean {
  const { imports } = configuration();
  const compat = readJson<{ imports: Record<string, string> }>(
    "compat/import_map.json",
  ).imports;
  const { paths } = readJson<
    { compilerOptions: { paths: Record<string, string[]> } }
  >("tsconfig.json").compilerOptions;
  const { devDependencies } = readJson<
    { devDependencies: Record<string, string> }
  >("package.json");

  const expected: Record<string, string> = {};
  for (const directory of packages()) {
    const { name, exports } = packageIn(directory);
    for (const [key, path] of Object.entries(exports)) {
      expected[name + key.slice(1)] = `../${inPackage(directory, path)}`;
    }
  }
  for (const [key, target] of Object.entries(imports)) {
    if (target.startsWith("npm:")) expected[key] = target;
  }

  const wrong: string[] = [];
  for (const [key, target] of Object.entries(expected)) {
    if (compat[key] !== target) wrong.push(`${key} in compat/import_map.json`);
  }
  for (const [key, target] of Object.entries(compat)) {
    const standard = Object.keys(imports).some((one) =>
      key === one || key.startsWith(`${one}/`)
    );
    if (!(key in expected) && !standard) wrong.push(`${key} in deno.json`);
    if (target.startsWith(".")) {
      const path = new URL(target, "file:///compat/").pathname;
      if (paths[key]?.join() !== `.${path}`) {
        wrong.push(`${key} in tsconfig.json`);
      }
    } else if (target !== `npm:${key}@${devDependencies[key]}`) {
      wrong.push(`${key} in package.json`);
    }
  }
  for (const alias of wrong) console.error(`${alias} is missing or different.`);
  return wrong.length === 0;
}
