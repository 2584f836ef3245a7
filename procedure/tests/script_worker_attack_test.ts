// Copyright 2026 the Longrun authors. MIT license.

import { test } from "@std/testing/bdd";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { procedureInput } from "../procedure.ts";
import { encodeFrame, readFrames } from "../_script_messages.ts";
import { startProcess } from "../_script_process.ts";
import { ScriptError } from "../script_error.ts";
import type { ScriptGrants } from "../script_policy.ts";
import { ScriptWorker } from "../script_worker.ts";
import { eventually, namesIn } from "./_eventually.ts";
import {
  CONTEXT,
  Heard,
  SCRIPTS,
  spawnScript,
  withFiles,
} from "./_script_rig.ts";

const NOTHING = procedureInput();
const ATTACKS = `${SCRIPTS}/attacks.ts`;

async function reach(
  grants: (places: Record<string, string>) => ScriptGrants | undefined,
) {
  await using files = await withFiles({ "secret.txt": "secret" });
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response("answer"),
  );
  Deno.env.set("LONGRUN_TEST_SECRET", "secret");
  const places = {
    file: `${files.folder}/secret.txt`,
    other: `${files.folder}/written.txt`,
    port: String(server.addr.port),
    program: "/usr/bin/true",
    variable: "LONGRUN_TEST_SECRET",
    url: `http://127.0.0.1:${server.addr.port}/`,
  };
  const heard = new Heard();
  const given = grants(places);
  await using worker = await spawnScript(
    heard,
    given === undefined ? {} : { grants: given },
    ATTACKS,
  );
  await worker.run("reaches", procedureInput(places), CONTEXT);
  const environ = await Deno.readTextFile(`/proc/${worker.osPid}/environ`);
  return {
    reached: heard.published[0]?.data as Record<string, string>,
    environ,
  };
}

test("A script without grants reaches nothing", async () => {
  const { reached, environ } = await reach(() => undefined);
  for (const [what, outcome] of Object.entries(reached)) {
    const refused = what === "ask" ? "denied" : "NotCapable";
    assertEquals(outcome, refused, what);
  }
  assert(!environ.includes("LONGRUN_TEST_SECRET"));
  assert(!environ.includes("HOME="));
});

test("A script with grants reaches what they name", async () => {
  const { reached, environ } = await reach((places) => ({
    read: [places.file ?? ""],
    write: [places.other ?? ""],
    net: [`127.0.0.1:${places.port}`, `0.0.0.0:${places.port}`],
    run: [places.program ?? ""],
    env: [places.variable ?? ""],
    sys: ["hostname"],
  }));
  assertEquals(reached, {
    ...reached,
    read: "done",
    write: "done",
    fetch: "done",
    run: "done",
    env: "done",
    sys: "done",
    self: "NotCapable",
    list: "NotCapable",
    listen: "NotCapable",
    allEnv: "NotCapable",
    ffi: "NotCapable",
    worker: "NotCapable",
  });
  assert(environ.includes("LONGRUN_TEST_SECRET=secret"));
});

test("A script that may connect to all hosts may do nothing else", async () => {
  const { reached } = await reach(() => ({ net: true }));
  assertEquals(reached.fetch, "done");
  assertEquals(reached.read, "NotCapable");
  assertEquals(reached.run, "NotCapable");
});

