// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { FileLock } from "../_file_lock.ts";
import { namesIn, pause } from "./_eventually.ts";
import { TemporaryFolder } from "./_git_repository.ts";

test("FileLock has one owner, or any number of sharers", async () => {
  await using folder = new TemporaryFolder();
  const path = folder.at("lock");
  const owner = await FileLock.take(path, "exclusive");
  assert(owner !== undefined);
  assertEquals(JSON.parse(await Deno.readTextFile(path)).pid, Deno.pid);
  assertEquals(await FileLock.take(path, "exclusive"), undefined);
  assertEquals(await FileLock.take(path, "shared"), undefined);
  assert(await owner.share());
  const sharer = await FileLock.take(path, "shared");
  assert(sharer !== undefined);
  assertEquals(await FileLock.take(path, "exclusive"), undefined);
  owner.release();
  assertEquals(await FileLock.take(path, "exclusive"), undefined);
  sharer.release();
  const next = await FileLock.take(path, "exclusive");
  assert(next !== undefined);
  next.release();
});

test("FileLock never has two owners, though its file is removed each time", async () => {
  await using folder = new TemporaryFolder();
  const path = folder.at("lock");
  let owners = 0;
  let most = 0;
  let times = 0;
  const compete = async (): Promise<void> => {
    while (times < 300) {
      const lock = await FileLock.take(path, "exclusive");
      if (lock === undefined) continue;
      most = Math.max(most, ++owners);
      times++;
      if (times % 3 === 0) await pause(0);
      owners--;
      await lock.remove();
    }
  };
  await Promise.all(Array.from({ length: 8 }, compete));
  assertEquals(most, 1);
  assertEquals(namesIn(folder.path), []);
});
