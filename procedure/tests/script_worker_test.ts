// Copyright 2026 the Longrun authors. MIT license.

import { test } from "@std/testing/bdd";
import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { stub } from "@std/testing/mock";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import { ManualClock } from "@longrun/tasks/testing";
import { procedureInput } from "../procedure.ts";
import { ProcedureError } from "../procedure_errors.ts";
import { ScriptError } from "../script_error.ts";
import { ScriptWorker } from "../script_worker.ts";
import { eventually } from "./_eventually.ts";
import {
  CONTEXT,
  Heard,
  isAlive,
  SCRIPTS,
  spawnScript,
  withFiles,
} from "./_script_rig.ts";

const NOTHING = procedureInput();

test("ScriptWorker calls a function with all it is given", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  const input = procedureInput({ scans: 3 }, [1, "two"]);
  await worker.run("main", input, { waitForQaReady: true, site: "low" });
  assertEquals(JSON.parse(heard.texts("stdout")[0] ?? ""), {
    args: [1, "two"],
    kwargs: { scans: 3 },
    context: { waitForQaReady: true, site: "low" },
    pid: 7,
    ANSWER: 42,
  });
  assertEquals(heard.texts("stderr"), ["to stderr"]);
});

test("ScriptWorker says which functions a script has", async () => {
  const heard = new Heard();
  await using worker = await ScriptWorker.spawn({ pid: 1, roots: [SCRIPTS] });
  const names = await worker.load(`file://${SCRIPTS}/behaves.ts`);
  assert(names.includes("main") && names.includes("init"));
  assert(!names.includes("notAFunction"));
  assertEquals(heard.output, []);
});

test("ScriptWorker refuses a function that the script does not have", async () => {
  await using worker = await spawnScript(new Heard());
  for (const name of ["nothing", "__proto__", "toString", "notAFunction"]) {
    const error = await assertRejects(
      () => worker.run(name, NOTHING, CONTEXT),
      ProcedureError,
    );
    assertEquals(error.code, "function-not-found");
  }
});

test("ScriptWorker calls several functions, one after the other", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  await worker.run("init", NOTHING, CONTEXT);
  const first = worker.run("main", NOTHING, CONTEXT);
  await assertRejects(() => worker.run("main", NOTHING, CONTEXT), TypeError);
  await first;
  await worker.run("main", NOTHING, CONTEXT);
  assertEquals(heard.texts("stdout").length, 3);
});

test("ScriptWorker passes an error of a script on, with its causes", async () => {
  await using worker = await spawnScript(new Heard());
  const error = await assertRejects(
    () => worker.run("fails", NOTHING, CONTEXT),
    ScriptError,
    "too far",
  );
  assertEquals(error.remoteName, "RangeError");
  assert(error.cause instanceof ScriptError);
  assertEquals(error.cause.message, "inner");
  assert(error.remoteStack.includes("behaves.ts"));
  assert(error.remoteStack.includes("Caused by: Error: inner"));
  assert(!error.remoteStack.includes("_script_runner.ts"));
  // The process lives on.
  await worker.run("main", NOTHING, CONTEXT);
});

test("ScriptWorker passes on what is no error, and a stack without end", async () => {
  await using worker = await spawnScript(new Heard());
  await assertRejects(
    () => worker.run("failsOddly", NOTHING, CONTEXT),
    ScriptError,
    "null",
  );
  const error = await assertRejects(
    () => worker.run("recurses", NOTHING, CONTEXT),
    ScriptError,
    "call stack",
  );
  assert(error.remoteStack.includes("recurses"));
});

for (
  const [what, text, message] of [
    ["is not there", undefined, "Module not found"],
    ["imports what is not there", 'import "./none.ts";', "none.ts"],
    ["cannot be parsed", "export const = ;", "SyntaxError"],
    ["throws at once", 'throw new Error("top level");', "top level"],
  ] as const
) {
  test(`ScriptWorker says that a script ${what}`, async () => {
    await using files = await withFiles(
      text === undefined ? {} : { "script.ts": text },
    );
    const { folder } = files;
    await using worker = await ScriptWorker.spawn({ pid: 1, roots: [folder] });
    const error = await assertRejects(
      () => worker.load(`file://${folder}/script.ts`),
      ScriptError,
    );
    assert(error.message.includes(message), error.message);
  });
}

