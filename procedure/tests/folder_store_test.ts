// Copyright 2026 the Longrun authors. MIT license.

import { defaultLogger } from "@longrun/tasks/logger";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { FolderStore } from "../_folder_store.ts";
import { namesIn } from "./_eventually.ts";
import { TemporaryFolder } from "./_git_repository.ts";

function storeIn(directory: string): FolderStore {
  return new FolderStore({ directory, what: "test", logger: defaultLogger });
}

async function write(folder: string, text = "12345"): Promise<void> {
  await Deno.writeTextFile(`${folder}/file`, text);
}

test("FolderStore shows a folder when it is whole, and not before", async () => {
  await using temporary = new TemporaryFolder();
  const directory = temporary.at("store");
  const store = storeIn(directory);
  await store.prepare();
  await store.make("one", async (folder) => {
    await write(folder);
    assert(!await store.has("one"));
    assertEquals(await store.list(), []);
  });
  assert(await store.has("one"));
  const [found] = await store.list();
  assertEquals([found?.key, found?.folder, found?.size], [
    "one",
    store.folderOf("one"),
    5,
  ]);
  await store.remove("one");
  assert(!await store.has("one"));
  assertEquals(namesIn(directory), []);
  await store.remove("one");
});

test("FolderStore keeps nothing of a folder that could not be filled", async () => {
  await using temporary = new TemporaryFolder();
  const directory = temporary.at("store");
  const store = storeIn(directory);
  await store.prepare();
  const fill = async (folder: string): Promise<void> => {
    await write(folder);
    throw new Error("The disk is full");
  };
  await assertRejects(() => store.make("one", fill), Error, "disk is full");
  assertEquals(namesIn(directory), []);
});

test("FolderStore removes what a crash has left, but nothing that is locked", async () => {
  await using temporary = new TemporaryFolder();
  const directory = temporary.at("store");
  const before = storeIn(directory);
  await before.prepare();
  await before.make("whole", write);
  for (const name of ["whole+1", "half+1", "busy+1", "torn"]) {
    await Deno.mkdir(`${directory}/${name}`);
    await write(`${directory}/${name}`);
  }
  const lock = await before.lock("busy", "exclusive");
  const store = storeIn(directory);
  assertEquals((await store.list()).map(({ key }) => key), ["whole"]);
  assertEquals(
    namesIn(directory).sort(),
    ["busy+1", "busy.lock", "torn", "whole", "whole.lock"],
  );
  await store.make("torn", (folder) => write(folder, "123"));
  assertEquals((await store.list()).map(({ key }) => key).sort(), [
    "torn",
    "whole",
  ]);
  lock?.release();
});

test("FolderStore lists first what was used least recently", async () => {
  await using temporary = new TemporaryFolder();
  const store = storeIn(temporary.at("store"));
  await store.prepare();
  const keys = ["one", "two", "three"];
  for (const [index, key] of keys.entries()) {
    const lock = await store.lock(key, "exclusive");
    await store.make(key, write);
    lock?.release();
    await Deno.utime(temporary.at(`store/${key}.lock`), 100, 100 - index);
  }
  const order = async (): Promise<string[]> =>
    (await store.list()).map(({ key }) => key);
  assertEquals(await order(), ["three", "two", "one"]);
  store.touch("two");
  assertEquals(await order(), ["three", "one", "two"]);
});

test("FolderStore holds no lock on what it could not sweep away", async () => {
  await using temporary = new TemporaryFolder();
  const directory = temporary.at("store");
  const record = `${directory}/one/entry.json`;
  await Deno.mkdir(record, { recursive: true });
  await Deno.mkdir(`${directory}/one+1`);
  const store = storeIn(directory);
  await assertRejects(() => store.prepare());
  await Deno.remove(record);
  await store.prepare();
  const lock = await store.lock("one", "exclusive");
  assert(lock !== undefined);
  lock.release();
});
