// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { sleep } from "../cancellation.ts";
import { DeviceError, ResultCode } from "../device_proxy.ts";
import {
  LrcDevice,
  type LrcExecution,
  type QuickExecution,
} from "../lrc_device.ts";
import { ManualClock } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import {
  ALL,
  collect,
  EPOCH,
  eventsOf,
  FIRST,
  Held,
  LrcRig,
  nameOf,
  reasonsOf,
  turnOn,
  valuesOf,
} from "./_lrc_device_rig.ts";
import { RecordingLogger } from "./_recording_logger.ts";

// What a client sees of one command.

test("LrcDevice tells which protocols it speaks, without events of it, and has only their attributes", async () => {
  await using both = new LrcRig({ commands: {} });
  assertEquals(await both.read("lrcProtocolVersions"), [1, 2]);
  assertEquals(await both.device.attributeNames(), [
    "lrcProtocolVersions",
    "_lrcEvent",
    "longRunningCommandStatus",
    "longRunningCommandProgress",
    "longRunningCommandResult",
    "longRunningCommandsInQueue",
    "longRunningCommandIDsInQueue",
    "longRunningCommandInProgress",
    "lrcQueue",
    "lrcExecuting",
    "lrcFinished",
  ]);
  assertEquals(
    await reasonsOf(both.device.subscribe("lrcProtocolVersions")),
    ["API_AttributePollingNotStarted"],
  );

  await using old = new LrcRig({ commands: {}, protocolVersions: [1, 1] });
  assertEquals(await old.read("lrcProtocolVersions"), [1, 1]);
  assertEquals(await reasonsOf(old.device.subscribe("_lrcEvent")), [
    "API_AttrNotFound",
  ]);

  for (const versions of [[2, 2], [2, 3], [3, 4]] as const) {
    await using later = new LrcRig({
      commands: {},
      protocolVersions: versions,
    });
    const names = await later.device.attributeNames();
    assert(!names.some((name) => name.startsWith("longRunning")));
    assertEquals(names.includes("_lrcEvent"), versions[0] === 2);
    assert(names.includes("lrcFinished"));
  }
});

test("LrcDevice begins with empty attributes", async () => {
  await using rig = new LrcRig({ commands: {} });
  const values = await rig.device.readAttributes(ALL);
  assertEquals(values, [[], [], ["", ""], [], [], [], [], [], [], []]);
});

test("LrcDevice makes ids of the time, 48 random bits and the name", async () => {
  await using rig = new LrcRig({
    commands: { Move_Stage: () => {} },
    maxQueued: 5,
  });
  await rig.pass(1234.5);
  const ids = new Set<string>();
  for (let count = 0; count < 5; count++) {
    const [code, id] = await rig.ask("move_stage");
    assertEquals(code, ResultCode.QUEUED);
    assertMatch(id, /^[0-9.]+_[0-9]+_Move_Stage$/);
    const [time, random] = id.split("_");
    assertEquals(Number(time), (EPOCH + 1234.5) / 1000);
    assert(Number(random) < 2 ** 48);
    ids.add(id);
  }
  assertEquals(ids.size, 5);
});

test("LrcDevice on the system clock makes ids of the time of day", async () => {
  await using device = new LrcDevice({
    name: "test/lrc/2",
    commands: { On: () => {} },
  });
  const answer = await device.command("On") as [[number], [string]];
  const seconds = Number(answer[1][0].split("_")[0]);
  assert(Math.abs(seconds - Date.now() / 1000) < 10);
});

test("LrcDevice tells of a command in order: the second protocol", async () => {
  await using rig = new LrcRig({ commands: { On: turnOn } });
  await rig.watch("_lrcEvent");
  assertEquals((await rig.ask("On"))[0], ResultCode.QUEUED);
  await rig.pass(200);
  assertEquals(eventsOf(rig.take()), [
    ["On", { status: 0 }],
    ["On", { status: 1 }],
    ["On", { status: 2 }],
    ["On", { progress: 33 }],
    ["On", { progress: 66 }],
    ["On", { status: 5, result: [0, "On command completed OK"] }],
  ]);
  assertEquals(await rig.read("_lrcEvent"), []);
});