test("ScriptWorker can be stopped while a script loads for ever", async () => {
  await using files = await withFiles({
    "script.ts": "await new Promise(() => setInterval(() => {}, 1000));",
  });
  const { folder } = files;
  const worker = await ScriptWorker.spawn({ pid: 1, roots: [folder] });
  const loading = worker.load(`file://${folder}/script.ts`);
  const rejected = assertRejects(() => loading, DOMException);
  assertEquals(await worker.stop(), "stopped");
  await rejected;
});

test("ScriptWorker has all output of a call before its end", async () => {
  const heard = new Heard();
  const outputLimits = { burst: 20_000, bytesPerSecond: 50_000 };
  await using worker = await spawnScript(heard, { outputLimits });
  await worker.run("writesLines", procedureInput({ count: 15_000 }), CONTEXT);
  assertEquals(heard.texts("stdout").length, 15_000);
  await worker.run("withoutNewline", NOTHING, CONTEXT);
  assertEquals(heard.texts("stdout").at(-1), "no end");
});

test("ScriptWorker has all events of a call before its end, in order", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  await worker.run("publishMany", procedureInput({ count: 500 }), CONTEXT);
  assertEquals(
    heard.published.map(({ data }) => (data as { index: number }).index),
    Array.from({ length: 500 }, (_, index) => index),
  );
  assertEquals((heard.published[0]?.data as { at: Date }).at, new Date(0));
});

test("ScriptWorker refuses topics of the service and what cannot be cloned", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  await worker.run("refused", NOTHING, CONTEXT);
  assertEquals(heard.texts("log"), [
    "[info] TypeError",
    "[info] TypeError",
    "[info] TypeError",
    "[info] TypeError",
    "[info] TypeError",
    "[info] DataCloneError",
    "[info] TypeError",
  ]);
  assertEquals(heard.published, []);
});

test("ScriptWorker leaves out events that are too large, and says so", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  await worker.run("publishesMuch", NOTHING, CONTEXT);
  assertEquals(heard.topics(), ["user.little"]);
  assertEquals(heard.texts("log").length, 2);
  assert(heard.texts("log")[0]?.includes("user.much"));
});

test("ScriptWorker passes the log of a script on line by line", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  await worker.run("logs", NOTHING, CONTEXT);
  assertEquals(heard.texts("log"), [
    "[info] one { two: 3 }",
    "[warn] first",
    "second",
  ]);
});

test("ScriptWorker delivers the events that a script has subscribed to", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  const call = worker.run("listen", NOTHING, CONTEXT);
  await heard.until(() => heard.patterns.length === 1);
  assertEquals(heard.patterns, [["dish.*", "weather"]]);
  for (const topic of ["dish.1", "dishes", "dish.1.x", "weather", "dish.2"]) {
    const data = new Map([[topic, 1]]);
    worker.deliver({ topic, data, source: "test", time: 1 });
  }
  await call;
  assertEquals(
    heard.published.map(({ data }) => data),
    ["dish.1", "dish.1.x", "weather"].map((topic) => ({
      topic,
      data: new Map([[topic, 1]]),
      source: "test",
    })),
  );
  assertEquals(heard.patterns.at(-1), []);
});

test("ScriptWorker drops events for a script that does not read", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard);
  const call = worker.run("listenLate", NOTHING, CONTEXT);
  await heard.until(() => heard.topics().includes("user.ready"));
  const event = { data: "y".repeat(100), source: "test", time: 1 };
  for (let sent = 0; sent < 20_000; sent++) {
    worker.deliver({ ...event, topic: "many" });
    if (sent % 2_000 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  const ending = setInterval(
    () => worker.deliver({ ...event, topic: "end" }),
    10,
  );
  await call;
  clearInterval(ending);
  const { seen, dropped } = heard.published.at(-1)?.data as {
    seen: number;
    dropped: number;
  };
  assert(dropped > 0);
  // Each was either seen or counted.
  assert(seen + dropped > 20_000, `${seen} and ${dropped}`);
});

for (
  const [fn, reason] of [
    ["exits", "it called Deno.exit(3)"],
    ["exitsAsNode", "it called Deno.exit(3)"],
    ["closes", "it called close()"],
  ] as const
) {
  test(`ScriptWorker says that a script ended itself: ${fn}`, async () => {
    const worker = await spawnScript(new Heard());
    await assertRejects(
      () => worker.run(fn, NOTHING, CONTEXT),
      ScriptError,
      reason,
    );
    assertEquals((await worker.exited).reason, reason);
    await assertRejects(() => worker.run(fn, NOTHING, CONTEXT), ScriptError);
    assertEquals(await worker.stop(), "stopped");
  });
}

