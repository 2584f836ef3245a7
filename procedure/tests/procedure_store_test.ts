// Copyright 2026 the Longrun authors. MIT license.

import { ManualClock } from "@longrun/tasks/testing";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { DatabaseSync } from "node:sqlite";
import { decodeStored, encodeStored } from "../_stored_value.ts";
import {
  InMemoryProcedureStore,
  ProcedureError,
  type ProcedureState,
  type ProcedureStore,
  ProcedureStoreError,
  SqliteProcedureStore,
} from "../mod.ts";
import {
  activity,
  line,
  procedure,
  temporaryFile,
} from "./_procedure_stores.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

for (
  const [name, create] of [
    [
      "InMemoryProcedureStore",
      () => new InMemoryProcedureStore({ maxLines: 3 }),
    ],
    [
      "SqliteProcedureStore",
      () =>
        new SqliteProcedureStore(":memory:", {
          maxLines: 3,
          clock: new ManualClock(),
        }),
    ],
  ] as [string, () => ProcedureStore][]
) {
  test(`${name} keeps procedures in the order of their numbers`, () => {
    using store = create();
    store.saveProcedure(procedure(2));
    store.saveProcedure(procedure(1));
    store.saveProcedure(procedure(2, "COMPLETE"));
    assertEquals(
      store.procedures().map(({ summary }) => [summary.id, summary.state]),
      [[1, "RUNNING"], [2, "COMPLETE"]],
    );
  });

  test(`${name} keeps the process until another is told`, () => {
    using store = create();
    const process = { osPid: 77, startTime: "boot:1" };
    store.saveProcedure(procedure(1), process);
    store.saveProcedure(procedure(1, "READY"));
    assertEquals(store.procedures()[0]?.process, process);
    store.saveProcedure(procedure(1, "READY"), null);
    assertEquals(store.procedures()[0]?.process, null);
  });

  test(`${name} gives no number twice`, () => {
    using store = create();
    store.saveProcedure(procedure(7));
    store.removeProcedure(7);
    store.saveActivity(activity(3));
    store.removeActivity(3);
    assertEquals([store.lastProcedureId, store.lastActivityId], [7, 3]);
  });

  test(`${name} keeps a copy that nobody can change`, () => {
    using store = create();
    const kwargs: Record<string, unknown> = { scans: 1 };
    store.saveProcedure(procedure(1, "READY", kwargs));
    kwargs.scans = 2;
    const kept = store.procedures()[0]?.summary.calls[0]?.input.kwargs;
    assertEquals(kept, { scans: 1 });
    assert(Object.isFrozen(kept));
  });

  test(`${name} keeps the newest lines and tells how many are gone`, () => {
    using store = create();
    store.saveProcedure(procedure(1));
    for (let count = 1; count <= 5; count++) {
      assertEquals(store.appendOutput(line(1, `${count}`)).line, count);
    }
    const read = (after?: number, limit?: number) =>
      store.output(1, { after, limit }).map((
        each,
      ) => [each.line, each.text, each.dropped]);
    assertEquals(read(), [[3, "3", 2], [4, "4", 0], [5, "5", 0]]);
    assertEquals(read(1, 1), [[3, "3", 1]]);
    assertEquals(read(3), [[4, "4", 0], [5, "5", 0]]);
    assertEquals(read(5), []);
    store.removeProcedure(1);
    assertEquals(store.output(1), []);
  });

  test(`${name} keeps each character of a line`, () => {
    using store = create();
    store.saveProcedure(procedure(1));
    const texts = ["a\0b", "", "\ufeff\0é"];
    for (const text of texts) store.appendOutput(line(1, text));
    store.saveProcedure(procedure(1));
    assertEquals(store.output(1).map(({ text }) => text), texts);
  });

  test(`${name} reads with limits beyond all bounds`, () => {
    using store = create();
    store.saveProcedure(procedure(1));
    store.appendOutput(line(1, "one"));
    store.saveProcedure(procedure(1));
    const limit = Number.MAX_VALUE;
    assertEquals(store.output(1, { limit }).length, 1);
    assertEquals(store.output(1, { after: limit }), []);
  });

  test(`${name} numbers lines of procedures it does not keep, and forgets them`, () => {
    using store = create();
    assertEquals(store.appendOutput(line(9, "late")).line, 1);
    assertEquals(store.output(9), []);
  });

  test(`${name} refuses what is no line, and odd options`, () => {
    using store = create();
    store.saveProcedure(procedure(1));
    assertThrows(
      () => store.appendOutput({ ...line(1, "a"), dropped: 0.5 }),
      RangeError,
    );
    assertThrows(
      () => store.appendOutput({ ...line(1, "a"), text: 1 as never }),
      TypeError,
    );
    assertThrows(() => store.output(1, { limit: 0 }), RangeError);
    assertThrows(() => store.output(1, { after: -1 }), RangeError);
    assertEquals(store.output(1), []);
  });

  test(`${name} refuses everything once it is closed`, () => {
    const store = create();
    store.close();
    store.close();
    for (
      const use of [
        () => store.saveProcedure(procedure(1)),
        () => store.removeProcedure(1),
        () => store.procedures(),
        () => store.appendOutput(line(1, "a")),
        () => store.output(1),
        () => store.saveActivity(activity(1)),
        () => store.removeActivity(1),
        () => store.activities(),
      ]
    ) {
      const error = assertThrows(use, ProcedureError);
      assertEquals(error.code, "closed");
    }
  });
}

