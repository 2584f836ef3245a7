// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { ResultCode } from "../device_proxy.ts";
import { LrcDevice } from "../lrc_device.ts";
import {
  ALL,
  collect,
  eventsOf,
  Held,
  LrcRig,
  nameOf,
  reasonsOf,
} from "./_lrc_device_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

// Aborting.

test("LrcDevice aborts: the second protocol", async () => {
  const held = new Held();
  await using rig = new LrcRig({ commands: { On: held.execute } });
  await rig.watch("_lrcEvent");
  await rig.ask("On");
  await rig.pass();
  rig.take();
  const [code, id] = await rig.ask("Abort");
  assertEquals([code, nameOf(id)], [ResultCode.STARTED, "Abort"]);
  await rig.pass();
  assertEquals(eventsOf(rig.take()), [
    ["Abort", { status: 0 }],
    ["Abort", { status: 2 }],
    ["On", { status: 3, result: [7, "Command has been aborted"] }],
    ["Abort", { status: 5, result: [0, "Abort completed OK"] }],
  ]);
});

test("LrcDevice aborts: the first protocol repeats the status of others", async () => {
  const held = new Held();
  await using rig = new LrcRig({ commands: { On: held.execute } });
  await rig.watch(
    "longRunningCommandStatus",
    "longRunningCommandResult",
    "longRunningCommandInProgress",
  );
  await rig.ask("On");
  await rig.pass();
  rig.take();
  await rig.ask("Abort");
  await rig.pass();
  assertEquals(rig.takeByAttribute(), {
    longRunningCommandStatus: [
      ["On", "IN_PROGRESS", "Abort", "STAGING"],
      ["On", "IN_PROGRESS", "Abort", "IN_PROGRESS"],
      ["On", "ABORTED", "Abort", "IN_PROGRESS"],
      ["On", "ABORTED", "Abort", "COMPLETED"],
    ],
    longRunningCommandInProgress: [["On", "Abort"], ["Abort"], []],
    longRunningCommandResult: [
      ["On", '[7,"Command has been aborted"]'],
      ["Abort", '[0,"Abort completed OK"]'],
    ],
  });
});

test("LrcDevice aborts what waits without having begun it, rejects until all has ended, and goes on after it", async () => {
  const held = new Held(false);
  await using rig = new LrcRig({ commands: { Scan: held.execute } });
  const [, executing] = await rig.ask("Scan");
  const [, waiting] = await rig.ask("Scan");
  await rig.pass();
  const [, abort] = await rig.ask("Abort");
  await rig.pass();
  assert(held.last.execution.signal.aborted);
  assertEquals(await rig.statusOf(executing), "IN_PROGRESS");
  assertEquals(await rig.statusOf(waiting), "ABORTED");
  assertEquals(await rig.statusOf(abort), "IN_PROGRESS");
  assertEquals([rig.device.queued, rig.device.executing], [0, 2]);
  assertEquals(await rig.ask("Scan"), [5, "Queue is being aborted"]);
  assertEquals(await rig.ask("Abort"), [5, "Queue is being aborted"]);
  assertEquals(await rig.ask("AbortCommands"), [1, "Aborting commands"]);

  held.last.end();
  await rig.pass();
  assertEquals(await rig.statusOf(executing), "ABORTED");
  assertEquals(await rig.statusOf(abort), "COMPLETED");
  assertEquals(held.calls.length, 1);
  assertEquals((await rig.ask("Scan"))[0], ResultCode.QUEUED);
  await rig.pass();
  assertEquals(held.calls.length, 2);
});

test("LrcDevice aborts a command that has its place but has not begun", async () => {
  const held = new Held();
  let asked = 0;
  await using rig = new LrcRig({
    commands: {
      Scan: { execute: held.execute, isAllowed: () => ++asked > 0 },
      Stop: { execute: held.execute, immediate: true },
    },
  });
  for (const name of ["Scan", "Stop"]) {
    const [[, id], [, abort]] = await Promise.all([
      rig.ask(name),
      rig.ask("Abort"),
    ]);
    await rig.pass();
    assertEquals(await rig.statusOf(id ?? ""), "ABORTED");
    assertEquals(await rig.statusOf(abort ?? ""), "COMPLETED");
  }
  assertEquals([asked, held.calls.length], [0, 0]);
});

test("LrcDevice aborts commands without a command to follow, which is no id", async () => {
  const held = new Held();
  await using rig = new LrcRig({ commands: { Scan: held.execute } });
  await rig.watch("_lrcEvent");
  await rig.ask("Scan");
  await rig.pass();
  rig.take();
  assertEquals(await rig.device.command("AbortCommands"), [
    [1],
    ["Aborting commands"],
  ]);
  await rig.pass();
  assertEquals(eventsOf(rig.take()), [
    ["Scan", { status: 3, result: [7, "Command has been aborted"] }],
  ]);
  assertEquals(await rig.ask("Scan").then(([code]) => code), 2);
});

