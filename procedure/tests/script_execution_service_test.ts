// Copyright 2026 the Longrun authors. MIT license.

import { defaultLogger } from "@longrun/tasks/logger";
import { ManualClock } from "@longrun/tasks/testing";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import type { BusEvent } from "@longrun/tasks/event-bus";
import { procedureInput } from "../procedure.ts";
import {
  ProcedureError,
  type ProcedureErrorCode,
} from "../procedure_errors.ts";
import { InMemoryProcedureStore } from "../procedure_store.ts";
import { fileSystemScript } from "../script.ts";
import {
  ScriptExecutionService,
  type ScriptExecutionServiceOptions,
} from "../script_execution_service.ts";
import type { ScriptPool } from "../script_pool.ts";
import { FakePool, settle } from "./_fake_pool.ts";

const observe = fileSystemScript("file:///scripts/observe.ts");
const abort = fileSystemScript("file:///scripts/abort.ts");

interface Rig extends AsyncDisposable {
  pool: FakePool;
  service: ScriptExecutionService;
  events: BusEvent[];
  topics(): string[];
}

function rig(
  options: Partial<ScriptExecutionServiceOptions> = {},
  pool: FakePool = new FakePool(),
): Rig {
  let time = 0;
  const service = new ScriptExecutionService({
    pool,
    now: () => ++time,
    ...options,
  });
  const events: BusEvent[] = [];
  service.bus.onEvent("*", (event) => events.push(event));
  return {
    pool,
    service,
    events,
    topics: () =>
      events.map(({ topic }) => topic)
        .filter((topic) => topic !== "procedure.lifecycle.statechange")
        .map((topic) => topic.replace("procedure.lifecycle.", "")),
    [Symbol.asyncDispose]: () => service.close(),
  };
}

async function assertCode(
  work: () => Promise<unknown>,
  code: ProcedureErrorCode,
  message = "",
): Promise<void> {
  const error = await assertRejects(work, ProcedureError, message);
  assertEquals(error.code, code);
}

const states = (service: ScriptExecutionService, pid = 1): string =>
  service.summarise([pid])[0]?.history.states.map(([state]) => state)
    .join(" ") ?? "";

test("ScriptExecutionService takes a procedure from CREATING to COMPLETE", async () => {
  await using night = rig();
  const { service, pool } = night;
  const created = await service.prepare({ script: observe });
  assertEquals(created.id, 1);
  assertEquals(created.state, "CREATING");
  await service.waitForState(1, "READY");
  const running = await service.start({ pid: 1 });
  assertEquals(running.state, "RUNNING");
  pool.calls[0]?.end();
  const { state } = await service.waitForState(1, "COMPLETE");
  assertEquals(state, "COMPLETE");
  assertEquals(
    states(service),
    "CREATING IDLE LOADING IDLE INITIALISING READY RUNNING READY COMPLETE",
  );
  assertEquals(night.topics(), [
    "created",
    "started",
    "ready",
    "started",
    "complete",
  ]);
  assertEquals(pool.log, [
    "create 1 file:///scripts/observe.ts",
    "run 1 init",
    "run 1 main",
    "stop 1",
  ]);
});

test("ScriptExecutionService announces ready without an init, too", async () => {
  await using night = rig();
  night.pool.functions = ["main"];
  await night.service.prepare({ script: observe });
  await night.service.waitForState(1, "READY");
  assertEquals(states(night.service), "CREATING IDLE LOADING IDLE READY");
  assertEquals(night.topics(), ["created", "ready"]);
});

test("ScriptExecutionService tells in order of what a listener starts", async () => {
  await using night = rig();
  const { service } = night;
  service.bus.onEvent("procedure.lifecycle.statechange", ({ data }) => {
    const { pid, state } = data;
    if (state === "READY") void service.start({ pid });
  });
  const ready = service.prepare({ script: observe })
    .then(() => service.waitForState(1, "READY"));
  assertEquals((await ready).state, "READY");
  assertEquals(states(service).split(" ").slice(-2), ["READY", "RUNNING"]);
  assertEquals(night.topics(), ["created", "started", "ready", "started"]);
});

test("ScriptExecutionService tells of a script that fails, with its stack", async () => {
  await using night = rig();
  const { service, pool } = night;
  await service.prepare({ script: observe });
  await service.start({ pid: 1, forceStart: true });
  pool.calls[0]?.fail(new Error("no guide star"));
  await service.waitForState(1, "FAILED");
  const [summary] = service.summarise([1]);
  assert(summary?.history.stacktrace?.includes("no guide star"));
  assertEquals(
    states(service),
    "CREATING IDLE LOADING IDLE INITIALISING READY RUNNING FAILED",
  );
  assertEquals(night.topics().slice(3), ["started", "stacktrace", "failed"]);
});

