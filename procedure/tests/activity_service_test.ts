// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import {
  ActivityService,
  type ActivitySummary,
  InMemoryProcedureStore,
  InMemorySchedulingBlockStore,
  isFinal,
  ProcedureError,
  procedureInput,
  type ProcedureState,
  type RunActivityCommand,
  type SchedulingBlockStore,
  ScriptExecutionService,
  TRANSITIONS,
} from "../mod.ts";
import { readActivity } from "../_client_wire.ts";
import { encodeActivity } from "../_procedure_json.ts";
import { FakePool, settle } from "./_fake_pool.ts";
import {
  FakeProcedures,
  type FakeProceduresOptions,
} from "./_fake_procedures.ts";
import { activity } from "./_procedure_stores.ts";

const OBSERVE = "file:///scripts/observe.ts";
const COMMAND: RunActivityCommand = { name: "observe", sbdId: "sbd-1" };

function block(
  id = "sbd-1",
): Parameters<InMemorySchedulingBlockStore["add"]>[0] {
  const script = { type: "filesystem", uri: OBSERVE } as const;
  const git = {
    type: "git",
    uri: "git://observe.ts",
    git: { repo: "https://example.org/scripts.git" },
    createEnv: false,
  } as const;
  return {
    id,
    version: 3,
    activities: {
      observe: {
        script,
        args: {
          init: procedureInput({ subarray_id: 1 }),
          main: procedureInput({ scans: 3, gain: 1 }, ["by place"]),
        },
      },
      remote: { script: git, args: {} },
      slow: {
        script: { ...script, uri: "file:///scripts/slow.ts" },
        args: {},
      },
    },
    content: { targets: ["Polaris"] },
  };
}

function setUp(
  options: FakeProceduresOptions = {},
  more: Partial<ConstructorParameters<typeof ActivityService>[0]> = {},
) {
  const procedures = new FakeProcedures({ epoch: 1_000, ...options });
  const blocks = new InMemorySchedulingBlockStore({
    definitions: [block()],
    newId: () => "sbi-1",
    now: procedures.now,
  });
  const { logger, errors } = silent();
  const store = new InMemoryProcedureStore();
  const service = new ActivityService({
    procedures,
    blocks,
    store,
    logger,
    now: procedures.now,
    ...more,
  });
  const topics: string[] = [];
  procedures.bus.onEvent(
    ["activity.*", "sb.*"],
    ({ topic }) => void topics.push(topic.replace(".lifecycle", "")),
  );
  return { procedures, blocks, store, service, errors, topics };
}

function silent() {
  const errors: string[] = [];
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (text: string) => void errors.push(text),
  };
  return { logger, errors };
}

const statesOf = ({ states }: ActivitySummary): string[] =>
  states.map(([state]) => state);

test("ActivityService runs an activity to its end", async () => {
  const { procedures, service, topics, errors, blocks } = setUp();
  const { clock } = procedures;
  const summary = await service.run(COMMAND);
  assertEquals(summary.id, 1);
  assertEquals(summary.procedureId, 1);
  assertEquals(summary.state, "REQUESTED");
  assertEquals((await blocks.instances())[0], {
    id: "sbi-1",
    sbdId: "sbd-1",
    sbdVersion: 3,
    activityName: "observe",
    time: 1_000,
  });
  await clock.runAll();
  const [end] = service.summarise([1]) as [ActivitySummary];
  assertEquals(end.states, [
    ["REQUESTED", 1_000],
    ["PREPARED", 1_050],
    ["RUNNING", 1_050],
    ["COMPLETE", 1_070],
  ]);
  assertEquals(procedures.asked, [`prepare ${OBSERVE}`, "start 1 main"]);
  assertEquals(topics, [
    "activity.statechange",
    "activity.statechange",
    "activity.statechange",
    "activity.running",
    "sb.started",
    "activity.statechange",
    "sb.finished.succeeded",
  ]);
  assertEquals(errors, []);
  await service.close();
});