for (
  const [fn, message] of [
    ["rejectsBeside", "nobody looks"],
    ["throwsBeside", "in a timer"],
  ] as const
) {
  test(`ScriptWorker says what nobody has caught: ${fn}`, async () => {
    const worker = await spawnScript(new Heard());
    const error = await assertRejects(
      () => worker.run(fn, NOTHING, CONTEXT),
      ScriptError,
      message,
    );
    assertEquals(error.remoteName, "TypeError");
    assert(error.remoteStack.includes("behaves.ts"));
    assertEquals((await worker.exited).error, error);
  });
}

for (const fn of ["hoards", "hoardsBuffers"]) {
  test(`ScriptWorker says that a script was out of memory: ${fn}`, async () => {
    const worker = await spawnScript(new Heard(), { memory: 64 });
    await assertRejects(() => worker.run(fn, NOTHING, CONTEXT), ScriptError);
    assertEquals((await worker.exited).reason, "out of memory");
    assert(!(await isAlive(worker.osPid)));
  });
}

test("ScriptWorker stops a busy script within a second", async () => {
  const heard = new Heard();
  let waited = 0;
  // What it waits for, and not what the rest takes.
  const clock: Clock = {
    now: () => systemClock.now(),
    setTimer: (callback, ms) =>
      systemClock.setTimer(() => {
        waited += ms;
        callback();
      }, ms),
  };
  const worker = await spawnScript(heard, { clock });
  const call = worker.run("busy", NOTHING, CONTEXT);
  const rejected = assertRejects(() => call, DOMException);
  await heard.until(() => heard.published.length === 1);
  waited = 0;
  const start = performance.now();
  assertEquals(await worker.stop(), "stopped");
  assertLess(waited, 1_000);
  assertLess(performance.now() - start, 10_000);
  await rejected;
  assert(!(await isAlive(worker.osPid)));
});

test("ScriptWorker lets a script that looks end itself", async () => {
  const heard = new Heard();
  const worker = await spawnScript(heard);
  const call = worker.run("polls", NOTHING, CONTEXT);
  await heard.until(() => heard.published.length === 1);
  assertEquals(await worker.stop({ abort: 10_000 }), "stopped");
  await call;
  assertEquals(heard.texts("stdout"), ["aborted"]);
  assertEquals((await worker.exited).code, 0);
});

test("ScriptWorker lets a script clean up when its signal aborts", async () => {
  const heard = new Heard();
  const worker = await spawnScript(heard);
  const call = worker.run("obeys", NOTHING, CONTEXT);
  await heard.until(() => heard.published.length === 1);
  assertEquals(await worker.stop({ abort: 10_000 }), "stopped");
  await call;
  assertEquals(heard.published.at(-1), {
    topic: "user.cleaned",
    data: "AbortError",
  });
});

test("ScriptWorker lets a script clean up beside work that was cut short", async () => {
  const heard = new Heard();
  const worker = await spawnScript(heard);
  const call = worker.run("obeysTwice", NOTHING, CONTEXT);
  await heard.until(() => heard.published.length === 1);
  assertEquals(await worker.stop({ abort: 10_000 }), "stopped");
  await call;
  assertEquals(heard.topics(), ["user.started", "user.cleaned"]);
});

test("ScriptWorker has what a script published before it ended itself", async () => {
  const heard = new Heard();
  const worker = await spawnScript(heard);
  await assertRejects(
    () => worker.run("publishesAndExits", NOTHING, CONTEXT),
    ScriptError,
  );
  assertEquals(heard.published.length, 200);
  assertEquals(heard.texts("log"), ["[info] last words"]);
  await worker.exited;
});

for (const fn of ["ignores", "defiesSignals"]) {
  test(`ScriptWorker ends a script that does not obey: ${fn}`, async () => {
    const heard = new Heard();
    const worker = await spawnScript(heard);
    const call = worker.run(fn, NOTHING, CONTEXT);
    const rejected = assertRejects(() => call, DOMException);
    await heard.until(() => heard.published.length === 1);
    assertEquals(await worker.stop({ abort: 100 }), "stopped");
    await rejected;
    assertEquals((await worker.exited).code, 143);
  });
}

test("ScriptWorker kills a process that does not answer", async () => {
  const worker = await spawnScript(new Heard());
  Deno.kill(worker.osPid, "SIGSTOP");
  assertEquals(await worker.stop({ abort: 50, term: 50 }), "stopped");
  assertEquals((await worker.exited).signal, "SIGKILL");
  assert(!(await isAlive(worker.osPid)));
});