test("ScriptExecutionService tells of a process that dies by itself", async () => {
  await using night = rig();
  await night.service.prepare({ script: observe });
  await night.service.waitForState(1, "READY");
  night.pool.crash(1, "out of memory");
  await night.service.waitForState(1, "FAILED");
  assertEquals(
    night.service.summarise([1])[0]?.history.stacktrace,
    "ProcessEnded: out of memory",
  );
});

test("ScriptExecutionService stops a procedure that runs", async () => {
  await using night = rig();
  const { service, pool } = night;
  await service.prepare({ script: observe });
  await service.start({ pid: 1, forceStart: true });
  assertEquals(await service.stop({ pid: 1 }), []);
  assertEquals(service.summarise([1])[0]?.state, "STOPPED");
  assertEquals(pool.size, 0);
  assertEquals(night.topics(), [
    "created",
    "started",
    "ready",
    "started",
    "stopped",
  ]);
});

test("ScriptExecutionService stops a procedure at every step of its preparation", async () => {
  for (let turns = 0; turns < 30; turns++) {
    await using night = rig();
    night.pool.endsInit = false;
    await night.service.prepare({ script: observe });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await night.service.stop({ pid: 1 });
    await settle();
    const [summary] = night.service.summarise([1]);
    assertEquals(summary?.state, "STOPPED");
    assertEquals(night.service.live, 0);
    assertEquals(night.pool.size, 0);
  }
});

test("ScriptExecutionService calls stops side by side one stop", async () => {
  await using night = rig();
  await night.service.prepare({ script: observe });
  await Promise.all([
    night.service.stop({ pid: 1 }),
    night.service.stop({ pid: 1 }),
  ]);
  assertEquals(night.pool.log.filter((line) => line === "stop 1").length, 1);
  await assertCode(() => night.service.stop({ pid: 1 }), "invalid-state");
});

test("ScriptExecutionService shows UNKNOWN for a process that would not end, and STOPPED once it has", async () => {
  await using night = rig();
  const { service, pool } = night;
  await service.prepare({ script: observe });
  await service.waitForState(1, "READY");
  pool.stops = () => Promise.resolve("unknown");
  await service.stop({ pid: 1 });
  assertEquals(service.summarise([1])[0]?.state, "UNKNOWN");
  pool.crash(1, "SIGKILL at last");
  await settle();
  assertEquals(service.summarise([1])[0]?.state, "STOPPED");
});

test("ScriptExecutionService refuses to start what is not READY, and what has ended", async () => {
  await using night = rig();
  const { service, pool } = night;
  await assertCode(() => service.start({ pid: 9 }), "procedure-not-found");
  const loaded = Promise.withResolvers<void>();
  pool.loads = () => loaded.promise;
  await service.prepare({ script: observe });
  await settle();
  await assertCode(
    () => service.start({ pid: 1 }),
    "invalid-state",
    "PID #1 unrunnable in state LOADING",
  );
  loaded.resolve();
  await service.start({ pid: 1, forceStart: true });
  pool.calls[0]?.end();
  await service.waitForState(1, "COMPLETE");
  await assertCode(
    () => service.start({ pid: 1, forceStart: true }),
    "invalid-state",
    "PID #1 unrunnable in state COMPLETE",
  );
  await assertCode(() => service.stop({ pid: 9 }), "procedure-not-found");
});

test("ScriptExecutionService runs one procedure at a time unless told otherwise", async () => {
  await using night = rig();
  const { service } = night;
  await service.prepare({ script: observe });
  await service.prepare({ script: observe });
  await service.waitForState(2, "READY");
  const forced = service.start({ pid: 1, forceStart: true });
  await assertCode(
    () => service.start({ pid: 2, forceStart: true }),
    "another-running",
    "Cannot start PID 2: PID #1 is RUNNING",
  );
  await forced;
  await assertCode(() => service.start({ pid: 2 }), "another-running");

  await using pair = rig({ maxRunning: 2 });
  await pair.service.prepare({ script: observe });
  await pair.service.prepare({ script: observe });
  await pair.service.start({ pid: 1, forceStart: true });
  await pair.service.start({ pid: 2, forceStart: true });
  assertEquals(pair.service.running, 2);
});

test("ScriptExecutionService starts one procedure while another hangs in init", async () => {
  await using night = rig();
  const { service, pool } = night;
  pool.endsInit = false;
  await service.prepare({ script: observe });
  await service.waitForState(1, "INITIALISING");
  pool.endsInit = true;
  await service.prepare({ script: observe });
  await service.start({ pid: 2, forceStart: true });
  pool.calls.find(({ pid }) => pid === 2)?.end();
  await service.waitForState(2, "COMPLETE");
  assertEquals(service.summarise([1])[0]?.state, "INITIALISING");
});

test("ScriptExecutionService gives a place back when a forced start comes to nothing", async () => {
  await using night = rig();
  const { service, pool } = night;
  pool.loads = () => Promise.reject(new Error("no such module"));
  await service.prepare({ script: observe });
  await assertCode(
    () => service.start({ pid: 1, forceStart: true }),
    "invalid-state",
  );
  assertEquals(service.running, 0);
});