test("ActivityService lays what the command says over the definition, name by name", async () => {
  const { procedures, service } = setUp();
  await service.run({
    ...COMMAND,
    args: {
      main: procedureInput({ gain: 2 }),
      calibrate: procedureInput({ all: true }, [1]),
    },
  });
  await procedures.clock.runAll();
  const args = {
    args: ["by place"],
    kwargs: {
      scans: 3,
      gain: 2,
      sb_json: '{"targets":["Polaris"]}',
      sbi_id: "sbi-1",
    },
  };
  assertEquals(
    procedures.prepared[0]?.initArgs,
    procedureInput({ subarray_id: 1 }),
  );
  assertEquals(procedures.starts, [{ pid: 1, fn: "main", args }]);
  assertEquals(service.summarise()[0]?.scriptArgs, {
    init: procedureInput({ subarray_id: 1 }),
    main: args,
    calibrate: procedureInput({ all: true }, [1]),
  });
  await service.close();
});

test("ActivityService gives main the definition where the block has no document", async () => {
  const { procedures, service, blocks } = setUp();
  const { content: _, ...definition } = block("sbd-2");
  blocks.add(definition);
  await service.run({ ...COMMAND, sbdId: "sbd-2" });
  await procedures.clock.runAll();
  const { sb_json } = procedures.starts[0]?.args?.kwargs ?? {};
  const document = JSON.parse(String(sb_json));
  assertEquals([document.sbd_id, document.version], ["sbd-2", 3]);
  assertEquals(document.activities.observe.script, {
    script_type: "filesystem",
    script_uri: OBSERVE,
  });
  await service.close();
});

test("ActivityService runs a script of a kind that only its loader knows", async () => {
  const { procedures, service, blocks } = setUp();
  const script = { type: "stored", uri: "observe" } as never;
  const activities = { observe: { script, args: {} } };
  blocks.add({ id: "sbd-2", version: 1, activities });
  const { procedureId } = await service.run({ ...COMMAND, sbdId: "sbd-2" });
  const { sb_json } = service.summarise()[0]?.scriptArgs.main?.kwargs ?? {};
  assertEquals(procedureId, 1);
  assertEquals(JSON.parse(String(sb_json)).activities.observe.script, {
    script_type: "stored",
    script_uri: "observe",
  });
  assertEquals(procedures.prepared[0]?.script, script);
  await service.close();
});

test("ActivityService makes no instance of what cannot run", async () => {
  const { procedures, service, blocks } = setUp();
  const args = { main: procedureInput({}, [1]) };
  for (
    const [command, code] of [
      [{ ...COMMAND, name: "toString" }, "activity-not-defined"],
      [{ ...COMMAND, name: "__proto__" }, "activity-not-defined"],
      [{ ...COMMAND, sbdId: "none" }, "scheduling-block-not-found"],
      [{ ...COMMAND, args }, "arguments-refused"],
    ] as const
  ) {
    const error = await assertRejects(
      () => service.run(command),
      ProcedureError,
    );
    assertEquals(error.code, code);
  }
  assertEquals(await blocks.instances(), []);
  assertEquals(service.summarise(), []);
  assertEquals(procedures.asked, []);
  await service.close();
});

test("ActivityService says which activity is not in the definition", async () => {
  const { service } = setUp();
  await assertRejects(
    () => service.run({ ...COMMAND, name: "nope" }),
    ProcedureError,
    "Activity 'nope' not present in the SBDefinition sbd-1",
  );
  await service.close();
});

test("ActivityService checks a command first", async () => {
  const { service } = setUp();
  for (
    const command of [
      null,
      { ...COMMAND, name: "" },
      { ...COMMAND, sbdId: 1 },
      { ...COMMAND, prepareOnly: "yes" },
      { ...COMMAND, args: { main: { gain: 1 } } },
      { ...COMMAND, args: [] },
    ]
  ) {
    await assertRejects(() => service.run(command as never), TypeError);
  }
  await service.close();
});

test("ActivityService installs what a script needs if the command says so", async () => {
  const { procedures, service } = setUp();
  await service.run({ ...COMMAND, name: "remote" });
  await service.run({ ...COMMAND, name: "remote", createEnv: true });
  await service.run({ ...COMMAND, createEnv: true });
  assertEquals(
    procedures.prepared.map(({ script }) =>
      script.type === "git" && script.createEnv
    ),
    [false, true, false],
  );
  await service.close();
});

test("ActivityService starts a script without an init once", async () => {
  const { procedures, service } = setUp({
    outcomes: { [OBSERVE]: { init: "none" } },
  });
  await service.run(COMMAND);
  await procedures.clock.runAll();
  assertEquals(procedures.starts.length, 1);
  assertEquals(service.summarise()[0]?.state, "COMPLETE");
  await service.close();
});