test("LrcDevice tells of a command in order: the first protocol has the result before the status", async () => {
  await using rig = new LrcRig({ commands: { On: turnOn } });
  await rig.watch(...FIRST, "longRunningCommandInProgress");
  await rig.ask("On");
  await rig.pass(199);
  assertEquals(rig.takeByAttribute(), {
    longRunningCommandStatus: [
      ["On", "STAGING"],
      ["On", "QUEUED"],
      ["On", "IN_PROGRESS"],
    ],
    longRunningCommandInProgress: [["On"]],
    longRunningCommandProgress: [["On", "33"], ["On", "66"]],
  });
  await rig.pass(1);
  assertEquals(rig.take(), [
    ["longRunningCommandResult", ["On", '[0,"On command completed OK"]']],
    ["longRunningCommandStatus", ["On", "COMPLETED"]],
    ["longRunningCommandInProgress", []],
  ]);
});

test("LrcDevice tells of commands in the lists of the queue", async () => {
  await using rig = new LrcRig({ commands: { On: turnOn } });
  await rig.watch("longRunningCommandsInQueue", "longRunningCommandIDsInQueue");
  const [, id] = await rig.ask("On");
  await rig.pass(200);
  assertEquals(rig.take(), [
    ["longRunningCommandsInQueue", ["On"]],
    ["longRunningCommandIDsInQueue", ["On"]],
  ]);
  assertEquals(await rig.read("longRunningCommandsInQueue"), ["On"]);
  assertEquals(await rig.read("longRunningCommandIDsInQueue"), [id]);
});

test("LrcDevice tells what happens in tables of JSON", async () => {
  await using rig = new LrcRig({ commands: { On: turnOn } });
  await rig.watch("lrcQueue", "lrcExecuting", "lrcFinished");
  await rig.pass(1000);
  const [, uid] = await rig.ask("On");
  await rig.pass(200);
  const lines = rig.take().map(([attribute, rows]) => [
    attribute,
    (rows as string[]).map((row) => JSON.parse(row)),
  ]);
  const row = {
    uid,
    name: "On",
    submitted_time: "2026-01-31T22:00:01.000Z",
  };
  const started = { ...row, started_time: "2026-01-31T22:00:01.000Z" };
  assertEquals(lines, [
    ["lrcQueue", [row]],
    ["lrcQueue", []],
    ["lrcExecuting", [started]],
    ["lrcExecuting", [{ ...started, progress: 33 }]],
    ["lrcExecuting", [{ ...started, progress: 66 }]],
    ["lrcExecuting", []],
    ["lrcFinished", [{
      ...started,
      finished_time: "2026-01-31T22:00:01.200Z",
      status: "COMPLETED",
      result: [0, "On command completed OK"],
    }]],
  ]);
});

test("LrcDevice tells of events before it answers", async () => {
  await using rig = new LrcRig({ commands: { On: turnOn } });
  const subscription = await rig.device.subscribe("_lrcEvent");
  await subscription.next();
  const order: string[] = [];
  const event = subscription.next().then(() => order.push("event"));
  const answer = rig.ask("On").then(() => order.push("answer"));
  await Promise.all([event, answer]);
  assertEquals(order, ["event", "answer"]);
});

test("LrcDevice rejects what a command refuses, and tells why", async () => {
  let isOn = false;
  await using rig = new LrcRig({
    commands: {
      On: {
        refuse: () => isOn ? "Device is already in ON state." : undefined,
        execute: () => {
          isOn = true;
        },
      },
    },
  });
  await rig.ask("On");
  await rig.pass();
  await rig.watch("_lrcEvent", "longRunningCommandInProgress", "lrcQueue");
  const answer = await rig.device.command("On");
  assertEquals(answer, [[5], ["Device is already in ON state."]]);
  await rig.pass();
  assertEquals(eventsOf(rig.take()), [
    ["On", { status: 0 }],
    ["On", { status: 6, result: [5, "Device is already in ON state."] }],
  ]);
});

// How commands end.

test("LrcDevice lets a command fail with what it throws, and reports the error", async () => {
  await using rig = new LrcRig({
    commands: {
      Late: async ({ sleep }) => {
        await sleep(10);
        throw new Error("no motor");
      },
      Early: () => {
        throw "no power";
      },
    },
  });
  await rig.watch("_lrcEvent");
  await rig.ask("Late");
  await rig.ask("Early");
  await rig.pass(10);
  assertEquals(eventsOf(rig.take()).slice(-2), [
    ["Early", { status: 2 }],
    ["Early", {
      status: 7,
      result: [3, "Unhandled exception during execution: no power"],
    }],
  ]);
  const [late] = await rig.rows("lrcFinished");
  assertEquals(late?.status, "FAILED");
  assertEquals(late?.result, [
    3,
    "Unhandled exception during execution: no motor",
  ]);
  assertEquals(rig.logger.of("error"), [
    "error Command 'Late' has failed: Error: no motor",
    "error Command 'Early' has failed: no power",
  ]);
});

