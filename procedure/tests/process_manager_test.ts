// Copyright 2026 the Longrun authors. MIT license.

import { defaultLogger } from "@longrun/tasks/logger";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { procedureInput } from "../procedure.ts";
import { ProcedureError } from "../procedure_errors.ts";
import type { ProcedureState } from "../procedure_state.ts";
import {
  ProcessManager,
  type ProcessManagerOptions,
} from "../process_manager.ts";
import { fileSystemScript } from "../script.ts";
import { FakePool, settle } from "./_fake_pool.ts";

const script = fileSystemScript("file:///scripts/observe.ts");
const init = { initArgs: procedureInput(), context: { waitForQaReady: true } };
const call = { args: procedureInput(), context: () => init.context };

function rig(options: Partial<ProcessManagerOptions> = {}) {
  const pool = new FakePool();
  const states: string[] = [];
  const warnings: string[] = [];
  const manager = new ProcessManager({
    pool,
    onState: (pid, state) => states.push(`${pid} ${state}`),
    logger: {
      ...defaultLogger,
      warn: (message) => warnings.push(message),
      error: (message) => warnings.push(message),
    },
    ...options,
  });
  return {
    pool,
    states,
    warnings,
    manager,
    [Symbol.asyncDispose]: () => manager.close(),
  };
}

test("ProcessManager has no procedures at first", async () => {
  await using night = rig();
  assertEquals(night.manager.live, 0);
  assertEquals(night.manager.hasRunning(), false);
  assertEquals(night.manager.state(1), undefined);
});

test("ProcessManager counts on from the last number", async () => {
  await using night = rig({ lastPid: 41 });
  assertEquals(night.manager.create(script, init), 42);
  assertEquals(night.manager.state(42), "CREATING");
});

test("ProcessManager never begins what is stopped at once", async () => {
  await using night = rig();
  const pid = night.manager.create(script, init);
  assertEquals(await night.manager.stop(pid), "STOPPED");
  await settle();
  assertEquals(night.pool.log, ["stop 1"]);
  assertEquals(night.states, ["1 CREATING", "1 STOPPED"]);
});

test("ProcessManager aborts the preparation that it stops", async () => {
  await using night = rig();
  const { pool, manager } = night;
  const { create } = pool;
  let signal: AbortSignal | undefined;
  pool.create = (pid, script, options) => {
    ({ signal } = options);
    return create.call(pool, pid, script, options);
  };
  pool.loads = () => new Promise(() => {});
  manager.create(script, init);
  await settle();
  const stop = manager.stop(1);
  assert(signal?.aborted);
  await stop;
});

test("ProcessManager starts nothing that is about to end", async () => {
  await using night = rig();
  const { pool, manager } = night;
  const { promise, resolve } = Promise.withResolvers<"stopped">();
  pool.stops = () => promise;
  manager.create(script, init);
  await settle();
  const stop = manager.stop(1);
  assertEquals(manager.state(1), "READY");
  await assertRejects(
    () => manager.run(1, "main", call),
    ProcedureError,
    "PID #1 unrunnable in state READY: it is about to end",
  );
  resolve("stopped");
  await stop;
  assertEquals(pool.log.includes("run 1 main"), false);
});

test("ProcessManager tells a second start that there was a first", async () => {
  await using night = rig({ maxRunning: 3 });
  const { pool, manager } = night;
  pool.endsInit = false;
  manager.create(script, init);
  await settle();
  const first = manager.run(1, "main", { ...call, forceStart: true });
  await assertRejects(
    () => manager.run(1, "main", { ...call, forceStart: true }),
    ProcedureError,
    "PID #1 unrunnable in state INITIALISING: it has been told to start",
  );
  pool.calls[0]?.end();
  await first;
  assert(manager.hasRunning());
});

test("ProcessManager is STOPPED when the function ends while it is stopped", async () => {
  await using night = rig();
  const { pool, manager } = night;
  const { promise, resolve } = Promise.withResolvers<"stopped">();
  pool.stops = () => promise;
  manager.create(script, init);
  await manager.run(1, "main", { ...call, forceStart: true });
  const stop = manager.stop(1);
  pool.calls[0]?.end();
  await settle();
  resolve("stopped");
  assertEquals(await stop, "STOPPED");
  await settle();
  assertEquals(night.states.slice(-2), ["1 RUNNING", "1 STOPPED"]);
  assertEquals(pool.log.filter((line) => line === "stop 1").length, 1);
  assertEquals(night.warnings, []);
});

test("ProcessManager waits for the end of a process that has failed when it is closed", async () => {
  const night = rig();
  const { pool, manager } = night;
  const { promise, resolve } = Promise.withResolvers<"stopped">();
  pool.stops = () => promise;
  manager.create(script, init);
  await settle();
  pool.crash(1, "a crash");
  await settle();
  let isClosed = false;
  const closing = manager.close().then(() => isClosed = true);
  await settle();
  assertEquals(isClosed, false);
  resolve("stopped");
  await closing;
  assertEquals(pool.log.filter((line) => line === "stop 1").length, 1);
});