test("ActivityService keeps the first and the latest states of an activity, and says so", async () => {
  const { procedures, service, store } = setUp();
  await service.run({ ...COMMAND, prepareOnly: true });
  await procedures.clock.runAll();
  for (let count = 0; count < 150; count++) {
    await procedures.start({ pid: 1, fn: "calibrate" });
    await procedures.clock.runAll();
  }

  const [summary] = service.summarise() as [ActivitySummary];

  assertEquals(summary.states.length, 200);
  assertEquals(statesOf(summary).slice(0, 3), [
    "REQUESTED",
    "PREPARED",
    "RUNNING",
  ]);
  assertEquals(summary.droppedStates, 102);
  assertEquals(store.activities(), [summary]);
  const travelled = JSON.parse(
    JSON.stringify(encodeActivity(summary, "http://127.0.0.1/api/v1")),
  );
  const { uri: _, ...read } = readActivity(travelled);
  assertEquals(read, summary);
  await service.close();
});

test("ActivityService never starts what is only prepared, and follows it still", async () => {
  const { procedures, service, topics } = setUp();
  await service.run({ ...COMMAND, prepareOnly: true });
  await procedures.clock.runAll();
  assertEquals(procedures.starts, []);
  assertEquals(service.summarise()[0]?.state, "PREPARED");
  assertEquals(topics, [
    "activity.statechange",
    "activity.statechange",
    "activity.running",
  ]);
  await procedures.start({ pid: 1, fn: "calibrate" });
  await procedures.clock.runAll();
  assertEquals(service.summarise()[0]?.state, "PREPARED");
  await procedures.start({ pid: 1 });
  await procedures.clock.runAll();
  assertEquals(statesOf(service.summarise()[0] as ActivitySummary), [
    "REQUESTED",
    "PREPARED",
    "RUNNING",
    "PREPARED",
    "RUNNING",
    "COMPLETE",
  ]);
  assertEquals(topics.filter((topic) => topic.startsWith("sb.")), [
    "sb.started",
    "sb.finished.succeeded",
  ]);
  await service.close();
});

test("ActivityService tells that main failed, and that init did", async () => {
  for (const outcome of [{ main: "fail" }, { init: "fail" }] as const) {
    const { procedures, service, topics, errors } = setUp({
      outcomes: { [OBSERVE]: outcome },
    });
    await service.run(COMMAND);
    await procedures.clock.runAll();
    assertEquals(service.summarise()[0]?.state, "FAILED");
    assertEquals(topics.at(-1), "sb.finished.failed");
    assertEquals(procedures.starts.length, "main" in outcome ? 1 : 0);
    assertEquals(errors, []);
    await service.close();
  }
});

test("ActivityService takes a procedure that is UNKNOWN for one that failed", async () => {
  const { procedures, service } = setUp({
    outcomes: { [OBSERVE]: { main: "hang", stop: "UNKNOWN" } },
  });
  await service.run(COMMAND);
  await procedures.clock.runAll();
  await procedures.stop({ pid: 1 });
  assertEquals(service.summarise()[0]?.state, "FAILED");
  procedures.move(1, "STOPPED");
  assertEquals(service.summarise()[0]?.state, "FAILED");
  await service.close();
});

test("ActivityService remembers an activity whose procedure was refused", async () => {
  const refuse = new ProcedureError("script-refused", "Not this one");
  const { procedures, service, topics } = setUp({
    outcomes: { [OBSERVE]: { refuse } },
  });
  const error = await assertRejects(() => service.run(COMMAND), ProcedureError);
  assertEquals(error, refuse);
  const [summary] = service.summarise();
  assertEquals([summary?.state, summary?.procedureId], ["FAILED", null]);
  assertEquals(topics.at(-1), "sb.finished.failed");
  procedures[Symbol.dispose]();
  await service.close();
});

test("ActivityService fails an activity whose start fails, and stops its procedure", async () => {
  const { procedures, service, errors } = setUp({
    outcomes: { [OBSERVE]: { refuseStart: new Error("no such function") } },
  });
  await service.run(COMMAND);
  await procedures.clock.runAll();
  assertEquals(service.summarise()[0]?.state, "FAILED");
  assertEquals(procedures.get(1).state, "STOPPED");
  assertEquals(errors.length, 1);
  assertStringIncludes(errors[0] ?? "", "no such function");
  await service.close();
});