test("LrcDevice rejects a command that is not allowed when its turn has come, without having begun it", async () => {
  let executed = 0;
  const execute = () => executed++;
  await using rig = new LrcRig({
    commands: {
      Forbidden: { execute, isAllowed: () => false },
      Throws: {
        execute,
        isAllowed: () => {
          throw new Error("interlock unknown");
        },
      },
      Odd: { execute, isAllowed: (() => "yes") as unknown as () => boolean },
      AtOnce: { execute, isAllowed: () => false, immediate: true },
    },
  });
  await rig.watch("_lrcEvent");
  for (const name of ["Forbidden", "Throws", "Odd"]) {
    assertEquals((await rig.ask(name))[0], ResultCode.QUEUED);
    await rig.pass();
  }
  assertEquals(await rig.ask("AtOnce"), [5, "Command is not allowed"]);
  await rig.pass();
  const threw = "Exception from 'is_cmd_allowed' method: ";
  assertEquals(eventsOf(rig.take()), [
    ["Forbidden", { status: 0 }],
    ["Forbidden", { status: 1 }],
    ["Forbidden", { status: 6, result: [6, "Command is not allowed"] }],
    ["Throws", { status: 0 }],
    ["Throws", { status: 1 }],
    ["Throws", { status: 6, result: [5, `${threw}interlock unknown`] }],
    ["Odd", { status: 0 }],
    ["Odd", { status: 1 }],
    ["Odd", { status: 6, result: [5, `${threw}it gave yes, no boolean`] }],
    ["AtOnce", { status: 0 }],
    ["AtOnce", { status: 6, result: [6, "Command is not allowed"] }],
  ]);
  assertEquals(executed, 0);
  assertEquals(rig.logger.of("error").length, 2);
});

test("LrcDevice passes on a progress that is no integer, with one warning, and needs no result", async () => {
  await using rig = new LrcRig({
    commands: {
      On: ({ progress }) => {
        (progress as (value: unknown) => void)("halfway");
        progress(33.5);
        (progress as (value: unknown) => void)(undefined);
      },
    },
  });
  await rig.watch("_lrcEvent", "longRunningCommandProgress");
  await rig.ask("On");
  await rig.pass();
  assertEquals(
    rig.take().filter(([name]) => name === "longRunningCommandProgress"),
    ["halfway", "33.5", "undefined"].map((progress) => [
      "longRunningCommandProgress",
      ["On", progress],
    ]),
  );
  const [finished] = await rig.rows("lrcFinished");
  assertEquals(finished?.status, "COMPLETED");
  assert(finished !== undefined && !("result" in finished));
  assertEquals(rig.logger.of("warn"), [
    "warn Command 'On' told a progress that is not an integer",
  ]);
});

test("LrcDevice sends a result that is no JSON as text, with a warning", async () => {
  const circle: unknown[] = [];
  circle.push(circle);
  const results: [unknown, unknown][] = [
    [123n, "123"],
    [circle, ""],
    [Symbol("done"), "Symbol(done)"],
    [{
      toJSON: () => {
        throw new Error("no");
      },
    }, "[object Object]"],
    [
      {
        toJSON: () => 1n,
        toString: () => {
          throw new Error("no");
        },
      },
      "something that cannot be shown (object)",
    ],
  ];
  for (const [result, text] of results) {
    await using rig = new LrcRig({ commands: { On: () => result } });
    await rig.ask("On");
    await rig.pass();
    const [finished] = await rig.rows("lrcFinished");
    assertEquals(finished?.status, "COMPLETED");
    assertEquals(finished?.result, text);
    assertEquals(rig.logger.of("warn"), [
      "warn Command 'On' gave a result that is no JSON",
    ]);
  }
});

