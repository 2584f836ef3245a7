// Copyright 2026 the Longrun authors. MIT license.

/**
 * Tries the npm packages: packs them, installs them in an empty project and
 * imports every entry point on Node and Bun.
 *
 * @module
 */

import {
  configuration,
  fromRoot,
  packageIn,
  portablePackages,
} from "./files.ts";
import { install, npm } from "./npm.ts";
import { bun, deno, node22, node24, run } from "./process.ts";
import { check, end, sum, type Totals } from "./totals.ts";

/** Tries the npm packages. */
export async function tryPackage(): Promise<Totals> {
  await install();
  const project = await Deno.makeTempDir();
  try {
    return await tryIn(project);
  } finally {
    await Deno.remove(project, { recursive: true });
  }
}

/** Packs a package as npm wants it. */
async function pack(directory: string, tarball: string): Promise<boolean> {
  const packed = await run(deno, [
    "pack",
    "--allow-dirty",
    // Source maps would hold the paths of this machine.
    "--no-source-maps",
    `--output=${tarball}`,
  ], { cwd: fromRoot(directory) });
  return packed && (directory === "." || await dependOnRoot(tarball));
}

/** Says in a package that it needs that of the root: Deno does not. */
async function dependOnRoot(tarball: string): Promise<boolean> {
  const { name, version } = configuration();
  const directory = await Deno.makeTempDir();
  try {
    if (!await run("tar", ["-xzf", tarball, "-C", directory])) return false;
    const path = `${directory}/package/package.json`;
    const content = JSON.parse(await Deno.readTextFile(path));
    content.dependencies = { ...content.dependencies, [name]: `^${version}` };
    const text = JSON.stringify(content, undefined, 2);
    await Deno.writeTextFile(path, `${text}\n`);
    return await run("tar", ["-czf", tarball, "-C", directory, "package"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function tryIn(project: string): Promise<Totals> {
  const tarballs: string[] = [];
  const names: string[] = [];
  for (const directory of portablePackages()) {
    const { name, exports } = packageIn(directory);
    const tarball = `${project}/${name.replace(/\W+/g, "_")}.tgz`;
    if (!await pack(directory, tarball)) return check(`package ${name}`, false);
    tarballs.push(tarball);
    names.push(...Object.keys(exports).map((key) => name + key.slice(1)));
  }
  await Deno.writeTextFile(`${project}/package.json`, '{ "private": true }');
  await Deno.writeTextFile(
    `${project}/types.ts`,
    names.map((name, index) =>
      `import * as module${index} from "${name}";\nvoid module${index};\n`
    ).join(""),
  );
  for (
    const file of ["pack_smoke", "pack_tango", "pack_task", "pack_thread"]
  ) {
    await Deno.copyFile(
      fromRoot(`_tools/${file}.mjs`),
      `${project}/${file}.mjs`,
    );
  }
  await npm(["install", "--no-audit", "--no-fund", ...tarballs], project);

  const smoke = [`${project}/pack_smoke.mjs`, ...names];
  const thread = [`${project}/pack_thread.mjs`];
  const tango = [`${project}/pack_tango.mjs`];
  const options = { cwd: project, limit: 60_000 };
  return sum([
    check("package on Node 22", await run(node22, smoke, options)),
    check("package on Node 24", await run(node24, smoke, options)),
    check("package on Bun", await run(bun, smoke, options)),
    check("package: a thread on Node 22", await run(node22, thread, options)),
    check("package: a thread on Node 24", await run(node24, thread, options)),
    check("package: a thread on Bun", await run(bun, thread, options)),
    check("package: Tango on Node 22", await run(node22, tango, options)),
    check("package: Tango on Node 24", await run(node24, tango, options)),
    check("package: Tango on Bun", await run(bun, tango, options)),
    check(
      "package: types",
      await run(deno, ["check", "types.ts"], options),
    ),
  ]);
}

if (import.meta.main) end(await tryPackage());
