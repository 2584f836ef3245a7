// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { sealDenoDir } from "../_script_deno_dir.ts";
import { namesIn } from "./_eventually.ts";
import { withFiles } from "./_script_rig.ts";

test("sealDenoDir shares modules and leaves no place to store anything", async () => {
  await using files = await withFiles({ "npm/a/package.json": "{}" });
  const sealed = await Promise.all(
    Array.from({ length: 8 }, () => sealDenoDir(files.folder)),
  );
  const [folder = ""] = sealed;
  assertEquals(new Set(sealed).size, 1);
  assertEquals(namesIn(`${folder}/npm/a`), ["package.json"]);
  await Deno.writeTextFile(`${folder}/remote/x`, "x");
  assertEquals(namesIn(`${files.folder}/remote`), ["x"]);
  assertEquals((await Deno.lstat(`${folder}/location_data`)).isFile, true);
});

test("sealDenoDir removes what was stored, and takes a folder that cannot be written as it is", async () => {
  await using files = await withFiles({
    "longrun_scripts/location_data/web_cache/x": "",
    "file": "",
  });
  const folder = await sealDenoDir(files.folder);
  assertEquals((await Deno.lstat(`${folder}/location_data`)).isFile, true);
  assertEquals(
    await sealDenoDir(`${files.folder}/file`),
    `${files.folder}/file`,
  );
});