test("LrcDevice takes any JSON for a result, null too, as it was when it came", async () => {
  const result = { images: [1, 2], flux: new Float64Array([0.5, 1]) };
  await using rig = new LrcRig({
    commands: { Expose: () => result, Wait: () => null },
  });
  await rig.ask("Expose");
  await rig.pass();
  result.images.push(3);
  await rig.ask("Wait");
  await rig.pass();
  const [expose, wait] = await rig.rows("lrcFinished");
  assertEquals(expose?.result, { images: [1, 2], flux: [0.5, 1] });
  assertEquals(wait?.result, null);
  const [, json] = await rig.read("longRunningCommandResult") as string[];
  assertEquals(json, "null");
  assertEquals(rig.logger.lines, []);
});

// Asking.

test("LrcDevice does not know other commands, and makes arguments before there is a command", async () => {
  const seen: unknown[] = [];
  await using rig = new LrcRig({
    commands: {
      Move: {
        parse: (argument: unknown): number => {
          if (typeof argument === "number") return argument * 2;
          throw new TypeError("a number is needed");
        },
        isAllowed: (argument) => argument > 0,
        execute: ({ argument }) => seen.push(argument),
      },
      Refuse: {
        refuse: () => {
          throw new Error("the door is stuck");
        },
        execute: () => {},
      },
      Plain: ({ argument }: LrcExecution<string>) => seen.push(argument),
    },
  });
  assertEquals(await reasonsOf(rig.device.command("Dummy", 1)), [
    "API_CommandNotFound",
    "API_CommandFailed",
  ]);
  const wrong = await assertRejects(
    () => rig.device.command("Move", "far"),
    DeviceError,
    "a number is needed",
  );
  assertEquals(wrong.errors[0]?.reason, "API_IncompatibleCmdArgumentType");
  assertInstanceOf(wrong.cause, TypeError);
  await assertRejects(
    () => rig.device.command("Refuse"),
    DeviceError,
    "API_CommandFailed: the door is stuck",
  );
  assertEquals(await rig.read("longRunningCommandStatus"), []);
  await rig.ask("MOVE", 4);
  await rig.ask("plain", "text");
  await rig.pass();
  assertEquals(seen, [8, "text"]);
});

test("LrcDevice has quick commands, whose callers wait for what they return", async () => {
  let heard: unknown;
  await using rig = new LrcRig({
    commands: {
      Double: {
        answer: ({ argument }: QuickExecution<number>) => argument * 2,
      },
      Fail: { answer: () => Promise.reject(new Error("no answer")) },
      Own: {
        answer: () => {
          throw new DeviceError([]);
        },
      },
      Hang: {
        answer: ({ signal }) =>
          new Promise(() => {
            signal.addEventListener("abort", () => heard = signal.reason);
          }),
      },
    },
  });
  const { device } = rig;
  const controller = new CountingController();
  const { signal } = controller;
  assertEquals(await device.command("Double", 4, { signal }), 8);
  assertEquals(controller.listeners, 0);
  const failed = await assertRejects(
    () => device.command("Fail"),
    DeviceError,
    "API_CommandFailed: no answer",
  );
  assertInstanceOf(failed.cause, Error);
  const own = await assertRejects(() => device.command("Own"), DeviceError);
  assertEquals(own.errors, []);

  const hanging = device.command("Hang", undefined, { signal });
  controller.abort("enough");
  assertEquals(await hanging.catch((reason) => reason), "enough");
  assertEquals(heard, "enough");
  assertEquals(controller.listeners, 0);

  const stopped = reasonsOf(device.command("Hang"));
  await device.stop();
  assertEquals(await stopped, ["API_DeviceNotExported"]);
});

test("LrcDevice calls what a command consists of as methods of it", async () => {
  class Stage {
    position = 0;
    parse(argument: unknown): number {
      return Number(argument) + this.position;
    }
    isAllowed(argument: number): boolean {
      return argument < 10 && this.position === 0;
    }
    execute({ argument }: LrcExecution<number>): void {
      this.position = argument;
    }
  }
  const stage = new Stage();
  await using rig = new LrcRig({ commands: { Move: stage } });
  await rig.ask("Move", "4");
  await rig.pass();
  assertEquals(stage.position, 4);
});

// The queue.