test("A script cannot send data by the address of an import", async () => {
  const asked: string[] = [];
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => {
      asked.push(new URL(request.url).search);
      return new Response("export const x = 1;", {
        headers: { "content-type": "application/javascript" },
      });
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}/x.js?secret`;
  const imported = async (grants: ScriptGrants) => {
    const heard = new Heard();
    await using cache = await withFiles({});
    await using worker = await spawnScript(
      heard,
      { grants, denoDir: cache.folder },
      ATTACKS,
    );
    await worker.run("importsFrom", procedureInput({ url }), CONTEXT);
    return heard.published[0]?.data;
  };
  assertEquals(await imported({}), "TypeError");
  assertEquals(asked, []);
  assertEquals(await imported({ import: true }), "done");
  assertEquals(asked, ["?secret"]);
});

test("A script stores nothing, and neither does a Worker of it", async () => {
  await using cache = await withFiles({});
  const heard = new Heard();
  await using worker = await spawnScript(
    heard,
    { denoDir: cache.folder },
    ATTACKS,
  );
  await worker.run("stores", NOTHING, CONTEXT);
  assertEquals(heard.published, [
    { topic: "user.stored", data: "Error" },
    { topic: "user.stored", data: "Error" },
  ]);
  await assertRejects(() => Deno.lstat(`${cache.folder}/location_data`));
});

test("A script imports nothing from outside its folders", async () => {
  await using files = await withFiles({
    "root/static.ts": 'import "../outside.ts";',
    "root/json.ts":
      'import x from "../x.json" with { type: "json" }; console.log(x);',
    "outside.ts": "",
    "x.json": "{}",
  });
  for (const name of ["static", "json"]) {
    await assertRejects(
      () =>
        spawnScript(
          new Heard(),
          { roots: [`${files.folder}/root`] },
          `${files.folder}/root/${name}.ts`,
        ),
      ScriptError,
      "read access",
    );
  }
});

test("A script that changes the globals gets hold of nothing", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard, {}, ATTACKS);
  await worker.run("patches", NOTHING, CONTEXT);
  assertEquals(heard.published, [
    { topic: "user.once", data: 1 },
    { topic: "user.caught", data: [] },
  ]);
});

test("A script cannot say that it has returned", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard, {}, ATTACKS);
  await worker.run("forges", NOTHING, CONTEXT);
  assertEquals(heard.topics(), ["user.end"]);
});

test("A script that breaks the language fails or can be stopped", async () => {
  const heard = new Heard();
  const worker = await spawnScript(heard, {}, ATTACKS);
  const call = worker.run("breaks", NOTHING, CONTEXT);
  const rejected = assertRejects(() => call);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assertEquals(await worker.stop({ abort: 100 }), "stopped");
  await rejected;
});

test("A script that closes its output still returns", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard, {}, ATTACKS);
  await worker.run("closesItsOutput", NOTHING, CONTEXT);
  assertEquals(heard.topics(), ["user.closed"]);
});

test("What a script has started ends with it", async () => {
  const heard = new Heard();
  const worker = await spawnScript(
    heard,
    { grants: { run: ["/bin/sleep"] } },
    ATTACKS,
  );
  await worker.run("leaves", NOTHING, CONTEXT);
  const osPid = Number(heard.published[0]?.data);
  assert(await isRunning(osPid));
  assertEquals(await worker.stop(), "stopped");
  for (let look = 0; look < 100 && await isRunning(osPid); look++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert(!(await isRunning(osPid)));
});

/** Whether a process runs: one that nobody has waited for does not. */
async function isRunning(osPid: number): Promise<boolean> {
  try {
    const status = await Deno.readTextFile(`/proc/${osPid}/status`);
    return !/^State:\s+Z/m.test(status);
  } catch {
    return false;
  }
}

async function residentMemory(osPid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${osPid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
}

for (
  const fn of [
    "floodsLines",
    "floodsOneLine",
    "floodsBinary",
    "floodsTopic",
    "floodsSubscriptions",
  ]
) {
  test(`A flood fills nobody's memory: ${fn}`, async () => {
    const heard = new Heard();
    let outputs = 0;
    let events = 0;
    const worker = await spawnScript(heard, {
      onOutput: () => outputs++,
      onPublish: () => events++,
      onSubscribe: () => events++,
    });
    const before = Deno.memoryUsage().rss / 1_048_576;
    const call = worker.run(fn, NOTHING, CONTEXT);
    const rejected = assertRejects(() => call, DOMException);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const child = await residentMemory(worker.osPid);
    const grown = Deno.memoryUsage().rss / 1_048_576 - before;
    const start = performance.now();
    assertEquals(await worker.stop(), "stopped");
    const duration = performance.now() - start;
    await rejected;
    assert(child < 400, `${child} MB in the child`);
    assert(grown < 300, `${grown} MB in the parent`);
    assert(duration < 2_500, `${duration} ms to stop`);
    assert(outputs < 20_000 && events < 20_000);
    assert(!(await isRunning(worker.osPid)));
  });
}