test("encodeStored keeps whatever JSON, and some things besides", () => {
  const holes = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: false,
    maxDepth: 4,
  });
  fc.assert(fc.property(holes, (value) => {
    // Array.from fills what is missing in an array, as decoding does.
    assertEquals(decodeStored(encodeStored(value)), value);
  }));
});

test("encodeStored keeps keys of every name", () => {
  const value = JSON.parse('{"__proto__":1,"$longrun":{"$longrun":"x"}}');
  const copy = decodeStored(encodeStored(value)) as object;
  assertEquals(JSON.stringify(copy), JSON.stringify(value));
  assertEquals(Object.getPrototypeOf(copy), Object.prototype);
});

test("encodeStored tells of what cannot be kept, and never throws", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  let deep: unknown = 1;
  for (let count = 0; count < 50_000; count++) deep = [deep];
  const trap = new Proxy({}, {
    ownKeys() {
      throw new Error("no");
    },
  });
  assertEquals(
    decodeStored(
      encodeStored([cycle, () => 1, Symbol("s"), new Error("bad"), trap]),
    ),
    [
      { self: "[circular]" },
      "[function]",
      "[symbol]",
      "[Error: bad]",
      "[Object]",
    ],
  );
  assertStringIncludes(encodeStored(deep), "[too deep]");
});

type Step =
  | { do: "save"; id: number; state: ProcedureState; kwargs: unknown }
  | { do: "remove"; id: number }
  | { do: "act"; id: number }
  | { do: "unact"; id: number }
  | { do: "write"; id: number; text: string; count: number }
  | { do: "wait"; ms: number }
  | { do: "reopen" };

const id = fc.integer({ min: 1, max: 4 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant("save" as const),
      id,
      state: fc.constantFrom<ProcedureState>("CREATING", "READY", "FAILED"),
      kwargs: fc.anything({ withBigInt: true, withDate: true }),
    }),
    fc.record({ do: fc.constant("remove" as const), id }),
    fc.record({ do: fc.constant("act" as const), id }),
    fc.record({ do: fc.constant("unact" as const), id }),
    fc.record({
      do: fc.constant("write" as const),
      id,
      text: fc.string({ unit: "binary" }),
      count: fc.integer({ min: 1, max: 7 }),
    }),
    fc.record({
      do: fc.constant("wait" as const),
      ms: fc.integer({ min: 0, max: 500 }),
    }),
    fc.record({ do: fc.constant("reopen" as const) }),
  ),
  { maxLength: 40 },
);

function everything(store: ProcedureStore): unknown {
  return {
    last: [store.lastProcedureId, store.lastActivityId],
    procedures: store.procedures(),
    activities: store.activities(),
    output: [1, 2, 3, 4].map((pid) => [
      store.output(pid),
      store.output(pid, { after: 3, limit: 2 }),
    ]),
  };
}

test("SqliteProcedureStore does what a store in memory does, however often it is opened", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      using file = temporaryFile();
      const clock = new ManualClock();
      const open = () =>
        new SqliteProcedureStore(file.path, { maxLines: 5, clock });
      using memory = new InMemoryProcedureStore({ maxLines: 5 });
      let sqlite = open();
      try {
        for (const step of steps) {
          if (step.do === "reopen") {
            sqlite.close();
            sqlite = open();
          } else if (step.do === "wait") await clock.advance(step.ms);
          else {
            for (const store of [memory, sqlite]) {
              if (step.do === "save") {
                const { id, state, kwargs } = step;
                store.saveProcedure(procedure(id, state, { kwargs }));
              } else if (step.do === "remove") store.removeProcedure(step.id);
              else if (step.do === "act") store.saveActivity(activity(step.id));
              else if (step.do === "unact") store.removeActivity(step.id);
              else {
                for (let count = 0; count < step.count; count++) {
                  store.appendOutput(line(step.id, `${step.text}${count}`));
                }
              }
            }
          }
          assertEquals(everything(sqlite), everything(memory));
        }
      } finally {
        sqlite.close();
      }
    }),
    { numRuns: 40 },
  );
});