test("ScriptExecutionService does not begin a forced start whose signal has aborted", async () => {
  await using night = rig();
  const { service, pool } = night;
  pool.endsInit = false;
  await service.prepare({ script: observe });
  const controller = new AbortController();
  const start = service.start(
    { pid: 1, forceStart: true },
    { signal: controller.signal },
  );
  controller.abort(new Error("dawn"));
  await assertRejects(() => start, Error, "dawn");
  await service.waitForState(1, "INITIALISING");
  pool.calls[0]?.end();
  await service.waitForState(1, "READY");
  await settle();
  assertEquals(pool.log.includes("run 1 main"), false);
});

test("ScriptExecutionService calls other functions again and again", async () => {
  await using night = rig();
  const { service, pool } = night;
  pool.functions = ["main", "focus"];
  await service.prepare({ script: observe });
  for (let count = 0; count < 2; count++) {
    await service.start({ pid: 1, fn: "focus", forceStart: true });
    pool.calls[0]?.end();
    await service.waitForState(1, "READY");
  }
  assertEquals(
    states(service),
    "CREATING IDLE LOADING IDLE READY RUNNING READY RUNNING READY",
  );
  await assertCode(
    () => service.start({ pid: 1, fn: "track" }),
    "function-not-found",
  );
  await service.start({ pid: 1 });
});

test("ScriptExecutionService remembers what was called with what, and when", async () => {
  await using night = rig();
  const { service, pool } = night;
  await service.prepare({
    script: observe,
    initArgs: procedureInput({ subarray_id: 1 }),
  });
  await service.waitForState(1, "READY");
  await service.start({ pid: 1, args: procedureInput({ scans: 3 }, ["m31"]) });
  assertEquals(pool.calls[0]?.input, { args: ["m31"], kwargs: { scans: 3 } });
  const [summary] = service.summarise([1]);
  assertEquals(summary?.calls.map(({ fn, input }) => [fn, input]), [
    ["init", { args: [], kwargs: { subarray_id: 1 } }],
    ["main", { args: ["m31"], kwargs: { scans: 3 } }],
  ]);
  const times = summary?.calls.map(({ time }) => time) ?? [];
  assert((times[1] ?? 0) > (times[0] ?? 0));
});

test("ScriptExecutionService calls with the arguments that it was given, not with what becomes of them", async () => {
  await using night = rig();
  const { service, pool } = night;
  pool.endsInit = false;
  const kwargs = { subarray_id: 0, dishes: ["SKA001"] };
  const initArgs = { args: [], kwargs };
  for (kwargs.subarray_id = 1; kwargs.subarray_id < 4; kwargs.subarray_id++) {
    await service.prepare({ script: observe, initArgs });
  }
  kwargs.dishes.push("SKA002");
  await settle();
  const given = (id: number) => ({ subarray_id: id, dishes: ["SKA001"] });
  assertEquals(
    pool.calls.map(({ input }) => input.kwargs),
    [1, 2, 3].map(given),
  );
  assertEquals(
    service.summarise().map(({ calls }) => calls[0]?.input.kwargs),
    [1, 2, 3].map(given),
  );

  pool.calls[0]?.end();
  const start = service.start({ pid: 1, args: initArgs, forceStart: true });
  kwargs.dishes.length = 0;
  await start;
  const main = pool.calls.find(({ fn }) => fn === "main");
  assertEquals(main?.input.kwargs.dishes, ["SKA001", "SKA002"]);

  const none = procedureInput({ expose() {} });
  const isRefused = (work: () => Promise<unknown>) =>
    assertRejects(work, DOMException, "could not be cloned");
  await isRefused(() => service.prepare({ script: observe, initArgs: none }));
  pool.calls.find(({ pid }) => pid === 2)?.end();
  await service.waitForState(2, "READY");
  await isRefused(() => service.start({ pid: 2, args: none }));
  assertEquals(service.summarise().length, 3);
  assertEquals(service.summarise([2])[0]?.state, "READY");
});

test("ScriptExecutionService runs the abort script with the subarray of the procedure", async () => {
  await using night = rig({ abortScript: abort });
  const { service, pool } = night;
  await service.prepare({
    script: observe,
    initArgs: procedureInput({ subarray_id: 3 }),
  });
  await service.start({ pid: 1, forceStart: true });
  const [summary] = await service.stop({ pid: 1, runAbort: true });
  assertEquals(summary?.id, 2);
  assertEquals(summary?.state, "RUNNING");
  assertEquals(summary?.calls[0]?.input.kwargs, { subarray_id: 3 });
  assertEquals(pool.log.slice(-4), [
    "stop 1",
    "create 2 file:///scripts/abort.ts",
    "run 2 init",
    "run 2 main",
  ]);
});