test("ActivityService waits while another procedure runs, in the order of READY", async () => {
  const { procedures, service, errors } = setUp({
    outcomes: { "file:///scripts/slow.ts": { main: "hang" } },
  });
  const { clock } = procedures;
  await service.run({ ...COMMAND, name: "slow" });
  await clock.advance(55);
  await service.run(COMMAND);
  await clock.advance(5);
  await service.run(COMMAND);
  await clock.runAll();
  const states = () => service.summarise().map(({ state }) => state);
  assertEquals(states(), ["RUNNING", "PREPARED", "PREPARED"]);
  await procedures.stop({ pid: 1 });
  await clock.runAll();
  assertEquals(states(), ["STOPPED", "COMPLETE", "COMPLETE"]);
  assertEquals(procedures.starts.map(({ pid }) => pid), [1, 2, 3]);
  assertEquals(errors, []);
  await service.close();
});

test("ActivityService lets a waiting activity be stopped, and be started by hand", async () => {
  const { procedures, service, errors } = setUp({
    outcomes: { "file:///scripts/slow.ts": { main: "hang" } },
    maxRunning: 1,
  });
  const { clock } = procedures;
  await service.run({ ...COMMAND, name: "slow" });
  await clock.runAll();
  await service.run(COMMAND);
  await service.run(COMMAND);
  await clock.runAll();
  await procedures.stop({ pid: 2 });
  await clock.runAll();
  const states = () => service.summarise().map(({ state }) => state);
  assertEquals(states(), ["RUNNING", "STOPPED", "PREPARED"]);
  const stop = procedures.stop({ pid: 1 });
  await stop.then(() => procedures.start({ pid: 3 }).catch(() => {}));
  await clock.runAll();
  assertEquals(states(), ["STOPPED", "STOPPED", "COMPLETE"]);
  assertEquals(procedures.starts.filter(({ pid }) => pid === 3).length, 1);
  assertEquals(errors, []);
  await service.close();
});

test("ActivityService ends a wait, not the activity, when the signal aborts", async () => {
  const { procedures, service } = setUp();
  const early = service.run(COMMAND, { signal: AbortSignal.abort("early") });
  assertEquals(await early.catch((reason) => reason), "early");
  assertEquals(service.summarise(), []);
  const controller = new AbortController();
  const run = service.run(COMMAND, { signal: controller.signal });
  while (service.summarise().length === 0) await Promise.resolve();
  controller.abort("enough");
  assertEquals(await run.catch((reason) => reason), "enough");
  await procedures.clock.runAll();
  assertEquals(service.summarise()[0]?.state, "COMPLETE");
  await service.close();
});

test("ActivityService leaves no listener when it is closed, and starts nothing more", async () => {
  const { procedures, service } = setUp();
  const before = procedures.bus.subscribers;
  await service.run(COMMAND);
  const late = service.run(COMMAND);
  await service.close();
  await service.close();
  assertEquals(procedures.bus.subscribers, before - 1);
  assertEquals((await late.catch((error) => error)).code, "closed");
  assertEquals(
    (await service.run(COMMAND).catch((error) => error)).code,
    "closed",
  );
  await procedures.clock.runAll();
  assertEquals(procedures.starts, []);
});

test("ActivityService does not wait for a store that never answers when it is closed", async () => {
  const blocks: SchedulingBlockStore = {
    getDefinition: () => new Promise(() => {}),
    addInstance: () => new Promise(() => {}),
    instances: () => Promise.resolve([]),
  };
  const { service } = setUp({}, { blocks });
  const run = service.run(COMMAND);
  await service.close();
  assertEquals((await run.catch((error) => error)).code, "closed");
});

test("ActivityService describes all, some, and none that it does not know", async () => {
  const { service } = setUp();
  assertEquals(service.summarise(), []);
  await service.run(COMMAND);
  await service.run(COMMAND);
  assertEquals(service.summarise([2, 1]).map(({ id }) => id), [2, 1]);
  assertEquals(service.summarise().map(({ id }) => id), [1, 2]);
  const error = assertThrows(() => service.summarise([1, 9]), ProcedureError);
  assertEquals([error.code, error.message], [
    "activity-not-found",
    "Activity IDs not found: 9",
  ]);
  await service.close();
});