test("LrcDevice executes one after the other by default, and rejects what does not fit into the queue", async () => {
  const held = new Held();
  await using rig = new LrcRig({ commands: { Scan: held.execute } });
  const ids: string[] = [];
  for (let count = 0; count < 33; count++) {
    const [code, id] = await rig.ask("Scan");
    assertEquals(code, ResultCode.QUEUED);
    ids.push(id);
  }
  assertEquals(await rig.ask("Scan"), [
    5,
    "The queue is full: it holds 32 commands",
  ]);
  assertEquals([rig.device.queued, rig.device.executing], [32, 1]);
  assertEquals((await rig.rows("lrcQueue")).length, 32);
  for (const id of ids) {
    await rig.pass();
    assertEquals(held.last.execution.id, id);
    held.last.end();
  }
  await rig.pass();
  assertEquals(held.calls.length, 33);
  assertEquals([rig.device.queued, rig.device.executing], [0, 0]);
});

test("LrcDevice with more places executes side by side, and without a queue takes only what it can execute", async () => {
  const held = new Held();
  await using rig = new LrcRig({
    commands: { Scan: held.execute },
    maxExecuting: 4,
    maxQueued: 0,
  });
  for (let count = 0; count < 3; count++) await rig.ask("Scan");
  await rig.pass();
  assertEquals([held.calls.length, rig.device.executing], [3, 3]);
  assertEquals((await rig.ask("Scan"))[0], ResultCode.REJECTED);
  assertEquals(
    await rig.read("longRunningCommandInProgress"),
    ["Scan", "Scan", "Scan"],
  );
  held.calls[1]?.end();
  await rig.pass();
  assertEquals((await rig.ask("Scan"))[0], ResultCode.QUEUED);
});

test("LrcDevice executes an immediate command at once or not at all", async () => {
  const held = new Held();
  await using rig = new LrcRig({
    commands: {
      Scan: held.execute,
      Stop: { execute: held.execute, immediate: true },
    },
    maxExecuting: 3,
  });
  await rig.watch("_lrcEvent");
  assertEquals((await rig.ask("Stop"))[0], ResultCode.STARTED);
  await rig.pass();
  assertEquals(eventsOf(rig.take()), [
    ["Stop", { status: 0 }],
    ["Stop", { status: 2 }],
  ]);
  await rig.ask("Scan");
  assertEquals(await rig.ask("Stop"), [
    5,
    "2 commands are being executed, no more can",
  ]);
  assertEquals(rig.device.queued, 0);
});

test("LrcDevice may be asked by its own commands", async () => {
  const answers: unknown[] = [];
  const rig: LrcRig<Record<string, unknown>, object> = new LrcRig({
    commands: {
      Outer: {
        isAllowed: () => true,
        execute: async () => {
          answers.push((await rig.ask("Inner"))[0]);
        },
      },
      Inner: () => answers.push("inner"),
      Panic: {
        isAllowed: () => {
          rig.device.command("AbortCommands");
          return true;
        },
        execute: () => answers.push("never"),
      },
    },
  });
  await using _rig = rig;
  await rig.ask("Outer");
  await rig.pass();
  assertEquals(answers, [ResultCode.QUEUED, "inner"]);
  const [, panic] = await rig.ask("Panic");
  await rig.pass();
  assertEquals(await rig.statusOf(panic), "ABORTED");
  assertEquals(answers.length, 2);
});

// What is remembered.

test("LrcDevice shows at most 66 commands in the lists of the first protocol, the oldest finished ones go", async () => {
  await using rig = new LrcRig({ commands: { On: () => {} } });
  const ids: string[] = [];
  for (let count = 0; count < 74; count++) {
    const [, id] = await rig.ask("On");
    ids.push(id);
    if (count % 30 === 0) await rig.pass();
  }
  await rig.pass();
  const shown = await rig.read("longRunningCommandIDsInQueue");
  assertEquals(shown, ids.slice(8));
  const statuses = await rig.read("longRunningCommandStatus") as string[];
  assertEquals(statuses.length, 132);
  assertEquals(await rig.statusOf(ids[0] ?? ""), "COMPLETED");
});