test("ScriptExecutionService runs one abort script for all who ask for it at once", async () => {
  await using night = rig({ abortScript: abort });
  const { service, pool } = night;
  const loaded = Promise.withResolvers<void>();
  await service.prepare({
    script: observe,
    initArgs: procedureInput({ subarray_id: 3 }),
  });
  await service.start({ pid: 1, forceStart: true });
  pool.loads = () => loaded.promise;
  const command = { pid: 1, runAbort: true };
  const stops = [service.stop(command), service.stop(command)];
  await service.waitForState(1, "STOPPED");
  stops.push(service.stop(command));
  loaded.resolve();
  for (const [summary] of await Promise.all(stops)) {
    assertEquals(summary?.id, 2);
  }
  assertEquals(pool.log.filter((line) => line.endsWith("main")), [
    "run 1 main",
    "run 2 main",
  ]);
  await assertCode(() => service.stop(command), "invalid-state");
});

test("ScriptExecutionService refuses an abort that it cannot call before anything is stopped", async () => {
  await using night = rig({ abortScript: abort });
  const { service, pool } = night;
  await service.prepare({ script: observe });
  await service.waitForState(1, "READY");
  await assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "abort-refused",
    "PID #1 was not stopped: Subarray ID not specified",
  );
  await service.start({ pid: 1, args: procedureInput({ subarray_id: 1 }) });
  pool.refuses = () => true;
  await assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "abort-refused",
    "Not this one",
  );
  assertEquals(service.summarise([1])[0]?.state, "RUNNING");

  await using none = rig();
  await none.service.prepare({ script: observe });
  await assertCode(
    () => none.service.stop({ pid: 1, runAbort: true }),
    "abort-refused",
    "There is no abort script",
  );
});

test("ScriptExecutionService refuses an abort for two subarrays", async () => {
  await using night = rig({ abortScript: abort });
  const { service } = night;
  await service.prepare({
    script: observe,
    initArgs: procedureInput({ subarray_id: 1 }),
  });
  await service.start({
    pid: 1,
    forceStart: true,
    args: procedureInput({ subarray_id: 2 }),
  });
  await assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "abort-refused",
    "Multiple subarray IDs found",
  );
});

test("ScriptExecutionService leaves a procedure stopped whose abort script fails", async () => {
  await using night = rig({ abortScript: abort });
  const { service, pool } = night;
  await service.prepare({
    script: observe,
    initArgs: procedureInput({ subarray_id: 1 }),
  });
  await service.waitForState(1, "READY");
  pool.loads = () => Promise.reject(new Error("no such module"));
  await assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "abort-failed",
    "PID #1 was stopped, but its abort script failed",
  );
  assertEquals(
    service.summarise().map(({ id, state }) => [id, state]),
    [[1, "STOPPED"], [2, "FAILED"]],
  );
});

test("ScriptExecutionService gives an abort script so long to be READY", async () => {
  const clock = new ManualClock();
  await using night = rig({ abortScript: abort, abortTimeout: 1000, clock });
  const { service, pool } = night;
  await service.prepare({
    script: observe,
    initArgs: procedureInput({ subarray_id: 1 }),
  });
  await service.waitForState(1, "READY");
  pool.loads = () => new Promise(() => {});
  const stop = assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "abort-failed",
  );
  await settle();
  await clock.advance(1000);
  await stop;
  // It is of no use any more.
  await service.waitForState(2, "STOPPED");
});

test("ScriptExecutionService runs the abort script whatever the limits say", async () => {
  await using night = rig({ abortScript: abort, maxLive: 2 });
  const { service } = night;
  const initArgs = procedureInput({ subarray_id: 1 });
  await service.prepare({ script: observe, initArgs });
  await service.prepare({ script: observe, initArgs });
  await service.start({ pid: 2, forceStart: true });
  await assertCode(
    () => service.prepare({ script: observe }),
    "too-many-procedures",
  );
  const [summary] = await service.stop({ pid: 1, runAbort: true });
  assertEquals(summary?.state, "RUNNING");
  assertEquals(service.summarise([2])[0]?.state, "RUNNING");
});

test("ScriptExecutionService forgets the oldest procedures that have ended", async () => {
  await using night = rig({ historyLimit: 3 });
  const { service } = night;
  for (let pid = 1; pid <= 3; pid++) await service.prepare({ script: observe });
  await service.stop({ pid: 2 });
  await service.prepare({ script: observe });
  assertEquals(service.summarise().map(({ id }) => id), [1, 2, 3, 4]);
  await service.stop({ pid: 1 });
  await service.prepare({ script: observe });
  assertEquals(service.summarise().map(({ id }) => id), [3, 4, 5]);
  assertThrows(() => service.summarise([1]), ProcedureError, "not found: 1");
  assertThrows(() => service.output(1), ProcedureError);
});

test("ScriptExecutionService describes none, some, and all", async () => {
  await using night = rig();
  const { service } = night;
  assertEquals(service.summarise(), []);
  await service.prepare({ script: observe });
  await service.prepare({ script: abort });
  assertEquals(service.summarise([2, 1]).map(({ id }) => id), [2, 1]);
  assertEquals(service.summarise().length, 2);
  assertThrows(
    () => service.summarise([1, 7, 8]),
    ProcedureError,
    "Process IDs not found: 7, 8",
  );
});