test("ActivityService goes on with the activities of its store", async () => {
  const { procedures, service, store, blocks } = setUp();
  await service.run(COMMAND);
  await procedures.clock.advance(20);
  await service.close();
  store.saveActivity(activity(2, { procedureId: 77, state: "RUNNING" }));
  store.saveActivity(activity(3, { state: "COMPLETE" }));
  await procedures.clock.runAll();
  assertEquals(procedures.starts, []);
  await using next = new ActivityService({ procedures, blocks, store });
  await procedures.clock.runAll();
  assertEquals(next.summarise().map(({ state }) => state), [
    "COMPLETE",
    "FAILED",
    "COMPLETE",
  ]);
  assertEquals(procedures.starts.length, 1);
  assertEquals((await next.run(COMMAND)).id, 4);
});

test("ActivityService remembers so many activities, and all that have not ended", async () => {
  const { procedures, service, store } = setUp({}, { historyLimit: 2 });
  for (let count = 0; count < 3; count++) {
    await service.run(COMMAND);
    await procedures.clock.runAll();
  }
  assertEquals(service.summarise().map(({ id }) => id), [2, 3]);
  assertEquals(store.activities().map(({ id }) => id), [2, 3]);
  await service.run({ ...COMMAND, prepareOnly: true });
  await service.run({ ...COMMAND, prepareOnly: true });
  await service.run({ ...COMMAND, prepareOnly: true });
  assertEquals(service.summarise().map(({ id }) => id), [4, 5, 6]);
  await service.close();
});

test("ActivityService follows a procedure that was removed from the history", async () => {
  const { procedures, service } = setUp();
  await service.run({ ...COMMAND, prepareOnly: true });
  await procedures.clock.runAll();
  procedures.bus.publish("procedure.lifecycle.statechange", {
    pid: 1,
    state: "STOPPED",
    time: 2_000,
  });
  procedures.forget(1);
  assertEquals(service.summarise()[0]?.state, "STOPPED");
  await service.close();
});

test("ActivityService goes on when its store cannot keep anything", async () => {
  const store = new InMemoryProcedureStore();
  const { procedures, service, errors } = setUp({}, { store });
  store.close();
  await service.run(COMMAND);
  await procedures.clock.runAll();
  assertEquals(service.summarise()[0]?.state, "COMPLETE");
  assert(errors.length > 0);
  await service.close();
});

test("ActivityService takes no notice of events that the history has told already", async () => {
  const { procedures, service } = setUp({ step: 0 });
  const prepare = procedures.prepare.bind(procedures);
  procedures.prepare = async (command) => {
    const { id } = await prepare(command);
    for (
      const state of [
        "IDLE",
        "LOADING",
        "IDLE",
        "INITIALISING",
        "READY",
      ] as const
    ) procedures.move(id, state);
    return await procedures.start({ pid: id, fn: "calibrate" });
  };
  await service.run({ ...COMMAND, prepareOnly: true });
  for (const state of ["READY", "RUNNING"] as const) {
    procedures.bus.publish("procedure.lifecycle.statechange", {
      pid: 1,
      state,
      time: procedures.now(),
    });
  }
  const [summary] = service.summarise() as [ActivitySummary];
  assertEquals(statesOf(summary), ["REQUESTED", "PREPARED", "RUNNING"]);
  await service.close();
});

test("ActivityService tries again when another ends while a start is being refused", async () => {
  const { procedures, service } = setUp({
    outcomes: { "file:///scripts/slow.ts": { main: "hang" } },
  });
  const { clock } = procedures;
  await service.run({ ...COMMAND, name: "slow" });
  await clock.runAll();
  const start = procedures.start.bind(procedures);
  procedures.start = async (command, options) => {
    try {
      return await start(command, options);
    } catch (error) {
      // The other ends before the refusal arrives.
      if (procedures.get(1).state === "RUNNING") {
        await procedures.stop({ pid: 1 });
      }
      throw error;
    }
  };
  await service.run(COMMAND);
  await clock.runAll();
  assertEquals(service.summarise().map(({ state }) => state), [
    "STOPPED",
    "COMPLETE",
  ]);
  await service.close();
});