test("SqliteProcedureStore writes states at once, and output soon", async () => {
  using file = temporaryFile();
  const clock = new ManualClock();
  using store = new SqliteProcedureStore(file.path, { clock });
  store.saveProcedure(procedure(1));
  assertEquals(clock.pending, []);
  store.appendOutput(line(1, "a"));
  store.appendOutput(line(1, "b"));
  assertEquals(clock.pending, [{ deadline: 250, ref: false }]);
  await clock.advance(250);
  assertEquals(clock.pending, []);
  assertEquals(store.output(1).length, 2);
});

test("SqliteProcedureStore refuses a second owner in the same program", () => {
  using file = temporaryFile();
  using _first = new SqliteProcedureStore(file.path);
  const error = assertThrows(
    () => new SqliteProcedureStore(file.path, { wait: 0 }),
    ProcedureStoreError,
    "another service uses the file",
  );
  assertEquals(error.code, "in-use");
});

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

test("SqliteProcedureStore survives that its program is killed, at any moment", async () => {
  using file = temporaryFile();
  let last = 0;
  for (let round = 0; round < 4; round++) {
    await using child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--node-modules-dir=none",
        "--import-map",
        new URL("../../compat/import_map.json", import.meta.url).pathname,
        new URL("./_store_writer.ts", import.meta.url).pathname,
        file.path,
      ],
      stdout: "piped",
    }).spawn();
    let count = 0;
    for await (const text of linesOf(child.stdout)) {
      if (text === "open") {
        const error = assertThrows(
          () => new SqliteProcedureStore(file.path, { wait: 0 }),
          ProcedureStoreError,
        );
        assertEquals(error.code, "in-use");
        continue;
      }
      last = Number(text.split(" ")[1]);
      if (++count === 3 + round * 11) child.kill("SIGKILL");
    }
    await child.status;
    using store = new SqliteProcedureStore(file.path, { maxLines: 50 });
    assert(store.lastProcedureId >= last);
    const kept = store.procedures().find(({ summary }) => summary.id === last);
    assertEquals(kept?.summary.state, "COMPLETE");
    const output = store.output(last);
    assertEquals(output.length, 50);
    assertEquals(output.at(-1)?.text, `${last} 59`);
  }
});

test("SqliteProcedureStore says what is wrong with a file", () => {
  const cases: [string, (path: string) => void][] = [
    [
      "damaged",
      (path) => Deno.writeTextFileSync(path, "no database ".repeat(500)),
    ],
    ["damaged", (path) => {
      const store = new SqliteProcedureStore(path);
      for (let id = 1; id < 200; id++) {
        store.saveProcedure(procedure(id, "READY", { text: "x".repeat(500) }));
      }
      store.close();
      const bytes = Deno.readFileSync(path);
      bytes.fill(0xa5, 8_192, bytes.length - 4_096);
      Deno.writeFileSync(path, bytes);
    }],
    ["damaged", (path) => {
      new SqliteProcedureStore(path).close();
      const database = new DatabaseSync(path);
      database.exec("INSERT INTO procedures VALUES (1, '{')");
      database.close();
    }],
    ...["null", "{}", '{"summary":{"id":2},"process":null}'].map((
      value,
    ): [string, (path: string) => void] => ["damaged", (path) => {
      new SqliteProcedureStore(path).close();
      const database = new DatabaseSync(path);
      database.prepare("INSERT INTO procedures VALUES (1, ?)").run(value);
      database.close();
    }]),
    ["damaged", (path) => {
      new SqliteProcedureStore(path).close();
      const database = new DatabaseSync(path);
      database.exec("INSERT INTO activities VALUES (1, '{\"id\":2}')");
      database.close();
    }],
    ["foreign", (path) => {
      const database = new DatabaseSync(path);
      database.exec("CREATE TABLE theirs (a)");
      database.close();
    }],
    ["newer", (path) => {
      new SqliteProcedureStore(path).close();
      const database = new DatabaseSync(path);
      database.exec("PRAGMA user_version = 99");
      database.close();
    }],
    ["failed", (path) => Deno.mkdirSync(path)],
  ];
  for (const [code, spoil] of cases) {
    using file = temporaryFile();
    spoil(file.path);
    const error = assertThrows(
      () => new SqliteProcedureStore(file.path),
      ProcedureStoreError,
      file.path,
    );
    assertEquals(error.code, code);
  }
});