test("LrcDevice removes what has finished from the lists of the first protocol after a time", async () => {
  await using rig = new LrcRig({
    commands: { On: () => {} },
    removalTime: 100,
    retention: 2,
  });
  const ids: string[] = [];
  for (let count = 0; count < 3; count++) {
    ids.push((await rig.ask("On"))[1]);
    await rig.pass(40);
  }
  await rig.watch(
    "longRunningCommandIDsInQueue",
    "longRunningCommandStatus",
  );
  const seen: unknown[] = [];
  for (let count = 0; count < 4; count++) {
    const shown = await rig.read("longRunningCommandIDsInQueue") as string[];
    seen.push(shown.map((id) => ids.indexOf(id)));
    await rig.pass(40);
  }
  // Removed at 100, 140 and 180 ms; the first one at 100, before the watch.
  assertEquals(seen, [[1, 2], [2], [], []]);
  assertEquals(rig.take(), [
    ["longRunningCommandIDsInQueue", ["On"]],
    ["longRunningCommandStatus", ["On", "COMPLETED"]],
    ["longRunningCommandIDsInQueue", []],
    ["longRunningCommandStatus", []],
  ]);
  assertEquals(rig.timers.timers, 0);
  assertEquals(await Promise.all(ids.map((id) => rig.statusOf(id))), [
    "NOT_FOUND",
    "COMPLETED",
    "COMPLETED",
  ]);
  const [, last] = await rig.read("longRunningCommandResult") as string[];
  assertEquals(last, "");
});

test("LrcDevice remembers the last commands, and a flood of refused requests does not push out results", async () => {
  const held = new Held();
  await using rig = new LrcRig({
    commands: { Scan: held.execute, Count: () => [0, "Counted"] },
    maxQueued: 0,
    retention: 3,
  });
  const ids: string[] = [];
  for (let count = 0; count < 2; count++) {
    ids.push((await rig.ask("Count"))[1]);
    await rig.pass();
  }
  const [, scan] = await rig.ask("Scan");
  for (let count = 0; count < 50; count++) await rig.ask("Count");
  let names = (await rig.rows("lrcFinished")).map(({ status }) => status);
  assertEquals(names, ["COMPLETED", "COMPLETED", "REJECTED"]);
  held.last.end();
  await rig.pass();
  names = (await rig.rows("lrcFinished")).map(({ status }) => status);
  assertEquals(names, ["COMPLETED", "COMPLETED", "COMPLETED"]);
  await rig.ask("Count");
  await rig.pass();
  assertEquals(await rig.statusOf(ids[0] ?? ""), "NOT_FOUND");
  assertEquals(await rig.statusOf(scan), "COMPLETED");
  await assertRejects(
    () => rig.device.command("CheckLongRunningCommandStatus", 7),
    DeviceError,
    "API_IncompatibleCmdArgumentType",
  );
});

test("LrcDevice is no larger after ten thousand commands", async () => {
  await using rig = new LrcRig({ commands: { On: () => [0, "OK"] } });
  for (let count = 0; count < 10_000; count++) {
    rig.device.command("On");
    if (count % 20 === 0) await rig.pass();
  }
  await rig.pass();
  assertEquals((await rig.rows("lrcFinished")).length, 100);
  const statuses = await rig.read("longRunningCommandStatus") as string[];
  assertEquals(statuses.length, 132);
  assertEquals(rig.timers.timers, 1);
  await rig.pass(10_000);
  assertEquals(await rig.read("longRunningCommandStatus"), []);
  assertEquals(rig.timers.timers, 0);
});

// Attributes and subscriptions.

test("LrcDevice has attributes of its own, and tells of other values", async () => {
  await using rig = new LrcRig({
    commands: {},
    attributes: { obsState: "EMPTY", Position: 0 },
  });
  const { device } = rig;
  const events = collect(await device.subscribe("OBSSTATE"));
  device.setAttribute("obsState", "RESOURCING");
  device.setAttribute("obsState", "RESOURCING");
  device.setAttribute("obsState", "IDLE");
  device.setAttribute("Position", NaN);
  device.setAttribute("Position", NaN);
  await rig.pass();
  assertEquals(events, [
    { attribute: "OBSSTATE", value: "EMPTY" },
    { attribute: "obsstate", value: "RESOURCING" },
    { attribute: "obsstate", value: "IDLE" },
  ]);
  assertEquals(device.getAttribute("obsState"), "IDLE");
  assertEquals(
    await device.readAttributes(["position", "obsstate", "lrcqueue"]),
    [NaN, "IDLE", []],
  );
  assertEquals(
    await reasonsOf(device.readAttributes(["position", "velocity"])),
    ["API_AttrNotFound"],
  );
  for (const name of ["velocity", "position", "lrcQueue"]) {
    assertThrows(
      () => device.setAttribute(name as "Position", 1),
      Error,
      `Cannot set attribute '${name}' as there is none`,
    );
  }
  assertThrows(() => device.getAttribute("lrcQueue" as "Position"), Error);
});