test("ScriptWorker does not know of a process that it may not kill", async () => {
  const worker = await spawnScript(new Heard());
  Deno.kill(worker.osPid, "SIGSTOP");
  assertEquals(
    await worker.stop({ abort: 20, term: 20, kill: 0 }),
    "unknown",
  );
  assertEquals(await worker.stop({ abort: 0, term: 0 }), "stopped");
});

test("ScriptWorker can be stopped at any time, and more than once", async () => {
  const worker = await spawnScript(new Heard());
  const states = await Promise.all([worker.stop(), worker.stop()]);
  assertEquals(states, ["stopped", "stopped"]);
  assertEquals(await worker.stop(), "stopped");
  await assertRejects(() => worker.run("main", NOTHING, CONTEXT), DOMException);
  worker.deliver({ topic: "late", data: 1, source: "test", time: 1 });
});

test("ScriptWorker stops when its signal aborts", async () => {
  const controller = new AbortController();
  const worker = await spawnScript(new Heard(), {
    signal: controller.signal,
    stopPolicy: { abort: 10_000 },
  });
  controller.abort();
  assertEquals((await worker.exited).code, 0);
});

test("ScriptWorker does not start when its signal aborts", async () => {
  const options = { pid: 1, roots: [SCRIPTS] };
  const reason = new Error("changed my mind");
  await assertRejects(
    () => ScriptWorker.spawn({ ...options, signal: AbortSignal.abort(reason) }),
    Error,
    "changed my mind",
  );
  const controller = new AbortController();
  const { signal } = controller;
  const starting = ScriptWorker.spawn({ ...options, signal });
  controller.abort(reason);
  await assertRejects(() => starting, Error, "changed my mind");
});

test("ScriptWorker ends a process whose signal aborts as it comes up", async () => {
  const controller = new AbortController();
  let isUp = false;
  const clock: Clock = {
    now: () => systemClock.now(),
    setTimer(callback, ms) {
      const cancel = systemClock.setTimer(callback, ms);
      return () => {
        cancel();
        // The first timer is that of the start.
        if (!isUp) controller.abort(new Error("late"));
        isUp = true;
      };
    },
  };
  await assertRejects(
    () =>
      ScriptWorker.spawn({
        pid: 7,
        roots: [SCRIPTS],
        clock,
        signal: controller.signal,
      }),
    Error,
    "late",
  );
});

test("ScriptWorker is not held up by a disk that hangs before there is a process", async () => {
  await using files = await withFiles({ "deno_dir/empty": "" });
  const { mkdir, Command } = Deno;
  const disk = Promise.withResolvers<void>();
  let asked = Promise.withResolvers<void>();
  using _ = stub(Deno, "mkdir", async (path, options) => {
    asked.resolve();
    await disk.promise;
    await mkdir(path, options);
  });
  const children: Deno.ChildProcess[] = [];
  class SeenCommand extends Command {
    override spawn(): Deno.ChildProcess {
      const child = super.spawn();
      children.push(child);
      return child;
    }
  }
  const options = {
    pid: 1,
    roots: [SCRIPTS],
    denoDir: `${files.folder}/deno_dir`,
  };
  const controller = new AbortController();
  const { signal } = controller;
  const starting = ScriptWorker.spawn({ ...options, signal });
  await asked.promise;
  controller.abort(new Error("dawn"));
  await assertRejects(() => starting, Error, "dawn");

  asked = Promise.withResolvers();
  const clock = new ManualClock();
  const late = assertRejects(
    () => ScriptWorker.spawn({ ...options, clock, startupTimeout: 7_000 }),
    ProcedureError,
    "did not come up: it took longer than 7000 ms",
  );
  await asked.promise;
  await clock.advance(7_000);
  await late;

  // Whatever starts now is ended.
  using stack = new DisposableStack();
  stack.defer(() => Object.assign(Deno, { Command }));
  Object.assign(Deno, { Command: SeenCommand });
  disk.resolve();
  await eventually(() => children.length === 2, "were they started");
  for (const { status } of children) {
    assertEquals((await status).signal, "SIGKILL");
  }
});