test("ProcessManager refuses moves that are not in the table, and logs them", async () => {
  await using night = rig();
  const { pool, manager } = night;
  pool.create = (_pid, _script, { onState }) => {
    onState("RUNNING");
    onState("COMPLETE");
    onState("IDLE");
    return Promise.resolve(["main"]);
  };
  pool.ended = () => new Promise(() => {});
  manager.create(script, init);
  await settle();
  assertEquals(night.states, ["1 CREATING", "1 IDLE", "1 READY"]);
  assertEquals(night.warnings, [
    "PID #1 was not moved from CREATING to RUNNING",
    "PID #1 was not moved from CREATING to COMPLETE",
  ]);
});

test("ProcessManager knows itself when a procedure is READY, and when it has ended", async () => {
  await using night = rig();
  const { pool, manager } = night;
  const loaded = Promise.withResolvers<void>();
  pool.create = async (_pid, _script, { onState }) => {
    onState("IDLE");
    for (const state of ["READY", "STOPPED", "FAILED", "UNKNOWN"] as const) {
      onState(state);
    }
    await loaded.promise;
    return ["main"];
  };
  pool.ended = () => new Promise(() => {});
  manager.create(script, init);
  await settle();
  assertEquals(manager.state(1), "IDLE");
  assertEquals(night.warnings.length, 4);
  loaded.resolve();
  await settle();
  assertEquals(night.states, ["1 CREATING", "1 IDLE", "1 READY"]);
});

test("ProcessManager says who has the place that another wants", async () => {
  await using night = rig();
  const { pool, manager } = night;
  pool.endsInit = false;
  for (let pid = 1; pid <= 2; pid++) manager.create(script, init);
  await settle();
  pool.calls.find(({ pid }) => pid === 2)?.end();
  const first = manager.run(1, "main", { ...call, forceStart: true });
  await settle();
  await assertRejects(
    () => manager.run(2, "main", call),
    ProcedureError,
    "Cannot start PID 2: PID #1 has been told to start",
  );
  pool.calls[0]?.end();
  await first;
  await assertRejects(
    () => manager.run(2, "main", call),
    ProcedureError,
    "Cannot start PID 2: PID #1 is RUNNING",
  );
});

test("ProcessManager tells of a process that has failed and does not end", async () => {
  await using night = rig();
  night.pool.stops = () => Promise.resolve("unknown");
  night.manager.create(script, init);
  await settle();
  night.pool.crash(1, "a crash");
  await settle();
  assertEquals(night.warnings, ["The process of PID #1 did not end"]);
  assertEquals(night.states.at(-1), "1 FAILED");
  assertEquals(night.manager.live, 0);
});

test("ProcessManager keeps to its limits, but for what is urgent", async () => {
  await using night = rig({ maxLive: 1 });
  const { manager } = night;
  manager.create(script, init);
  assertThrows(
    () => manager.create(script, init),
    ProcedureError,
    "Cannot prepare a procedure: 1 of 1 are alive",
  );
  assertEquals(manager.create(script, { ...init, urgent: true }), 2);
  await manager.run(1, "main", { ...call, forceStart: true });
  await assertRejects(
    () => manager.run(2, "main", { ...call, forceStart: true }),
    ProcedureError,
    "Cannot start PID 2: PID #1 is RUNNING",
  );
  await manager.run(2, "main", { ...call, forceStart: true, urgent: true });
  assertEquals(manager.running, 2);
});

test("ProcessManager says which procedures it does not know", async () => {
  await using night = rig();
  await assertRejects(() => night.manager.stop(3), ProcedureError, "PID #3");
  await assertRejects(
    () => night.manager.run(3, "main", call),
    ProcedureError,
    "PID #3 not found",
  );
});

test("ProcessManager checks its limits", () => {
  const pool = new FakePool();
  const onState = (_pid: number, _state: ProcedureState) => {};
  assertThrows(
    () => new ProcessManager({ pool, onState, maxRunning: 0 }),
    RangeError,
    "'maxRunning' must be an integer of at least 1: current value is 0",
  );
  assertThrows(
    () => new ProcessManager({ pool, onState, maxLive: 1.5 }),
    RangeError,
    "'maxLive'",
  );
  for (
    const wrong of [
      { pool: undefined },
      { onState: 7 },
      { onProcess: 7 },
      { logger: 7 },
      { lastPid: "7" },
    ]
  ) {
    const options: unknown = { pool, onState, ...wrong };
    assertThrows(
      () => new ProcessManager(options as ProcessManagerOptions),
      TypeError,
      "Cannot create ProcessManager",
    );
  }
});

test("ProcessManager is never READY again once it is told to end", async () => {
  await using night = rig();
  const { pool, manager } = night;
  pool.endsInit = false;
  const { promise, resolve } = Promise.withResolvers<"stopped">();
  pool.stops = () => promise;
  manager.create(script, init);
  await settle();
  const stop = manager.stop(1);
  pool.calls[0]?.end();
  await settle();
  assertEquals(manager.state(1), "INITIALISING");
  resolve("stopped");
  await stop;
  assertEquals(night.states.slice(-2), ["1 INITIALISING", "1 STOPPED"]);
});

