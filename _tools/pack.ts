// Copyright 2026 the Longrun authors. MIT license.

/**
 * Tries the npm package: packs it, installs it in an empty project and imports
 * every entry point on Node and Bun.
 *
 * @module
 */

import { configuration, fromRoot } from "./files.ts";
import { install, npm } from "./npm.ts";
import { bun, deno, node22, node24, run } from "./process.ts";
import { check, end, sum, type Totals } from "./totals.ts";

/** Tries the npm package. */
export async function tryPackage(): Promise<Totals> {
  await install();
  const project = await Deno.makeTempDir();
  try {
    return await tryIn(project);
  } finally {
    await Deno.remove(project, { recursive: true });
  }
}

async function tryIn(project: string): Promise<Totals> {
  const { name, exports } = configuration();
  const tarball = `${project}/package.tgz`;
  const packed = await run(deno, [
    "pack",
    "--allow-dirty",
    // Source maps would hold the paths of this machine.
    "--no-source-maps",
    `--output=${tarball}`,
  ]);
  if (!packed) return check("package", false);

  const names = Object.keys(exports).map((key) => name + key.slice(1));
  await Deno.writeTextFile(`${project}/package.json`, '{ "private": true }');
  await Deno.writeTextFile(
    `${project}/types.ts`,
    names.map((name, index) =>
      `import * as module${index} from "${name}";\nvoid module${index};\n`
    ).join(""),
  );
  for (const file of ["pack_smoke", "pack_task", "pack_thread"]) {
    await Deno.copyFile(
      fromRoot(`_tools/${file}.mjs`),
      `${project}/${file}.mjs`,
    );
  }
  await npm(["install", "--no-audit", "--no-fund", tarball], project);

  const smoke = [`${project}/pack_smoke.mjs`, ...names];
  const thread = [`${project}/pack_thread.mjs`];
  const options = { cwd: project, limit: 60_000 };
  return sum([
    check("package on Node 22", await run(node22, smoke, options)),
    check("package on Node 24", await run(node24, smoke, options)),
    check("package on Bun", await run(bun, smoke, options)),
    check("package: a thread on Node 22", await run(node22, thread, options)),
    check("package: a thread on Node 24", await run(node24, thread, options)),
    check("package: a thread on Bun", await run(bun, thread, options)),
    check(
      "package: types",
      await run(deno, ["check", "types.ts"], options),
    ),
  ]);
}

if (import.meta.main) end(await tryPackage());