/** What an activity may do, whatever its procedure does. */
const ALLOWED: Record<string, readonly string[]> = {
  REQUESTED: ["PREPARED", "RUNNING", "COMPLETE", "FAILED", "STOPPED"],
  PREPARED: ["RUNNING", "COMPLETE", "FAILED", "STOPPED"],
  RUNNING: ["PREPARED", "COMPLETE", "FAILED", "STOPPED"],
};

type Action =
  | { run: boolean }
  | { pid: number; pick: number }
  | { hand: number; fn: string };

/** One of the states that may follow; seldom an end, or none would get far. */
function choose(
  state: ProcedureState,
  pick: number,
): ProcedureState | undefined {
  // A call begins with a start, and only then.
  const next = TRANSITIONS[state].filter((each) => each !== "RUNNING");
  const ends = next.filter(isFinal);
  const others = next.filter((each) => !isFinal(each));
  const from = pick < 18 && others.length > 0 ? others : ends;
  return from[pick % Math.max(1, from.length)];
}

const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.record({ run: fc.boolean() }) },
    {
      weight: 12,
      arbitrary: fc.record({
        pid: fc.integer({ min: 1, max: 4 }),
        pick: fc.integer({ min: 0, max: 19 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        hand: fc.integer({ min: 1, max: 4 }),
        fn: fc.constantFrom("main", "calibrate"),
      }),
    },
  ),
  { minLength: 5, maxLength: 120 },
);

test("ActivityService keeps the states of activities right, whatever procedures do", async () => {
  await fc.assert(
    fc.asyncProperty(actions, async (actions) => {
      const { procedures, service, errors, topics } = setUp({ step: 0 });
      for (const action of actions) {
        if ("run" in action) {
          await service.run({ ...COMMAND, prepareOnly: action.run });
        } else if ("hand" in action) {
          const { hand: pid, fn } = action;
          await procedures.start({ pid, fn }).catch(() => {});
        } else {
          const { pid, pick } = action;
          const [one] = procedures.summarise().filter(({ id }) => id === pid);
          const state = one && choose(one.state, pick);
          if (state === undefined) continue;
          procedures.move(pid, state);
        }
        await procedures.clock.advance(1);
      }
      const running = procedures.summarise().some(({ state }) =>
        state === "RUNNING"
      );
      for (const summary of service.summarise()) {
        const states = statesOf(summary);
        assertEquals(summary.state, states.at(-1));
        for (const [index, state] of states.entries()) {
          const next = states[index + 1];
          if (next === undefined) continue;
          assert(ALLOWED[state]?.includes(next), states.join(" "));
        }
        const procedure = procedures.get(summary.procedureId ?? 0);
        const calls = procedure.calls.filter(({ fn }) => fn === "main");
        const asked = procedures.asked.filter((text) =>
          text === `start ${procedure.id} main`
        );
        if (isFinal(procedure.state)) {
          const end = procedure.state === "UNKNOWN"
            ? "FAILED"
            : procedure.state;
          // One that was UNKNOWN may have ended otherwise since.
          const was = procedure.history.states.map(([state]) => state);
          assertEquals(
            summary.state,
            was.includes("UNKNOWN") ? "FAILED" : end,
          );
        } else if (procedure.state === "RUNNING") {
          assertEquals(summary.state, "RUNNING");
        } else if (procedure.state === "READY" && !summary.prepareOnly) {
          // It waits only as long as another runs.
          assert(calls.length > 0 || running, "nobody started it");
        }
        if (summary.prepareOnly) {
          const byHand = actions.filter((action) =>
            "hand" in action && action.fn === "main" &&
            action.hand === procedure.id
          );
          assert(asked.length <= byHand.length, "started by itself");
        }
      }
      const ended = service.summarise().filter(({ state }) =>
        ["COMPLETE", "FAILED", "STOPPED"].includes(state)
      );
      assertEquals(
        topics.filter((topic) => topic.startsWith("sb.finished")).length,
        ended.length,
      );
      assertEquals(errors, []);
      await service.close();
    }),
    { numRuns: 300 },
  );
});