test("ProcessManager closes though a process neither ends nor answers", async () => {
  const { pool, manager, states } = rig();
  pool.run = () => new Promise(() => {});
  pool.stop = () => Promise.resolve("unknown");
  manager.create(script, init);
  await settle();
  const start = assertRejects(
    () => manager.run(1, "main", { ...call, forceStart: true }),
    ProcedureError,
    "unrunnable in state UNKNOWN",
  );
  await manager.close();
  await start;
  assertEquals(states.slice(-2), ["1 INITIALISING", "1 UNKNOWN"]);
  assertEquals(manager.running, 0);
});

test("ProcessManager takes a process that cannot be ended for UNKNOWN, or FAILED", async () => {
  await using night = rig({ maxRunning: 2 });
  const { pool, manager, states } = night;
  pool.stops = () => Promise.reject(new Error("no permission"));
  for (const pid of [1, 2, 3]) {
    manager.create(script, init);
    await settle();
    if (pid < 3) await manager.run(pid, "main", call);
  }
  pool.calls.find(({ pid }) => pid === 1)?.fail(new Error("clouds"));
  pool.calls.find(({ pid }) => pid === 2)?.end();
  assertEquals(await manager.stop(3), "UNKNOWN");
  await settle();
  const last = (pid: number) =>
    states.filter((state) => state.startsWith(`${pid} `)).at(-1);
  assertEquals([1, 2, 3].map(last), ["1 FAILED", "2 UNKNOWN", "3 UNKNOWN"]);
  assertEquals(manager.live, 0);
  assert(night.warnings.some((text) => text.includes("could not be ended")));
});

test("ProcessManager has what runs as long as it runs, and no longer", async () => {
  await using night = rig({ maxRunning: 3 });
  const { manager, pool } = night;
  pool.endsInit = false;
  for (let pid = 1; pid <= 3; pid++) {
    manager.create(script, init);
    await settle();
    assertEquals(manager.hasRunning(), false);
    pool.calls[0]?.end();
    await manager.run(pid, "main", { ...call, forceStart: true });
    assertEquals([manager.hasRunning(), manager.running], [true, 1]);
    assertEquals(manager.live, 1);
    if (pid === 1) await manager.stop(pid);
    else if (pid === 2) pool.calls[0]?.end();
    else pool.calls[0]?.fail(new Error("no guide star"));
    await settle();
    assertEquals([manager.hasRunning(), manager.running], [false, 0]);
    assertEquals([manager.live, pool.size], [0, 0]);
    assertEquals(manager.state(pid), undefined);
    await assertRejects(() => manager.stop(pid), ProcedureError, "not found");
  }
  assertEquals(
    night.states.filter((state) => /STOPPED|COMPLETE|FAILED/.test(state)),
    ["1 STOPPED", "2 COMPLETE", "3 FAILED"],
  );
});

test("ProcessManager gives a place back as soon as there is no such function", async () => {
  await using night = rig();
  const { pool, manager } = night;
  pool.endsInit = false;
  manager.create(script, init);
  const lost = assertRejects(
    () => manager.run(1, "nowhere", { ...call, forceStart: true }),
    ProcedureError,
    "has no function 'nowhere'",
  );
  assertEquals(manager.running, 1);
  await settle();
  assertEquals(manager.state(1), "INITIALISING");
  assertEquals(manager.running, 0);
  await assertRejects(
    () => manager.run(1, "nowhere", { ...call, forceStart: true }),
    ProcedureError,
    "has no function 'nowhere'",
  );
  const start = manager.run(1, "main", { ...call, forceStart: true });
  pool.calls[0]?.end();
  await start;
  await lost;
  assertEquals(manager.running, 1);
});

test("ProcessManager is not harmed by those who are told and throw", async () => {
  const clouds = new Error("clouds");
  const fail = () => {
    throw clouds;
  };
  await using night = rig({ onState: fail, onProcess: fail });
  const { pool, manager } = night;
  const { create } = pool;
  pool.create = (pid, script, options) => {
    options.onProcess?.(77);
    return create.call(pool, pid, script, options);
  };
  manager.create(script, init);
  await manager.run(1, "main", { ...call, forceStart: true });
  assertEquals(manager.state(1), "RUNNING");
  assertEquals(await manager.stop(1), "STOPPED");
  assertEquals(pool.size, 0);
  assert(night.warnings.includes("Whoever is told of PID #1 has thrown"));
});

test("ProcessManager begins no call of which nobody could be told", async () => {
  await using night = rig();
  const { pool, manager } = night;
  const fail = () => {
    throw new Error("clouds");
  };
  assertThrows(
    () => manager.create(script, { ...init, onNumber: fail }),
    Error,
    "clouds",
  );
  assertEquals(manager.live, 0);
  const pid = manager.create(script, init);
  await settle();
  for (const broken of [{ onCall: fail }, { context: fail }]) {
    await assertRejects(
      () => manager.run(pid, "main", { ...call, ...broken }),
      Error,
      "clouds",
    );
    assertEquals([manager.state(pid), manager.running], ["READY", 0]);
  }
  await manager.run(pid, "main", call);
  assertEquals(pool.calls.length, 1);
});