test("LrcDevice ends a subscription when it is left, and when its signal aborts", async () => {
  await using rig = new LrcRig({ commands: {}, attributes: { angle: 0 } });
  const { device } = rig;
  const left = await device.subscribe("angle");
  device.setAttribute("angle", 1);
  assertEquals((await left.next()).value, { attribute: "angle", value: 0 });
  assertEquals(device.subscriptions, 1);
  await left.return();
  assertEquals((await left.next()).done, true);
  assertEquals(device.subscriptions, 0);

  const controller = new CountingController();
  const { signal } = controller;
  const aborted = await device.subscribe("angle", { signal });
  assertEquals((await aborted.next()).value, { attribute: "angle", value: 1 });
  const next = aborted.next();
  controller.abort("enough");
  assertEquals(await next.catch((reason) => reason), "enough");
  assertEquals((await aborted.next()).done, true);
  assertEquals(controller.listeners, 0);

  for (
    const call of [
      () => device.subscribe("angle", { signal }),
      () => device.command("Abort", undefined, { signal }),
      () => device.readAttributes(["angle"], { signal }),
      () => device.attributeNames({ signal }),
    ]
  ) {
    assertEquals(await call().catch((reason) => reason), "enough");
  }
  assertEquals(device.executing, 0);
});

test("LrcDevice tells a subscriber that was too slow that events were dropped", async () => {
  await using rig = new LrcRig({
    commands: {},
    attributes: { angle: 0 },
    eventCapacity: 3,
  });
  const { device } = rig;
  const slow = await device.subscribe("angle");
  for (let angle = 1; angle <= 9; angle++) device.setAttribute("angle", angle);
  const events = collect(slow);
  await rig.pass();
  assertEquals(valuesOf(events), ["API_MissedEvents", 7, 8, 9]);
  device.setAttribute("angle", 10);
  await rig.pass();
  assertEquals(valuesOf(events).slice(4), [10]);

  const left = await device.subscribe("angle");
  for (let angle = 1; angle <= 9; angle++) device.setAttribute("angle", angle);
  await left.return();
  assertEquals((await left.next()).done, true);
});

test("LrcDevice gives equal events to all subscribers", async () => {
  await using rig = new LrcRig({ commands: { On: turnOn } });
  const all = [];
  for (let count = 0; count < 3; count++) {
    all.push(collect(await rig.device.subscribe("_lrcevent")));
  }
  await rig.ask("On");
  await rig.pass(200);
  assertEquals(all[0]?.length, 7);
  assertEquals(all[1], all[0]);
  assertEquals(all[2], all[0]);
});

// The rest.

test("LrcDevice is not kept from its work by a logger that throws", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  logger.error = () => {
    throw new Error("disk full");
  };
  const consoleError = console.error;
  const lines: unknown[] = [];
  console.error = (...line: unknown[]) => lines.push(line);
  try {
    await using device = new LrcDevice({
      name: "test/lrc/2",
      clock,
      logger,
      commands: { Fail: () => Promise.reject(new Error("no")) },
    });
    await device.command("Fail");
    await clock.advance(0);
    const [rows] = await device.readAttributes(["lrcFinished"]);
    assertEquals((rows as string[]).length, 1);
    assertEquals(lines.length, 1);
  } finally {
    console.error = consoleError;
  }
});

test("LrcDevice gives commands a signal, a logger and a sleep on its clock", async () => {
  const seen: unknown[] = [];
  await using rig = new LrcRig({
    commands: {
      Nap: async ({ id, argument, signal, logger, sleep: nap }) => {
        seen.push(nameOf(id), argument, signal.aborted);
        logger.info("good night");
        await nap(100);
        seen.push("woken");
        await sleep(Infinity, { signal });
      },
    },
  });
  const [, id] = await rig.ask("Nap", { deep: true });
  await rig.pass(100);
  assertEquals(seen, ["Nap", { deep: true }, false, "woken"]);
  assertEquals(rig.logger.lines, ["info good night"]);
  await rig.ask("Abort");
  await rig.pass();
  assertEquals(await rig.statusOf(id), "ABORTED");
});

// At the door.