test("LrcDevice has a command completed that was done in spite of the abort, and aborted if it says so", async () => {
  const results: [unknown, string, unknown][] = [
    [[0, "Done"], "COMPLETED", [0, "Done"]],
    [undefined, "ABORTED", [7, "Command has been aborted"]],
    [[7, "Stopped at 3"], "ABORTED", [7, "Stopped at 3"]],
  ];
  for (const [result, status, told] of results) {
    const held = new Held(false);
    await using rig = new LrcRig({ commands: { Scan: held.execute } });
    await rig.ask("Scan");
    await rig.pass();
    await rig.ask("Abort");
    held.last.end(result);
    await rig.pass();
    const [scan, abort] = await rig.rows("lrcFinished");
    assertEquals([scan?.status, scan?.result], [status, told]);
    assertEquals(abort?.result, [0, "Abort completed OK"]);
  }
});

test("LrcDevice has a command failed that fails in its own way after the abort", async () => {
  const held = new Held(false);
  await using rig = new LrcRig({ commands: { Scan: held.execute } });
  await rig.ask("Scan");
  await rig.pass();
  await rig.ask("Abort");
  held.last.fail(new Error("jammed"));
  await rig.pass();
  const [scan] = await rig.rows("lrcFinished");
  assertEquals(scan?.status, "FAILED");
});

test("LrcDevice abandons a command that does not end within the grace, and ignores what it does later", async () => {
  const held = new Held(false);
  await using rig = new LrcRig({
    commands: { Scan: held.execute },
    grace: 300,
  });
  const [, first] = await rig.ask("Scan");
  await rig.pass();
  await rig.ask("Abort");
  await rig.pass(299);
  assertEquals(await rig.statusOf(first), "IN_PROGRESS");
  await rig.pass(1);
  const [scan, abort] = await rig.rows("lrcFinished");
  assertEquals(scan?.status, "ABORTED");
  const text = "Command has been aborted, but has not ended within 300 ms";
  assertEquals(scan?.result, [7, text]);
  assertEquals(abort?.status, "COMPLETED");
  assertEquals(abort?.result, [3, "Abort has abandoned Scan"]);
  assertEquals(rig.logger.lines.splice(0), [
    "warn Command 'Scan' has not ended within 300 ms and was abandoned",
  ]);

  await rig.ask("Scan");
  await rig.pass();
  assertEquals(held.calls.length, 2);
  await rig.watch(...ALL);
  held.calls[0]?.execution.progress(90);
  held.calls[0]?.end([0, "Late"]);
  await rig.pass();
  assertEquals(rig.take(), []);
  assertEquals(rig.logger.lines.splice(0), [
    "warn Command 'Scan' has ended after it was abandoned",
  ]);

  await rig.ask("Abort");
  await rig.pass(300);
  held.calls[1]?.fail(new Error("jammed"));
  await rig.pass();
  assertEquals(rig.logger.of("error"), [
    "error Command 'Scan' has failed after it was abandoned: Error: jammed",
  ]);
});

test("LrcDevice aborts amid thousands of reports of progress", async () => {
  await using rig = new LrcRig({
    commands: {
      Scan: async ({ progress, sleep }) => {
        for (let step = 0; step < 2000; step++) {
          progress(step % 100);
          await sleep(1);
        }
      },
    },
  });
  const counts: number[] = [];
  for (const attribute of ["_lrcEvent", "longRunningCommandProgress"]) {
    const events = collect(await rig.device.subscribe(attribute));
    await rig.ask("Scan");
    await rig.pass(999);
    const [, abort] = await rig.ask("Abort");
    await rig.pass();
    assertEquals(await rig.statusOf(abort), "COMPLETED");
    counts.push(events.length);
  }
  assertEquals(counts, [1 + 3 + 1000 + 2 + 2, 1 + 1000]);
});

// Stopping.

test("LrcDevice stops: aborts all, tells of it, and ends the subscriptions", async () => {
  const held = new Held();
  await using rig = new LrcRig({ commands: { Scan: held.execute } });
  const { device } = rig;
  await rig.ask("Scan");
  await rig.ask("Scan");
  await rig.pass();
  const events = await device.subscribe("_lrcEvent");
  assertEquals(await device.stop({ reason: "dawn" }), "stopped");
  assertEquals(held.last.execution.signal.reason, "dawn");
  const seen: unknown[] = [];
  for await (const event of events) seen.push(event);
  assertEquals(seen.length, 3);
  assertEquals(await device.stop(), "stopped");
  for (
    const call of [
      () => device.command("Scan"),
      () => device.command("Nothing"),
      () => device.subscribe("lrcQueue"),
      () => device.readAttributes(["lrcQueue"]),
      () => device.attributeNames(),
    ]
  ) {
    assertEquals(await reasonsOf(call()), ["API_DeviceNotExported"]);
  }
  assertEquals(held.calls.length, 1);
});