test("ScriptExecutionService gives each call the context of its beginning", async () => {
  await using night = rig();
  const { service, pool } = night;
  pool.endsInit = false;
  await service.prepare({ script: observe });
  await service.waitForState(1, "INITIALISING");
  assertEquals(pool.calls[0]?.context, { waitForQaReady: true });
  const start = service.start({ pid: 1, forceStart: true });
  service.setContext({ waitForQaReady: false, seeing: 1.2 });
  pool.calls[0]?.end();
  await start;
  assertEquals(pool.calls[0]?.context, { waitForQaReady: false, seeing: 1.2 });
  assert(Object.isFrozen(pool.calls[0]?.context));
  assertThrows(
    () => service.setContext({ waitForQaReady: "yes" }),
    TypeError,
    "'waitForQaReady' must be a boolean",
  );
});

test("ScriptExecutionService ends a wait for a state that will not come", async () => {
  const clock = new ManualClock();
  await using night = rig({ clock });
  const { service } = night;
  await assertCode(
    () => service.waitForState(4, "READY"),
    "procedure-not-found",
  );
  await service.prepare({ script: observe });
  const late = service.waitForState(1, ["COMPLETE", "FAILED"]);
  const short = assertRejects(
    () => service.waitForState(1, "RUNNING", { timeout: 500 }),
    DOMException,
    "Timed out after 500 ms",
  );
  await settle();
  await clock.advance(500);
  await short;
  await service.stop({ pid: 1 });
  await assertCode(
    () => late,
    "invalid-state",
    "PID #1 is STOPPED and will not be COMPLETE or FAILED",
  );
  await assertCode(() => service.waitForState(1, "READY"), "invalid-state");
  await assertRejects(
    () => service.waitForState(1, "ready" as "READY"),
    TypeError,
  );
});

test("ScriptExecutionService refuses scripts at the door", async () => {
  await using night = rig();
  night.pool.refuses = ({ uri }) => uri.endsWith("abort.ts");
  await assertCode(
    () => night.service.prepare({ script: abort }),
    "script-refused",
  );
  assertEquals(night.service.summarise(), []);
});

test("ScriptExecutionService stops all when it is closed, and takes nothing more", async () => {
  const night = rig({ maxRunning: 2 });
  const { service, pool } = night;
  for (let pid = 1; pid <= 3; pid++) await service.prepare({ script: observe });
  await service.start({ pid: 1, forceStart: true });
  const first = service.close();
  assertEquals(first, service.close());
  await first;
  assertEquals(
    service.summarise().map(({ state }) => state),
    ["STOPPED", "STOPPED", "STOPPED"],
  );
  assertEquals(pool.size, 0);
  assertEquals(pool.log.at(-1), "close");
  await assertCode(() => service.prepare({ script: observe }), "closed");
});

test("ScriptExecutionService refuses a stop of what has completed meanwhile", async () => {
  await using night = rig();
  const { service, pool } = night;
  await service.prepare({ script: observe });
  await service.start({ pid: 1, forceStart: true });
  const { promise, resolve } = Promise.withResolvers<"stopped">();
  pool.stops = () => promise;
  pool.calls[0]?.end();
  await settle();
  assertEquals(service.summarise([1])[0]?.state, "RUNNING");
  const stop = assertCode(
    () => service.stop({ pid: 1 }),
    "invalid-state",
    "Cannot stop PID 1 with state COMPLETE",
  );
  resolve("stopped");
  await stop;
});

test("ScriptExecutionService prepares inside a listener of its own events", async () => {
  const errors: string[] = [];
  const logger = {
    ...defaultLogger,
    error: (message: string) => void errors.push(message),
  };
  await using night = rig({ logger });
  const { service, pool } = night;
  service.bus.onEvent("procedure.lifecycle.complete", async () => {
    await service.prepare({ script: abort });
  });
  service.bus.onEvent("procedure.lifecycle.statechange", () => {
    throw new Error("a listener that fails");
  });
  await service.prepare({ script: observe });
  await service.start({ pid: 1, forceStart: true });
  pool.calls[0]?.end();
  await service.waitForState(1, "COMPLETE");
  await settle();
  assertEquals(service.summarise([2])[0]?.state, "READY");
  assert(errors.every((message) => message.includes("a listener that fails")));
});