test("LrcDevice lists its commands, and those that every device has", async () => {
  await using rig = new LrcRig({ commands: { On: () => {}, Off: () => {} } });
  assertEquals(rig.device.commands, [
    "On",
    "Off",
    "Abort",
    "AbortCommands",
    "CheckLongRunningCommandStatus",
  ]);
});

test("LrcDevice checks its options", () => {
  const make = (options: object) => () =>
    new LrcDevice({ name: "test/lrc/2", commands: {}, ...options });
  const execute = () => {};
  const wrong: [object, typeof TypeError | typeof RangeError, string][] = [
    [{ name: "" }, TypeError, "'name' must be a string that is not empty"],
    [{ name: 7 }, TypeError, "'name' must be a string"],
    [{ commands: undefined }, TypeError, "'commands' must be an object"],
    [{ commands: { On: 7 } }, TypeError, "'commands.On' must be a function"],
    [{ commands: { On: {} } }, TypeError, "either 'execute' or 'answer'"],
    [
      { commands: { On: { execute, answer: execute } } },
      TypeError,
      "either 'execute' or 'answer'",
    ],
    [
      { commands: { On: { execute: 7 } } },
      TypeError,
      "'commands.On.execute' must be a function",
    ],
    [
      { commands: { On: { execute, isAllowed: true } } },
      TypeError,
      "'commands.On.isAllowed' must be a function",
    ],
    [
      { commands: { On: { execute, immediate: 1 } } },
      TypeError,
      "'commands.On.immediate' must be a boolean",
    ],
    [{ commands: { "": execute } }, TypeError, "not empty"],
    [{ commands: { abort: execute } }, TypeError, "without a name that is"],
    [{ commands: { On: execute, ON: execute } }, TypeError, "that is taken"],
    [{ attributes: 7 }, TypeError, "'attributes' must be an object"],
    [{ attributes: { LRCqueue: 7 } }, TypeError, "that is taken"],
    [{ attributes: { "": 7 } }, TypeError, "not empty"],
    [{ maxQueued: -1 }, RangeError, "'maxQueued' must be an integer"],
    [{ maxQueued: Infinity }, RangeError, "'maxQueued' must be an integer"],
    [{ maxExecuting: 1 }, RangeError, "an integer of at least 2"],
    [{ retention: 0 }, RangeError, "'retention' must be an integer"],
    [{ eventCapacity: 0 }, RangeError, "'eventCapacity' must be"],
    [{ removalTime: -1 }, RangeError, "'removalTime' must be"],
    [{ grace: NaN }, RangeError, "'grace' must be a non-negative number"],
    [{ timeOrigin: -1 }, RangeError, "'timeOrigin' must be"],
    [{ protocolVersions: [2, 1] }, TypeError, "the lower one first"],
    [{ protocolVersions: [1] }, TypeError, "two integers"],
    [{ protocolVersions: 2 }, TypeError, "two integers"],
    [{ clock: {} }, TypeError, "'clock' must be a Clock"],
    [{ logger: {} }, TypeError, "'logger' must be a Logger"],
    [{ signal: {} }, TypeError, "'signal' must be an AbortSignal"],
  ];
  for (const [options, kind, message] of wrong) {
    assertThrows(make(options), kind, message);
  }
  assertThrows(
    () => new LrcDevice(undefined as never),
    TypeError,
  );
});

test("LrcDevice checks what it is asked", async () => {
  await using rig = new LrcRig({ commands: {} });
  const { device } = rig;
  const seven = 7 as unknown as string;
  const signal = {} as AbortSignal;
  await assertRejects(() => device.command(seven), TypeError, "'name'");
  await assertRejects(
    () => device.command("Abort", undefined, { signal }),
    TypeError,
  );
  await assertRejects(() => device.subscribe(seven), TypeError, "'attribute'");
  await assertRejects(
    () => device.subscribe("lrcQueue", { signal }),
    TypeError,
  );
  await assertRejects(
    () => device.readAttributes([seven]),
    TypeError,
    "Cannot read attributes as 'names' must be an array of strings",
  );
  await assertRejects(
    () => device.readAttributes("lrcQueue" as unknown as string[]),
    TypeError,
  );
  await assertRejects(
    () => device.attributeNames(null as unknown as object),
    TypeError,
  );
  await assertRejects(() => device.stop({ grace: -1 }), RangeError);
  assertStrictEquals((await device.attributeNames()).length, 11);
});
