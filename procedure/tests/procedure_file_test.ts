// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  ProcedureFile,
  type ProcedureFileChanges,
  type ProcedureFileContent,
} from "../_procedure_file.ts";
import { ProcedureStoreError, type StoredOutput } from "../mod.ts";
import {
  activity,
  line,
  procedure,
  temporaryFile,
} from "./_procedure_stores.ts";

const OPTIONS = { maxLines: 2, maxSize: Infinity, wait: 0 };

const changes = (
  more: Partial<ProcedureFileChanges> = {},
): ProcedureFileChanges => ({
  procedures: new Map(),
  activities: new Map(),
  lastProcedureId: 0,
  lastActivityId: 0,
  ...more,
});

const saved = (id: number) => ({ summary: procedure(id), process: null });

const numbered = (pid: number, ...numbers: number[]): StoredOutput[] =>
  numbers.map((number) => ({ ...line(pid, `line ${number}`), line: number }));

function contentOf(file: ProcedureFile): ProcedureFileContent {
  let content: ProcedureFileContent | undefined;
  file.read((read) => void (content = read));
  if (content === undefined) throw new Error("Nothing was read");
  return content;
}

test("ProcedureFile gives back what it was given when it is opened again", () => {
  using folder = temporaryFile();
  const first = new ProcedureFile(folder.path, OPTIONS);
  first.write(
    changes({
      procedures: new Map([[1, saved(1)], [2, saved(2)], [3, undefined]]),
      activities: new Map([[4, activity(4)]]),
      lastProcedureId: 3,
      lastActivityId: 4,
    }),
    numbered(2, 1, 2),
  );
  first.close();
  const second = new ProcedureFile(folder.path, OPTIONS);
  const content = contentOf(second);
  assertEquals(content.procedures, [saved(1), saved(2)]);
  assertEquals(content.activities, [activity(4)]);
  assertEquals([content.lastProcedureId, content.lastActivityId], [3, 4]);
  assertEquals(content.lastLines, new Map([[2, 2]]));
  assertEquals(second.lines(2, 0, 10), numbered(2, 1, 2));
  assertEquals(second.lines(2, 1, 10), numbered(2, 2));
  assertEquals(second.lines(2, 0, 1), numbered(2, 1));
  second.close();
});

test("ProcedureFile keeps the newest lines, and none of what is removed", () => {
  const file = new ProcedureFile(":memory:", OPTIONS);
  const one = changes({ procedures: new Map([[1, saved(1)]]) });
  file.write(one, numbered(1, 1, 2, 3));
  assertEquals(file.lines(1, 0, 10), numbered(1, 2, 3));
  file.write(changes({ procedures: new Map([[1, undefined]]) }));
  assertEquals(file.lines(1, 0, 10), []);
  assertEquals(contentOf(file).procedures, []);
  file.close();
});

test("ProcedureFile writes all or nothing", () => {
  const file = new ProcedureFile(":memory:", OPTIONS);
  const one = changes({
    procedures: new Map([[1, saved(1)]]),
    lastProcedureId: 1,
  });
  const odd = { ...line(1, "odd"), line: 2, time: "soon" as unknown as number };
  assertThrows(() => file.write(one, [...numbered(1, 1), odd]));
  assertEquals(contentOf(file).procedures, []);
  assertEquals(contentOf(file).lastProcedureId, 0);
  assertEquals(file.lines(1, 0, 10), []);
  file.write(one, numbered(1, 1));
  assertEquals(contentOf(file).procedures, [saved(1)]);
  file.close();
});

test("ProcedureFile lets go of a file whose content nobody can take", () => {
  using folder = temporaryFile();
  const first = new ProcedureFile(folder.path, OPTIONS);
  const error = assertThrows(
    () =>
      first.read(() => {
        throw new TypeError("no procedure");
      }),
    ProcedureStoreError,
    "no procedure",
  );
  assertEquals(error.file, folder.path);
  new ProcedureFile(folder.path, OPTIONS).close();
});