test("ScriptExecutionService checks what it is asked for", async () => {
  await using night = rig();
  const { service } = night;
  for (
    const command of [
      undefined,
      {},
      { script: "file:///scripts/observe.ts" },
      { script: { type: "filesystem" } },
      { script: observe, initArgs: [] },
      { script: observe, initArgs: { args: {}, kwargs: {} } },
      { script: observe, initArgs: { args: [], kwargs: [] } },
    ]
  ) {
    await assertRejects(
      () => service.prepare(command as unknown as { script: typeof observe }),
      TypeError,
      "Cannot prepare a procedure as",
    );
  }
  for (
    const command of [
      { pid: "1" },
      { pid: 1, fn: 7 },
      { pid: 1, args: { args: [] } },
      { pid: 1, forceStart: "yes" },
    ]
  ) {
    await assertRejects(
      () => service.start(command as { pid: number }),
      TypeError,
      "Cannot start a procedure as",
    );
  }
  await assertRejects(() => service.start({ pid: 0.5 }), RangeError, "'pid'");
  await assertRejects(
    () => service.stop({ pid: 1, runAbort: 1 as unknown as boolean }),
    TypeError,
    "Cannot stop a procedure as 'runAbort' must be a boolean",
  );
  assertEquals(service.summarise(), []);

  await service.prepare({ script: observe });
  await settle();
  const wrong = { signal: 7 } as unknown as { signal: AbortSignal };
  for (
    const work of [
      () => service.prepare({ script: observe }, wrong),
      () => service.start({ pid: 1 }, wrong),
      () => service.stop({ pid: 1 }, wrong),
      () => service.waitForState(1, "COMPLETE", wrong),
    ]
  ) await assertRejects(work, TypeError, "'signal' must be an AbortSignal");
  for (const states of [undefined, [], "ready", ["READY", 7]]) {
    await assertRejects(
      () => service.waitForState(1, states as unknown as "READY"),
      TypeError,
      "'states' must be states of a procedure",
    );
  }
  assertThrows(
    () => service.setContext("abc" as unknown as Record<string, unknown>),
    TypeError,
    "'changes' must be an object",
  );
  assertEquals(service.context, { waitForQaReady: true });
  assertEquals(service.summarise().map(({ state }) => state), ["READY"]);
});

test("ScriptExecutionService lets a procedure end that it has forgotten as UNKNOWN", async () => {
  await using night = rig({ historyLimit: 1 });
  const { service, pool } = night;
  await service.prepare({ script: observe });
  await service.waitForState(1, "READY");
  pool.stops = () => Promise.resolve("unknown");
  await service.stop({ pid: 1 });
  pool.stops = () => Promise.resolve("stopped");
  await service.prepare({ script: observe });
  assertEquals(service.summarise().map(({ id }) => id), [2]);
  pool.crash(1, "SIGKILL at last");
  await settle();
  assertEquals(service.summarise().map(({ id }) => id), [2]);
});

test("ScriptExecutionService runs the abort script though nobody waits for it any more", async () => {
  const errors: string[] = [];
  const logger = {
    ...defaultLogger,
    error: (message: string) => void errors.push(message),
  };
  await using night = rig({ abortScript: abort, logger });
  const { service, pool } = night;
  const initArgs = procedureInput({ subarray_id: 1 });
  await service.prepare({ script: observe, initArgs });
  await service.start({ pid: 1, forceStart: true });
  const loaded = Promise.withResolvers<void>();
  pool.loads = () => loaded.promise;
  const gone = new AbortController();
  const { signal } = gone;
  const stop = service.stop({ pid: 1, runAbort: true }, { signal });
  await service.waitForState(1, "STOPPED");
  gone.abort(new Error("the operator has gone"));
  await assertRejects(() => stop, Error, "the operator has gone");
  loaded.resolve();
  await settle();
  assertEquals(service.summarise([2])[0]?.state, "RUNNING");
  assertEquals(errors, []);

  pool.loads = () => Promise.reject(new Error("no such module"));
  const again = new AbortController();
  const failing = service.stop(
    { pid: 2, runAbort: true },
    { signal: again.signal },
  );
  again.abort(new Error("the operator has gone again"));
  await assertRejects(() => failing, Error, "gone again");
  await settle();
  assertEquals(service.summarise([2])[0]?.state, "STOPPED");
  assertEquals(errors.length, 1);
  assert(errors[0]?.includes("its abort script failed"));
});

test("ScriptExecutionService refuses an abort of what completes while it is planned", async () => {
  await using night = rig({ abortScript: abort });
  const { service, pool } = night;
  const initArgs = procedureInput({ subarray_id: 1 });
  await service.prepare({ script: observe, initArgs });
  await service.start({ pid: 1, forceStart: true });
  const checked = Promise.withResolvers<void>();
  pool.check = () => checked.promise;
  const stop = assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "invalid-state",
    "Cannot stop PID 1 with state COMPLETE",
  );
  pool.calls[0]?.end();
  await service.waitForState(1, "COMPLETE");
  checked.resolve();
  await stop;
  assertEquals(service.summarise().length, 1);
});