test("ActivityService takes an activity whose procedure is being stopped for STOPPED", async () => {
  const pool = new FakePool();
  await using procedures = new ScriptExecutionService({ pool });
  const blocks = new InMemorySchedulingBlockStore({ definitions: [block()] });
  const { logger, errors } = silent();
  await using service = new ActivityService({ procedures, blocks, logger });
  await service.run(COMMAND);
  await service.run(COMMAND);
  await settle();
  const { promise, resolve } = Promise.withResolvers<"stopped">();
  pool.stops = (pid) => pid === 2 ? promise : Promise.resolve("stopped");
  const stop = procedures.stop({ pid: 2 });
  pool.calls[0]?.end();
  await procedures.waitForState(1, "COMPLETE");
  await settle();
  resolve("stopped");
  await stop;
  assertEquals(
    service.summarise().map(({ state }) => state),
    ["COMPLETE", "STOPPED"],
  );
  assertEquals(errors, []);
});

test("ActivityService takes nothing for new that it knew before", async () => {
  for (const prepareOnly of [false, true]) {
    const { procedures, service, store } = setUp();
    procedures.outcomes.set(OBSERVE, { main: "hang" });
    await service.run({ ...COMMAND, prepareOnly });
    await procedures.clock.runAll();
    if (prepareOnly) {
      await procedures.clock.advance(1_000);
      await procedures.start({ pid: 1, fn: "focus" });
    }
    const before = service.summarise();
    assertEquals(statesOf(before[0] as ActivitySummary), [
      "REQUESTED",
      "PREPARED",
      "RUNNING",
    ]);
    await service.close();
    await using next = new ActivityService({
      procedures,
      blocks: new InMemorySchedulingBlockStore(),
      store,
      now: procedures.now,
    });
    assertEquals(next.summarise(), before);
    await procedures.stop({ pid: 1 });
    assertEquals(next.summarise()[0]?.state, "STOPPED");
  }
});

test("ActivityService leaves an activity as it is that it was closed in the middle of", async () => {
  const { procedures, service, store, errors } = setUp();
  procedures.prepare = (_, { signal } = {}) =>
    new Promise((_, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason))
    );
  const running = assertRejects(() => service.run(COMMAND), ProcedureError);
  while (service.summarise().length === 0) await Promise.resolve();
  await service.close();
  await running;
  assertEquals(store.activities()[0]?.state, "REQUESTED");
  assertEquals(errors, []);
});

test("ActivityService tells of a procedure that was refused when nobody waited any more", async () => {
  const { procedures, service, errors } = setUp();
  const { promise, reject } = Promise.withResolvers<never>();
  procedures.prepare = () => promise;
  const controller = new AbortController();
  const running = service.run(COMMAND, controller);
  while (service.summarise().length === 0) await Promise.resolve();
  controller.abort(new Error("dawn"));
  await assertRejects(() => running, Error, "dawn");
  reject(new Error("no room"));
  await settle();
  assertEquals(service.summarise()[0]?.state, "FAILED");
  assertEquals(errors, ["Activity 1 'observe' has failed: Error: no room"]);
  await service.close();
});

test("ActivityService tells once that what is only prepared is ready", async () => {
  const { procedures, service, topics } = setUp();
  await service.run({ ...COMMAND, prepareOnly: true });
  await procedures.clock.runAll();
  for (let count = 0; count < 2; count++) {
    await procedures.start({ pid: 1, fn: "focus" });
    await procedures.clock.runAll();
  }
  const [summary] = service.summarise() as [ActivitySummary];
  assertEquals(statesOf(summary).slice(1), [
    "PREPARED",
    "RUNNING",
    "PREPARED",
    "RUNNING",
    "PREPARED",
  ]);
  assertEquals(topics.filter((topic) => topic === "sb.started").length, 1);
  assertEquals(
    topics.filter((topic) => topic === "activity.running").length,
    2,
  );
  await service.close();
});

test("ActivityService leaves a procedure alone that somebody else has started", async () => {
  const { procedures, service, errors } = setUp();
  procedures.outcomes.set(OBSERVE, { main: "hang" });
  const { start } = procedures;
  procedures.start = async (command, options) => {
    await start.call(procedures, command, options);
    throw new ProcedureError("invalid-state", "PID #1 unrunnable");
  };
  await service.run(COMMAND);
  await procedures.clock.runAll();
  assertEquals(service.summarise()[0]?.state, "RUNNING");
  assertEquals(errors, []);
  assertEquals(procedures.stops, []);
  await service.close();
});
