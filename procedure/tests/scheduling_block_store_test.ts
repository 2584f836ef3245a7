// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  InMemorySchedulingBlockStore,
  loadSchedulingBlocks,
  parseSchedulingBlock,
  ProcedureError,
  procedureInput,
  ProcedureStoreError,
  SqliteProcedureStore,
  SqliteSchedulingBlockStore,
} from "../mod.ts";
import { temporaryFile } from "./_procedure_stores.ts";

const DOCUMENT = {
  sbd_id: "sbd-1",
  version: 2,
  targets: ["Polaris"],
  activities: {
    observe: {
      script: {
        script_type: "filesystem",
        script_uri: "file:///scripts/observe.ts",
      },
      script_args: { main: { kwargs: { scans: 3 } }, init: { args: [1] } },
    },
    remote: {
      script: {
        script_type: "git",
        script_uri: "git://observe.ts",
        git_args: {
          git_repo: "https://example.org/scripts.git",
          git_branch: "main",
          git_commit: null,
        },
        create_env: true,
      },
    },
  },
};

test("parseSchedulingBlock reads activities with their scripts and arguments", () => {
  assertEquals(parseSchedulingBlock(JSON.stringify(DOCUMENT)), {
    id: "sbd-1",
    version: 2,
    activities: {
      observe: {
        script: { type: "filesystem", uri: "file:///scripts/observe.ts" },
        args: {
          main: procedureInput({ scans: 3 }),
          init: procedureInput({}, [1]),
        },
      },
      remote: {
        script: {
          type: "git",
          uri: "git://observe.ts",
          git: { repo: "https://example.org/scripts.git", branch: "main" },
          createEnv: true,
        },
        args: {},
      },
    },
    content: DOCUMENT,
  });
});

test("parseSchedulingBlock says what is wrong, and where", () => {
  const observe = DOCUMENT.activities.observe;
  const withScript = (script: unknown) => ({
    sbd_id: "a",
    activities: { observe: { script } },
  });
  const git = DOCUMENT.activities.remote.script;
  const cases: [unknown, string][] = [
    [[], "it must be an object"],
    [{ activities: {} }, "'sbd_id' must be a string, and not empty"],
    [{ sbd_id: "", activities: {} }, "'sbd_id' must be a string"],
    [{ sbd_id: "a" }, "'activities' must be an object"],
    [
      { sbd_id: "a", activities: {}, version: 0 },
      "'version' must be a positive",
    ],
    [withScript(undefined), "'activities.observe.script' must be an object"],
    [
      withScript({ script_type: "x", script_uri: "file:///a" }),
      "'activities.observe.script.script_type' must be 'filesystem' or 'git'",
    ],
    [
      withScript({ script_type: "filesystem", script_uri: "http://a" }),
      "'activities.observe.script' is no script: Cannot create FileSystemScript",
    ],
    [
      withScript({ ...git, git_args: {} }),
      "'activities.observe.script.git_args.git_repo' must",
    ],
    [
      withScript({ ...git, git_args: undefined }),
      "'activities.observe.script.git_args' must be",
    ],
    [
      withScript({ ...git, create_env: 1 }),
      "'activities.observe.script.create_env' must be a boolean",
    ],
    [
      withScript({ ...git, script_uri: "file:///a" }),
      "is no script: Cannot create GitScript",
    ],
    [
      withScript({ ...git, extra: 1 }),
      "'activities.observe.script.extra' is none of",
    ],
    [
      {
        sbd_id: "a",
        activities: { observe: { ...observe, script_args: { main: [] } } },
      },
      "'activities.observe.script_args.main' must be an object",
    ],
    [
      {
        sbd_id: "a",
        activities: {
          observe: { ...observe, script_args: { main: { args: {} } } },
        },
      },
      "'activities.observe.script_args.main.args' must be an array",
    ],
    [
      JSON.parse('{"sbd_id":"a","activities":{"__proto__":{}}}'),
      "'activities' has a member '__proto__'",
    ],
  ];
  for (const [document, message] of cases) {
    assertThrows(
      () => parseSchedulingBlock(JSON.stringify(document), "'a.json'"),
      TypeError,
      message,
    );
  }
  const error = assertThrows(
    () => parseSchedulingBlock("{", "'a.json'"),
    TypeError,
  );
  assert(
    error.message.startsWith("Cannot read the scheduling block in 'a.json': "),
  );
});