test("ScriptExecutionService refuses arguments that are none at the door", async () => {
  await using night = rig({
    abortScript: abort,
    abortArgs: () => undefined as never,
  });
  const { service } = night;
  for (const input of [null, 5, [], { args: {}, kwargs: {} }, { args: [] }]) {
    const nonsense = input as never;
    await assertRejects(
      () => service.prepare({ script: observe, initArgs: nonsense }),
      TypeError,
      "'initArgs' must be an object with 'args' and 'kwargs'",
    );
    await assertRejects(
      () => service.start({ pid: 1, args: nonsense }),
      TypeError,
      "'args' must be an object with 'args' and 'kwargs'",
    );
  }
  assertEquals(service.summarise(), []);
  await service.prepare({ script: observe });
  await assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "abort-refused",
    "'abortArgs()' must be an object",
  );
  const pool = new FakePool();
  for (
    const nonsense of [
      undefined,
      { type: "", uri: "file:///scripts/observe.ts" },
      { uri: "file:///scripts/observe.ts" },
      { type: "filesystem", uri: 5 },
      { type: "git", uri: "git://observe.ts" },
      { type: "git", uri: "git://observe.ts", git: { repo: "a", branch: 5 } },
    ]
  ) {
    const script = nonsense as never;
    await assertRejects(
      () => service.prepare({ script }),
      TypeError,
      "'script' must be a script",
    );
  }
  assertThrows(
    () => new ScriptExecutionService({ pool, abortScript: "a.ts" as never }),
    TypeError,
    "'abortScript' must be a script",
  );
  for (const abortTimeout of [0, NaN, -1]) {
    assertThrows(
      () => new ScriptExecutionService({ pool, abortTimeout }),
      RangeError,
      "'abortTimeout' must be a positive number",
    );
  }
});

test("ScriptExecutionService is not harmed by a logger that throws", async () => {
  const fail = (): never => {
    throw new Error("a logger that fails");
  };
  const logger = { debug: fail, info: fail, warn: fail, error: fail };
  const { error } = console;
  console.error = () => {};
  try {
    await using night = rig({ logger });
    const { service, pool } = night;
    pool.stops = () => Promise.resolve("unknown");
    await service.prepare({ script: observe });
    await service.start({ pid: 1, forceStart: true });
    pool.calls[0]?.fail(new Error("clouds"));
    await service.waitForState(1, "FAILED");
    await settle();
    assertEquals(service.live, 0);
  } finally {
    console.error = error;
  }
});

test("ScriptExecutionService bounds the context, which each call is given", async () => {
  await using night = rig();
  const { service } = night;
  service.setContext({ notes: "x".repeat(40_000) });
  assertThrows(
    () => service.setContext({ more: "x".repeat(40_000) }),
    RangeError,
    "must have at most 65536 characters",
  );
  assertEquals(Object.keys(service.context), ["waitForQaReady", "notes"]);
  service.setContext({ notes: "", more: "x".repeat(40_000) });
});

test("ScriptExecutionService forgets a prepare whose signal has aborted", async () => {
  await using night = rig();
  const { service, pool } = night;
  const controller = new AbortController();
  pool.check = () => {
    controller.abort(new Error("dawn"));
    return Promise.resolve();
  };
  await assertRejects(
    () => service.prepare({ script: observe }, controller),
    Error,
    "dawn",
  );
  assertEquals(service.summarise(), []);
  assertEquals(pool.log, []);
});

test("ScriptExecutionService keeps what its context had, and shares nothing with it", async () => {
  const dish = { gain: 1 };
  await using night = rig({ context: { dish } });
  const { service } = night;
  service.setContext({ seeing: 1.2 });
  service.setContext({ waitForQaReady: false });
  dish.gain = 2;
  assertEquals(service.context, {
    waitForQaReady: false,
    dish: { gain: 1 },
    seeing: 1.2,
  });
  assertThrows(() => service.setContext({ run: () => {} }), DOMException);
});

test("ScriptExecutionService ends a wait for a state with its signal", async () => {
  await using night = rig({ clock: new ManualClock() });
  const { service, pool } = night;
  pool.loads = () => new Promise(() => {});
  await service.prepare({ script: observe });
  for (const timeout of [undefined, 60_000]) {
    const controller = new AbortController();
    const { signal } = controller;
    const wait = service.waitForState(1, "READY", { signal, timeout });
    await settle();
    controller.abort(new Error("dawn"));
    await assertRejects(() => wait, Error, "dawn");
    await assertRejects(
      () => service.waitForState(1, "LOADING", { signal, timeout }),
      Error,
      "dawn",
    );
  }
});

test("ScriptExecutionService goes on when its store cannot keep anything", async () => {
  const errors: string[] = [];
  const logger = {
    ...defaultLogger,
    error: (message: string) => void errors.push(message),
  };
  const store = new InMemoryProcedureStore();
  const full = () => {
    throw new Error("no room on the disk");
  };
  store.saveProcedure = full;
  store.appendOutput = full;
  store.removeProcedure = full;
  await using night = rig({ store, logger, historyLimit: 1 });
  const { service } = night;
  await service.prepare({ script: observe });
  await service.waitForState(1, "READY");
  service.bus.publish("script.output", {
    pid: 1,
    stream: "stdout",
    text: "a line",
    dropped: 0,
  });
  await service.stop({ pid: 1 });
  assertEquals(service.summarise([1])[0]?.state, "STOPPED");
  await service.prepare({ script: observe });
  assertEquals(service.summarise().map(({ id }) => id), [2]);
  assertEquals([...new Set(errors)], [
    "Could not save PID #1",
    "Could not keep a line of PID #1",
    "Could not remove PID #1",
    "Could not save PID #2",
  ]);
});

