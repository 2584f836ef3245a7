// Copyright 2026 the Longrun authors. MIT license.

import { systemClock } from "@longrun/tasks/clock";
import { defaultLogger } from "@longrun/tasks/logger";
import { assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { FolderCache } from "../_folder_cache.ts";
import { TemporaryFolder } from "./_git_repository.ts";

test("FolderCache holds no lock on a folder whose record could not be read", async () => {
  await using temporary = new TemporaryFolder();
  const cache = new FolderCache({
    directory: temporary.path,
    sizeLimit: Infinity,
    entryLimit: Infinity,
    code: "environment-failed",
    what: "test",
    clock: systemClock,
    logger: defaultLogger,
  });
  const record = temporary.at("one", "entry.json");
  await Deno.mkdir(record, { recursive: true });
  let builds = 0;
  const build = () => Promise.resolve(void builds++);
  await assertRejects(() => cache.acquire("one", build));
  await Deno.remove(record);
  const signal = AbortSignal.timeout(5_000);
  const held = await cache.acquire("one", build, signal);
  assertEquals([held.folder, builds], [temporary.at("one"), 1]);
  held.release();
  await cache.close();
});