async function leavesWithItsParent(script: string, fn: string) {
  const code = `
    import { ScriptWorker } from ${
    JSON.stringify(new URL("../script_worker.ts", import.meta.url).href)
  };
    const worker = await ScriptWorker.spawn({
      pid: 1,
      roots: [${JSON.stringify(SCRIPTS)}],
    });
    await worker.load(${JSON.stringify(`file://${SCRIPTS}/${script}`)});
    worker.run(${
    JSON.stringify(fn)
  }, { args: [], kwargs: {} }, { waitForQaReady: false });
    setTimeout(() => console.log(worker.osPid), 200);
  `;
  await using files = await withFiles({ "parent.ts": code });
  const parent = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-lock",
      "--no-check",
      "--node-modules-dir=none",
      `--import-map=${
        new URL("../../compat/import_map.json", import.meta.url).pathname
      }`,
      `${files.folder}/parent.ts`,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = parent.stdout.getReader();
  const { value } = await reader.read();
  const osPid = Number(new TextDecoder().decode(value));
  assert(await isRunning(osPid));
  parent.kill("SIGKILL");
  await parent.status;
  await reader.cancel();
  for (let look = 0; look < 100 && await isRunning(osPid); look++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  try {
    assert(!(await isRunning(osPid)));
  } finally {
    if (await isRunning(osPid)) Deno.kill(osPid, "SIGKILL");
  }
}

test("A process leaves when its parent is killed, whatever it does", async () => {
  await leavesWithItsParent("behaves.ts", "busy");
  await leavesWithItsParent("attacks.ts", "sends");
});

test("A stranger who connects first is not taken for the script", async () => {
  const started = await startProcess({
    pid: 1,
    roots: [SCRIPTS],
    grants: {},
    memory: 256,
  });
  const commandLine = await Deno.readTextFile(
    `/proc/${started.process.pid}/cmdline`,
  );
  const port = Number(/--allow-net=127\.0\.0\.1:(\d+)/.exec(commandLine)?.[1]);
  const strangers = await Promise.all([
    new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
    encodeFrame({ type: "up", token: "guess" }),
    encodeFrame(null),
    encodeFrame({ type: "up", token: "y".repeat(1_000) }),
  ].map(async (bytes) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(bytes);
    return connection;
  }));
  const connection = await started.connect();
  for (const stranger of strangers) {
    assert(connection.remoteAddr.port !== stranger.localAddr.port);
    stranger.close();
  }
  connection.close();
  await started.process.status;
  await started.process.stdout.cancel();
  await started.process.stderr.cancel();
});

test("A process with more permissions than it should have ends", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-lock",
      new URL("../_script_child.ts", import.meta.url).pathname,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode('{ "unlimited": [] }'));
  await writer.close();
  const { code, stderr } = await child.output();
  assertEquals(code, 1);
  assert(new TextDecoder().decode(stderr).includes("every permission to read"));
});

test("A frame that is too long ends the reading", async () => {
  const bytes = new Uint8Array([255, 255, 255, 255, 0, 0]);
  let reads = 0;
  const reader = {
    read(into: Uint8Array): Promise<number | null> {
      reads++;
      into.set(bytes);
      return Promise.resolve(bytes.length);
    },
  };
  await assertRejects(() => readFrames(reader).next(), RangeError);
  assertEquals(reads, 1);
});

test("Frames come whole, however they were cut", async () => {
  const messages = Array.from(
    { length: 200 },
    (_, index) => ({ index, text: "y".repeat(index * 37) }),
  );
  const frames = messages.map((message) => encodeFrame(message));
  const all = new Uint8Array(
    frames.reduce((sum, { length }) => sum + length, 0),
  );
  let place = 0;
  for (const frame of frames) {
    all.set(frame, place);
    place += frame.length;
  }
  for (const size of [1, 7, 65_536, 1_000_000]) {
    let start = 0;
    const reader = {
      read(into: Uint8Array): Promise<number | null> {
        const part = all.subarray(start, start + Math.min(size, into.length));
        into.set(part);
        start += part.length;
        return Promise.resolve(part.length === 0 ? null : part.length);
      },
    };
    const read: unknown[] = [];
    for await (const { body } of readFrames(reader)) {
      read.push(JSON.parse(new TextDecoder().decode(body)));
    }
    assertEquals(read, messages);
  }
});

test("Callbacks that throw harm nobody", async () => {
  const fail = () => {
    throw new Error("not now");
  };
  const logger = { debug: fail, info: fail, warn: fail, error: fail };
  await using worker = await spawnScript(new Heard(), {
    onOutput: fail,
    onPublish: fail,
    onSubscribe: fail,
    logger,
  });
  const { error } = console;
  const lines = new Set<unknown>();
  console.error = (line) => void lines.add(line);
  try {
    await worker.run("main", NOTHING, CONTEXT);
    await worker.run("publishMany", procedureInput({ count: 3 }), CONTEXT);
  } finally {
    console.error = error;
  }
  assertEquals([...lines], [
    "Procedure #7: Its output was not taken",
    "Procedure #7: What it published was not taken",
  ]);
});

test("Nothing stays open in the parent", async () => {
  const count = async () =>
    (await Array.fromAsync(Deno.readDir("/proc/self/fd"))).length;
  const cycle = async () => {
    const worker = await spawnScript(new Heard());
    await worker.run("main", NOTHING, CONTEXT);
    await worker.stop();
    await assertRejects(() =>
      ScriptWorker.spawn({ pid: 1, roots: [SCRIPTS], startupTimeout: 1 })
    );
  };
  await cycle();
  const before = await count();
  for (let round = 0; round < 5; round++) await cycle();
  await eventually(
    async () => await count() <= before + 2,
    "was all of it closed",
  );
});

test("No file is left behind", async () => {
  await using temporary = await withFiles({});
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", temporary.folder);
  try {
    const worker = await spawnScript(new Heard());
    await worker.run("main", NOTHING, CONTEXT);
    await worker.stop();
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
  }
  assertEquals(namesIn(temporary.folder), []);
});

test("A package that was imported from the network runs scripts too", async () => {
  const base = new URL("../../", import.meta.url);
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const path = new URL(`.${new URL(request.url).pathname}`, base);
      const text = await Deno.readTextFile(path);
      return new Response(text, {
        headers: { "content-type": "application/typescript" },
      });
    },
  );
  const origin = `http://127.0.0.1:${server.addr.port}`;
  const imports = {
    "@longrun/tasks/cancellation": `${origin}/cancellation.ts`,
    "@longrun/tasks/clock": `${origin}/clock.ts`,
    "@longrun/tasks/logger": `${origin}/logger.ts`,
  };
  await using files = await withFiles({
    "map.json": JSON.stringify({ imports }),
    "script.ts": "export function main() { console.log('it runs'); }",
    "parent.ts": `
      import { ScriptWorker } from "${origin}/procedure/script_worker.ts";
      const root = import.meta.dirname;
      for (const pid of [1, 2]) {
        const worker = await ScriptWorker.spawn({
          pid,
          roots: [root],
          onOutput: ({ text }) => console.log(text),
        });
        await worker.load("file://" + root + "/script.ts");
        await worker.run("main", { args: [], kwargs: {} }, {});
        await worker.stop();
      }
      for (const { name } of Deno.readDirSync(Deno.env.get("TMPDIR"))) {
        console.log(name.slice(0, 17));
      }
    `,
    "temporary/.keep": "",
  });
  const { folder } = files;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-lock",
      "--no-config",
      "--no-check",
      `--import-map=${folder}/map.json`,
      `${folder}/parent.ts`,
    ],
    env: { DENO_DIR: `${folder}/cache`, TMPDIR: `${folder}/temporary` },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout).trim().split("\n").sort(), [
    ".keep",
    "it runs",
    "it runs",
    "longrun-procedure",
  ]);
  const left = await Array.fromAsync(Deno.readDir(`${folder}/temporary`));
  assertEquals(left.map(({ name }) => name), [".keep"]);
});

test("A package that cannot be fetched is told", async () => {
  const { locateChild } = await import("../_script_sources.ts");
  await assertRejects(() => locateChild("http://127.0.0.1:1/x/y.ts"));
  await using worker = await ScriptWorker.spawn({ pid: 1, roots: [SCRIPTS] });
  assert(worker.osPid > 0);
});