test("ScriptExecutionService keeps the output of what it knows, until it has ended", async () => {
  const store = new InMemoryProcedureStore();
  const night = rig({ store, historyLimit: 1 });
  const { service } = night;
  const write = (pid: number) =>
    service.bus.publish("script.output", {
      pid,
      stream: "stdout",
      text: "a line",
      dropped: 0,
    });
  await service.prepare({ script: observe });
  write(1);
  write(2);
  await service.close();
  write(1);
  assertEquals(store.output(1).length, 1);
  assertEquals(store.output(2).length, 0);

  await using next = rig({ store, historyLimit: 1 });
  await next.service.prepare({ script: observe });
  assertEquals(next.service.summarise().map(({ id }) => id), [2]);
  assertEquals(store.procedures().map(({ summary }) => summary.id), [2]);
  assertEquals(next.topics()[0], "removed");
});

test("ScriptExecutionService checks its options", () => {
  for (
    const [options, name] of [
      [{ historyLimit: 0 }, "historyLimit"],
      [{ abortTimeout: 0 }, "abortTimeout"],
      [{ abortTimeout: NaN }, "abortTimeout"],
      [{ maxRunning: 0.5 }, "maxRunning"],
    ] as const
  ) assertThrows(() => rig(options), RangeError, `'${name}' must be`);
  for (const name of ["abortArgs", "now", "clock", "logger"]) {
    assertThrows(() => rig({ [name]: 7 }), TypeError, `'${name}' must be`);
  }
  const none = { pool: undefined } as unknown as ScriptExecutionServiceOptions;
  assertThrows(() => rig(none), TypeError, "'pool.create' must be");
});

test("ScriptExecutionService goes on with a logger that throws", async () => {
  const fail = () => {
    throw new Error("no room for the log");
  };
  const logger = { debug: fail, info: fail, warn: fail, error: fail };
  const { error } = console;
  const lines: unknown[] = [];
  console.error = (line) => void lines.push(line);
  try {
    await using night = rig({ logger });
    const { service, pool } = night;
    await service.prepare({ script: observe });
    await service.waitForState(1, "READY");
    assertEquals(await service.stop({ pid: 1 }), []);
    pool.stops = () => Promise.resolve("unknown");
    await service.prepare({ script: observe });
    await service.waitForState(2, "READY");
    pool.crash(2, "out of memory");
    await settle();
    assertEquals(
      service.summarise().map(({ state }) => state),
      ["STOPPED", "FAILED"],
    );
    assertEquals([service.live, service.running], [0, 0]);
  } finally {
    console.error = error;
  }
  assertEquals(lines, [
    "PID #1 is STOPPED",
    "PID #2 is FAILED",
    "The process of PID #2 did not end",
  ]);
});

test("ScriptExecutionService refuses an abort that nobody can tell may be called", async () => {
  const clock = new ManualClock();
  await using night = rig({ abortScript: abort, abortTimeout: 1000, clock });
  const { service } = night;
  const pool: ScriptPool = night.pool;
  const initArgs = procedureInput({ subarray_id: 1 });
  await service.prepare({ script: observe, initArgs });
  await service.waitForState(1, "READY");
  let signal: AbortSignal | undefined;
  pool.check = (_script, options) => {
    signal = options?.signal;
    return new Promise(() => {});
  };
  const stop = assertCode(
    () => service.stop({ pid: 1, runAbort: true }),
    "abort-refused",
    "PID #1 was not stopped: Timed out after 1000 ms",
  );
  await settle();
  await clock.advance(1000);
  await stop;
  assert(signal?.aborted);
  await service.stop({ pid: 1 });
  assertEquals(service.summarise([1])[0]?.state, "STOPPED");
});

test("ScriptExecutionService forgets nothing for a procedure that is refused", async () => {
  await using night = rig({ historyLimit: 2, maxLive: 1 });
  const { service, topics } = night;
  await service.prepare({ script: observe });
  await service.stop({ pid: 1 });
  await service.prepare({ script: observe });
  await assertCode(
    () => service.prepare({ script: observe }),
    "too-many-procedures",
  );
  assertEquals(service.summarise().map(({ id }) => id), [1, 2]);
  assertEquals(topics().includes("removed"), false);
  await service.stop({ pid: 2 });
  await service.prepare({ script: observe });
  assertEquals(service.summarise().map(({ id }) => id), [2, 3]);
  assertEquals(topics().filter((topic) => topic === "removed").length, 1);
});