test("LrcDevice takes no command while it stops, but can be read", async () => {
  const held = new Held(false);
  await using rig = new LrcRig({ commands: { Scan: held.execute } });
  const { device } = rig;
  const [, id] = await rig.ask("Scan");
  await rig.pass();
  const stopping = device.stop({ grace: 100 });
  assertEquals(await reasonsOf(device.command("Scan")), [
    "API_DeviceNotExported",
  ]);
  assertEquals(await rig.read("longRunningCommandStatus"), [
    id,
    "IN_PROGRESS",
  ]);
  const events = collect(await device.subscribe("lrcFinished"));
  await rig.pass(100);
  assertEquals(await stopping, "abandoned");
  assertEquals(events.length, 2);
});

test("LrcDevice waits for each stop as long as its caller wants, and says what was abandoned", async () => {
  const held = new Held(false);
  await using rig = new LrcRig({
    commands: { Scan: held.execute },
    grace: 100,
  });
  const { device } = rig;
  await rig.ask("Scan");
  await rig.pass();
  const outcomes: unknown[] = [];
  device.stop({ grace: Infinity }).then((outcome) => outcomes.push(outcome));
  await rig.pass(200);
  assertEquals(outcomes, []);
  device.stop({ grace: 50 }).then((outcome) => outcomes.push(outcome));
  await rig.pass(49);
  assertEquals(outcomes, []);
  await rig.pass(1);
  assertEquals(outcomes, ["abandoned", "abandoned"]);
  assertEquals(await device.stop(), "abandoned");
  held.last.end();
  await rig.pass();
  assertEquals(await device.stop(), "stopped");
});

test("LrcDevice stops during an abort, and within one of its commands", async () => {
  const held = new Held(false);
  await using rig = new LrcRig({
    commands: { Scan: held.execute },
    grace: 100,
  });
  await rig.ask("Scan");
  await rig.pass();
  await rig.ask("Abort");
  await rig.pass(60);
  const stopping = rig.device.stop();
  await rig.pass(40);
  assertEquals(await stopping, "abandoned");

  let outcome: unknown;
  const own: LrcRig<Record<string, unknown>, object> = new LrcRig({
    commands: {
      Leave: async () => {
        outcome = await own.device.stop();
      },
    },
    grace: 100,
  });
  await using _own = own;
  await own.ask("Leave");
  await own.pass(100);
  assertEquals(outcome, "abandoned");
});

test("LrcDevice stops when its signal aborts, also before it was made", async () => {
  const held = new Held();
  await using rig = new LrcRig({ commands: { Scan: held.execute } });
  await rig.ask("Scan");
  await rig.pass();
  const events = await rig.device.subscribe("lrcQueue");
  rig.controller.abort("clouds");
  await rig.pass();
  assertEquals(held.last.execution.signal.reason, "clouds");
  await events.next();
  assertEquals((await events.next()).done, true);
  assertEquals(await reasonsOf(rig.device.command("Scan")), [
    "API_DeviceNotExported",
  ]);

  const late = new LrcDevice({
    name: "test/lrc/2",
    commands: {},
    signal: rig.controller.signal,
  });
  assertEquals(await reasonsOf(late.command("Abort")), [
    "API_DeviceNotExported",
  ]);
});

test("LrcDevice leaves nothing behind and no rejection unhandled", async () => {
  const unhandled = await unhandledDuring(async () => {
    const deaf = new Held(false);
    await using rig = new LrcRig({
      commands: {
        Deaf: deaf.execute,
        Fail: () => Promise.reject(new Error("no")),
        Sleep: ({ sleep }) => sleep(1e6),
        Hang: { answer: () => new Promise(() => {}) },
      },
      maxExecuting: 5,
      grace: 10,
    });
    for (const name of ["Deaf", "Fail", "Sleep", "Fail"]) await rig.ask(name);
    const hanging = rig.device.command("Hang").catch(() => {});
    await rig.watch(...ALL);
    await rig.pass();
    const stopping = rig.device.stop();
    await rig.pass(10);
    assertEquals(await stopping, "abandoned");
    await hanging;
    deaf.last.fail(new Error("late"));
    await rig.pass();
    rig.assertNothingLeft();
  });
  assertEquals(unhandled, []);
});