test("ScriptWorker takes a variable that is empty for one that is not set", async () => {
  await using files = await withFiles({
    "a.js": `export function main({ publish }) {
      publish("dir", Deno.env.get("DENO_DIR"));
    }`,
  });
  const { folder } = files;
  using stack = new DisposableStack();
  for (
    const [name, value] of [
      ["DENO_DIR", ""],
      ["XDG_CACHE_HOME", ""],
      ["HOME", folder],
    ] as const
  ) {
    const before = Deno.env.get(name);
    stack.defer(() =>
      before === undefined ? Deno.env.delete(name) : Deno.env.set(name, before)
    );
    Deno.env.set(name, value);
  }
  const heard = new Heard();
  const options = { roots: [folder], grants: { env: ["DENO_DIR"] } };
  await using worker = await spawnScript(heard, options, `${folder}/a.js`);
  await worker.run("main", NOTHING, CONTEXT);
  const cache = Deno.build.os === "darwin" ? "Library/Caches" : ".cache";
  assertEquals(heard.published.map(({ data }) => data), [
    `${folder}/${cache}/deno/longrun_scripts`,
  ]);
});

test("ScriptWorker says why a process did not come up", async () => {
  const late = await assertRejects(
    () => ScriptWorker.spawn({ pid: 1, roots: [SCRIPTS], startupTimeout: 1 }),
    ProcedureError,
    "1 ms",
  );
  assertEquals(late.code, "startup-failed");
  const broken = await assertRejects(
    () =>
      ScriptWorker.spawn({
        pid: 1,
        roots: [SCRIPTS],
        configPath: "/nowhere/deno.json",
      }),
    ProcedureError,
    "ended with code 1",
  );
  assert((broken.cause as Error).message.includes("/nowhere/deno.json"));
  const nowhere = await assertRejects(
    () => ScriptWorker.spawn({ pid: 1, roots: [SCRIPTS], cwd: "/nowhere" }),
    ProcedureError,
  );
  assertEquals(nowhere.code, "startup-failed");
});

test("ScriptWorker resolves the imports of a script by its configuration", async () => {
  await using files = await withFiles({
    "deno.json": '{ "imports": { "@site/gain": "./gain.ts" } }',
    "gain.ts": "export const GAIN = 3;",
    "script.ts":
      'import { GAIN } from "@site/gain"; export function main() { console.log(GAIN); }',
  });
  const { folder } = files;
  const heard = new Heard();
  await using worker = await spawnScript(
    heard,
    { roots: [folder], configPath: `${folder}/deno.json` },
    `${folder}/script.ts`,
  );
  await worker.run("main", NOTHING, CONTEXT);
  assertEquals(heard.texts("stdout"), ["3"]);
});

test("ScriptWorker drops lines beyond the limit and counts them", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard, {
    outputLimits: { burst: 100, linesPerSecond: 10 },
  });
  await worker.run("writesLines", procedureInput({ count: 5_000 }), CONTEXT);
  const dropped = heard.output.reduce((sum, { dropped }) => sum + dropped, 0);
  assertEquals(heard.texts("stdout").length + dropped, 5_000);
  assert(dropped > 4_000);
});

test("ScriptWorker cuts long lines", async () => {
  const heard = new Heard();
  await using worker = await spawnScript(heard, {
    outputLimits: { lineLength: 100 },
  });
  for (const count of [99, 100, 101, 1_000_000]) {
    await worker.run("writesLongLine", procedureInput({ count }), CONTEXT);
  }
  assertEquals(heard.texts("stdout"), [
    "y".repeat(99),
    "y".repeat(100),
    "y".repeat(100) + "… (1 more characters)",
    "y".repeat(100) + "… (999900 more characters)",
  ]);
});

test("ScriptWorker checks its arguments", async () => {
  const options = { pid: 1, roots: [SCRIPTS] };
  for (
    const wrong of [
      { pid: -1 },
      { roots: ["scripts"] },
      { grants: { read: "x" } },
      { grants: { net: false } },
      { memory: 0 },
      { memory: 64.5 },
      { memory: Infinity },
      { grants: { memory: 0.5 } },
      { startupTimeout: Number.NaN },
      { stopPolicy: { term: -1 } },
      { outputLimits: { burst: 0 } },
      { onOutput: 1 },
    ]
  ) {
    await assertRejects(
      // deno-lint-ignore no-explicit-any
      () => ScriptWorker.spawn({ ...options, ...wrong } as any),
      Error,
      "Cannot",
    );
  }
  await using worker = await ScriptWorker.spawn(options);
  await assertRejects(() => worker.run("main", NOTHING, CONTEXT), TypeError);
  assertThrows(() => worker.load("https://example.org/script.ts"), TypeError);
});