test("SqliteProcedureStore leaves the file of another program as it was", () => {
  for (const journal of ["delete", "wal"]) {
    using file = temporaryFile();
    const before = new DatabaseSync(file.path);
    before.exec(`PRAGMA journal_mode = ${journal}; CREATE TABLE theirs (a)`);
    before.close();
    assertThrows(
      () => new SqliteProcedureStore(file.path),
      ProcedureStoreError,
      "another program",
    );
    const after = new DatabaseSync(file.path);
    const { journal_mode } = after.prepare("PRAGMA journal_mode").get() ?? {};
    assertEquals(journal_mode, journal);
    after.close();
  }
});

test("SqliteProcedureStore lets only its owner read the file", () => {
  using file = temporaryFile();
  using _store = new SqliteProcedureStore(file.path);
  for (const { name } of Deno.readDirSync(file.path.replace(/[^/]*$/, ""))) {
    const { mode } = Deno.statSync(file.path.replace(/[^/]*$/, name));
    assertEquals((mode ?? 0) & 0o077, 0, name);
  }
});

test("SqliteProcedureStore tells once that the disk is full, and goes on", async () => {
  using file = temporaryFile();
  const clock = new ManualClock();
  const log: string[] = [];
  const logger = {
    ...silent,
    error: (text: string) => void log.push(`error ${text}`),
    warn: (text: string) => void log.push(`warn ${text}`),
  };
  const options = { clock, logger, maxSize: 200_000 };
  let store = new SqliteProcedureStore(file.path, options);
  try {
    store.saveProcedure(procedure(1));
    store.saveProcedure(procedure(2));
    for (let count = 0; count < 400; count++) {
      store.appendOutput(line(1 + count % 2, "x".repeat(1_000)));
      if (count % 10 === 0) await clock.advance(300);
    }
    store.saveProcedure(procedure(2, "COMPLETE", { big: "x".repeat(9_000) }));
    store.saveActivity(activity(1));
    assertEquals(log.length, 1);
    assertStringIncludes(log[0] ?? "", "disk is full");
    assertEquals(store.procedures()[1]?.summary.state, "COMPLETE");
    assertEquals(store.output(1).length, 200);
    assertEquals(store.output(2).length, 200);

    // It was tried again with the removal; the file has room for one of them.
    store.removeProcedure(1);
    assertEquals(log.length, 1);
    store.close();
    assertEquals(log.length, 2);
    assertStringIncludes(log[1] ?? "", "not all was written");
    store = new SqliteProcedureStore(file.path, { clock });
    assertEquals(
      store.procedures().map(({ summary }) => [summary.id, summary.state]),
      [[2, "COMPLETE"]],
    );
    assertEquals(store.activities().length, 1);
  } finally {
    store.close();
  }
});

test("SqliteProcedureStore writes what it could not as soon as there is room", async () => {
  using file = temporaryFile();
  const clock = new ManualClock();
  const log: string[] = [];
  const logger = {
    ...silent,
    error: (text: string) => void log.push(text),
    warn: (text: string) => void log.push(text),
  };
  const options = { clock, logger, maxSize: 200_000 };
  let store = new SqliteProcedureStore(file.path, options);
  store.saveProcedure(procedure(1));
  store.saveProcedure(procedure(2));
  for (let count = 0; count < 100; count++) {
    store.appendOutput(line(1, "x".repeat(1_000)));
  }
  await clock.advance(300);
  for (let count = 0; count < 110; count++) {
    store.appendOutput(line(2, "x".repeat(1_000)));
  }
  await clock.advance(300);
  assertEquals(log.length, 1);
  assertEquals(clock.pending, [{ deadline: 5_550, ref: false }]);
  store.removeProcedure(1);
  await clock.advance(5_000);
  assertEquals(log.length, 2);
  assertStringIncludes(log[1] ?? "", "can be written again");
  assertEquals(clock.pending, []);
  store.close();
  store = new SqliteProcedureStore(file.path, { clock });
  assertEquals(store.output(2).length, 110);
  store.close();
});