test("loadSchedulingBlocks reads the JSON files of a folder", async () => {
  const folder = await Deno.makeTempDir();
  const write = (name: string, value: unknown) =>
    Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(value));
  await write("b.json", DOCUMENT);
  await write("a.json", { ...DOCUMENT, version: 3 });
  await Deno.writeTextFile(`${folder}/notes.txt`, "not this");
  await Deno.mkdir(`${folder}/folder.json`);
  const definitions = await loadSchedulingBlocks(folder);
  assertEquals(definitions.map(({ version }) => version), [3, 2]);
  const blocks = new InMemorySchedulingBlockStore({ definitions });
  assertEquals((await blocks.getDefinition("sbd-1")).version, 3);

  await write("c.json", DOCUMENT);
  await assertRejects(
    () => loadSchedulingBlocks(folder),
    TypeError,
    "'c.json' as version 2 of 'sbd-1' is in 'b.json', too",
  );
  await assertRejects(() =>
    loadSchedulingBlocks(folder, {
      signal: AbortSignal.abort(new Error("enough")),
    })
  );
  await Deno.remove(folder, { recursive: true });
  await assertRejects(() => loadSchedulingBlocks(folder), Deno.errors.NotFound);
});

test("InMemorySchedulingBlockStore gives the newest version, and takes none twice", async () => {
  const blocks = new InMemorySchedulingBlockStore();
  const definition = parseSchedulingBlock(JSON.stringify(DOCUMENT));
  blocks.add({ ...definition, version: 10 });
  blocks.add({ ...definition, version: 9 });
  assertEquals((await blocks.getDefinition("sbd-1")).version, 10);
  assertThrows(() => blocks.add({ ...definition, version: 9 }), TypeError);
  assertThrows(() => blocks.add({ ...definition, version: 0 }), RangeError);
  assertThrows(() => blocks.add({ ...definition, id: "" }), TypeError);
});

const stores = () =>
  [
    new InMemorySchedulingBlockStore({
      definitions: [{ id: "sbd-1", version: 1, activities: {} }],
      now: () => 5,
    }),
    new SqliteSchedulingBlockStore(":memory:", { now: () => 5 }),
  ] as const;

test("Stores of scheduling blocks keep instances in order, and do not know others", async () => {
  const [memory, sqlite] = stores();
  sqlite.putDefinition({ id: "sbd-1", activities: {} });
  for (const blocks of [memory, sqlite]) {
    const one = { sbdId: "sbd-1", sbdVersion: 1, activityName: "observe" };
    const first = await blocks.addInstance(one);
    const second = await blocks.addInstance(one);
    assert(first.id !== second.id);
    assertEquals(first, { ...one, id: first.id, time: 5 });
    assertEquals(await blocks.instances(), [first, second]);
    for (const id of ["none", "__proto__", "toString"]) {
      const error = await assertRejects(
        () => blocks.getDefinition(id),
        ProcedureError,
      );
      assertEquals(error.code, "scheduling-block-not-found");
    }
    const signal = AbortSignal.abort(new Error("enough"));
    for (
      const wait of [
        () => blocks.getDefinition("sbd-1", { signal }),
        () => blocks.addInstance(one, { signal }),
        () => blocks.instances({ signal }),
      ]
    ) await assertRejects(wait, Error, "enough");
    assertEquals((await blocks.instances()).length, 2);
  }
  sqlite.close();
});

test("SqliteSchedulingBlockStore keeps all over its end, and each version", async () => {
  using file = temporaryFile();
  const { version: _, ...definition } = parseSchedulingBlock(
    JSON.stringify(DOCUMENT),
  );
  const first = new SqliteSchedulingBlockStore(file.path);
  first.putDefinition({ ...definition, content: "old" });
  first.putDefinition(definition);
  const instance = await first.addInstance({
    sbdId: "sbd-1",
    sbdVersion: 2,
    activityName: "observe",
  });
  first.close();
  first.close();
  await assertRejects(
    () => first.getDefinition("sbd-1"),
    ProcedureError,
    "closed",
  );
  using second = new SqliteSchedulingBlockStore(file.path);
  assertEquals(await second.getDefinition("sbd-1"), {
    ...definition,
    version: 2,
  });
  assertEquals(await second.instances(), [instance]);
  assertEquals(second.putDefinition(definition).version, 3);
});

test("SqliteSchedulingBlockStore refuses what is no definition", async () => {
  using blocks = new SqliteSchedulingBlockStore(":memory:");
  for (
    const [wrong, name] of [
      [undefined, "options"],
      [{ activities: {} }, "id"],
      [{ id: "sbd-1" }, "activities"],
      [{ id: "sbd-1", activities: null }, "activities"],
    ] as const
  ) {
    assertThrows(
      () => blocks.putDefinition(wrong as never),
      TypeError,
      `Cannot put a definition as '${name}' must be`,
    );
  }
  await assertRejects(() => blocks.getDefinition("sbd-1"), ProcedureError);
});

test("SqliteSchedulingBlockStore refuses a file of procedures", () => {
  using file = temporaryFile();
  new SqliteProcedureStore(file.path).close();
  const error = assertThrows(
    () => new SqliteSchedulingBlockStore(file.path),
    ProcedureStoreError,
    "another program",
  );
  assertEquals(error.code, "foreign");
});
