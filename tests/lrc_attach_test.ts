// Copyright 2026 the Longrun authors. MIT license.

/** Commands of earlier, of several devices, and the end of all of them. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { sleep } from "../cancellation.ts";
import { type DeviceProxy, ResultCode, TaskStatus } from "../device_proxy.ts";
import {
  abortDevice,
  attachLrc,
  invokeAll,
  listLrcs,
  type LrcCall,
  type LrcUpdate,
} from "../lrc.ts";
import { answer, FakeDevice } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { turns } from "./_turns.ts";

const { QUEUED, IN_PROGRESS, COMPLETED, ABORTED, NOT_FOUND } = TaskStatus;
const ok = [0, "ok"];

test("attachLrc finds a command again that goes on, by what serialize has made", async () => {
  for (const versions of [[1, 1], [1, 2]]) {
    const rig = new LrcRig(versions);
    const { device, options, clock } = rig;
    const first = await rig.start();
    await rig.tell(first, { status: IN_PROGRESS }, { progress: 7 });
    const text = first.serialize();
    await first.unsubscribe();

    const updates: LrcUpdate[] = [];
    const handle = await attachLrc(
      (update) => void updates.push(update),
      device,
      text,
      options,
    );
    await clock.advance(0);
    assertEquals(handle.commandId, first.commandId);
    assertEquals(handle.command, "Scan");
    assertEquals(handle.status, IN_PROGRESS);
    assertEquals(handle.progress, 7);
    assertEquals(updates[0]?.source, "attach");
    await rig.tell(handle, { status: COMPLETED, result: ok });
    assertEquals((await handle.done).resultCode, ResultCode.OK);
    assertEquals(handle.counters.repairs, 0);
    assertEquals(device.subscribers, 0);
  }
});

test("attachLrc finds a command that has ended, by its id", async () => {
  const rig = new LrcRig();
  const { device, options } = rig;
  const id = device.stage("Move_To");
  device.tell(id, { status: COMPLETED, result: ok });
  const handle = await attachLrc(null, device, id, options);
  assertEquals(handle.command, "Move_To");
  const done = await handle.done;
  assertEquals(done.result, ok);
  assertEquals(done.taskStatusEvents, [COMPLETED]);
  assertEquals(device.subscribers, 0);
});

test("attachLrc to a command that the device does not know ends at once", async () => {
  const rig = new LrcRig();
  const { device, options } = rig;
  for (const poll of [true, false]) {
    const handle = await attachLrc(null, device, "gone", { ...options, poll });
    const done = await handle.done;
    assertEquals(done.status, NOT_FOUND);
    assertEquals(done.resultCode, ResultCode.UNKNOWN);
    assertEquals(done.message, "The device does not know the command");
    assertEquals(done.command, "");
  }
});

test("attachLrc refuses texts that are neither", async () => {
  const { device, options } = new LrcRig();
  for (const text of ["", "{", "{}", '{"commandId":1}', '{"commandId":""}']) {
    await assertRejects(
      () => attachLrc(null, device, text, options),
      TypeError,
      "Cannot attach to long-running command as 'command' must be",
    );
  }
  assertEquals(device.calls, []);
});

test("invokeAll waits for all and says which have failed", async () => {
  const { options } = new LrcRig();
  const good = new FakeDevice();
  good.accepts("On", (id) => good.tell(id, { status: COMPLETED, result: ok }));
  const busy = new FakeDevice();
  busy.answers.set("On", () => answer(ResultCode.REJECTED, "busy"));
  const bad = new FakeDevice();
  bad.accepts(
    "On",
    (id) => bad.tell(id, { status: COMPLETED, result: [3, "no power"] }),
  );
  const seen: [LrcCall, number][] = [];
  const calls = [good, busy, bad].map((proxy) => ({ proxy, command: "On" }));
  const report = await invokeAll(calls, {
    ...options,
    onUpdate: (call, { status }) => {
      if (status !== undefined) seen.push([call, status]);
    },
  });
  assertEquals(report.ok, false);
  assertEquals(report.results.map(({ resultCode }) => resultCode), [
    ResultCode.OK,
    ResultCode.REJECTED,
    ResultCode.FAILED,
  ]);
  assertEquals(report.failures, report.results.slice(1));
  assertEquals(
    report.message,
    "2 of 3 commands have failed: " +
      "test/fake/1: On: On command rejected: busy; test/fake/1: On: no power",
  );
  await turns();
  assert(seen.some(([call]) => call === calls[0]));
  assert(seen.every(([call]) => call !== calls[1]));
  const fine = await invokeAll([{ proxy: good, command: "On" }], options);
  assertEquals(fine.ok, true);
  assertEquals(fine.message, "All 1 commands have ended well");
  assertEquals((await invokeAll([], options)).ok, true);
});

test("invokeAll has one deadline for all", async () => {
  const { clock, options } = new LrcRig();
  const devices = [new FakeDevice(), new FakeDevice()];
  for (const device of devices) device.accepts("On");
  const calls = devices.map((proxy) => ({ proxy, command: "On" }));
  const reporting = invokeAll(calls, { ...options, timeout: 1000 });
  await clock.advance(1000);
  const { failures, results } = await reporting;
  assertEquals(failures.length, 2);
  assert(results.every(({ exception }) => exception instanceof DOMException));
  assertEquals(devices.map(({ subscribers }) => subscribers), [0, 0]);
  assertEquals(clock.pending, []);
});

test("invokeAll refuses arguments of the wrong type before it sends anything", async () => {
  const { device, options } = new LrcRig();
  device.accepts("On");
  for (
    const calls of [
      null,
      1,
      [null],
      [{ proxy: device, command: "On" }, { proxy: device, command: "" }],
      [{ proxy: device, command: "On" }, { proxy: {}, command: "On" }],
    ]
  ) {
    await assertRejects(
      () => invokeAll(calls as unknown as LrcCall[], options),
      TypeError,
      "Cannot invoke long-running commands as",
    );
  }
  await assertRejects(
    () => invokeAll([], { onUpdate: 1 as unknown as () => void }),
    TypeError,
  );
  assertEquals(device.calls, []);
});

test("abortDevice ends all commands and itself", async () => {
  const rig = new LrcRig();
  const { device, options } = rig;
  const handles = [await rig.start(), await rig.start()];
  device.accepts("Abort", (id) => {
    for (const { commandId } of handles) {
      device.tell(commandId, { status: ABORTED, result: [7, "aborted"] });
    }
    device.tell(id, { status: COMPLETED, result: [0, "Abort completed OK"] });
  });
  const done = await abortDevice(device, options);
  assertEquals(done.resultCode, ResultCode.OK);
  for (const handle of handles) {
    assertEquals((await handle.done).resultCode, ResultCode.ABORTED);
  }
  assertEquals(device.subscribers, 0);
});

test("attachLrc says that it was late itself, not that a command was not accepted", async () => {
  const { device, options, clock } = new LrcRig([1, 2], { timeout: 100 });
  device.delay = (what) =>
    what.startsWith("subscribe") ? new Promise(() => {}) : Promise.resolve();
  const attaching = attachLrc(null, device, "1_2_Scan", options)
    .catch((error) => error);
  await clock.advance(100);
  const { name, message } = await attaching as Error;
  assertEquals(name, "TimeoutError");
  assertEquals(
    message,
    "Command '1_2_Scan' of 'test/fake/1' was not attached to within 100 ms",
  );
});

test("abortDevice takes AbortCommands for a device that knows no Abort", async () => {
  const { device, options } = new LrcRig([1, 1]);
  device.answers.set(
    "AbortCommands",
    () => answer(ResultCode.STARTED, "Aborting commands"),
  );
  const done = await abortDevice(device, options);
  assertEquals(done.command, "AbortCommands");
  assertEquals(done.resultCode, ResultCode.STARTED);
  assertEquals(done.message, "Aborting commands");
  assertEquals(done.exception, undefined);
});

test("abortDevice reads the code of AbortCommands in a typed array, too", async () => {
  const { device, options } = new LrcRig([1, 1]);
  device.answers.set(
    "AbortCommands",
    () => [new Int32Array([ResultCode.REJECTED]), ["no"]],
  );
  const done = await abortDevice(device, options);
  assertEquals([done.resultCode, done.message], [ResultCode.REJECTED, "no"]);
});

test("abortDevice says so when AbortCommands is rejected, or not answered in time", async () => {
  const { device, options, clock } = new LrcRig([1, 1], { timeout: 1000 });
  device.answers.set("AbortCommands", () => answer(ResultCode.REJECTED, "no"));
  const rejected = await abortDevice(device, options);
  assertEquals(rejected.resultCode, ResultCode.REJECTED);
  assertEquals(rejected.message, "no");

  device.delay = (call) => {
    if (call === "Abort") return sleep(400, { clock });
    return call === "AbortCommands" ? new Promise(() => {}) : Promise.resolve();
  };
  const aborting = abortDevice(device, options);
  await clock.advance(999);
  assertEquals(clock.pending.length, 1);
  await clock.advance(1);
  const late = await aborting;
  assertEquals(late.resultCode, ResultCode.FAILED);
  assertEquals((late.exception as Error).name, "TimeoutError");
  assertEquals(clock.pending, []);

  const signal = AbortSignal.abort("dawn");
  const left = await abortDevice(device, { ...options, signal });
  assertEquals(left.resultCode, ResultCode.UNKNOWN);
});

test("abortDevice of a device that knows neither says so", async () => {
  const { device, options } = new LrcRig([1, 1]);
  const done = await abortDevice(device, options);
  assertEquals(done.resultCode, ResultCode.FAILED);
  assert(String(done.exception).includes("AbortCommands"));
  assert(done.message.includes("AbortCommands"));
});

test("listLrcs reads what a device has, and leaves out what it cannot understand", async () => {
  const { device } = new LrcRig();
  const ids = ["A", "B", "C", "D"].map((name) => device.stage(name));
  const [a = "", b = "", c = ""] = ids;
  device.tell(a, { status: QUEUED });
  device.tell(b, { status: IN_PROGRESS, progress: 5 });
  device.tell(c, { status: ABORTED, result: [7, "aborted"] });
  const times = {
    submitted: undefined,
    started: undefined,
    finished: undefined,
  };
  assertEquals(await listLrcs(device), [
    {
      commandId: a,
      command: "A",
      status: QUEUED,
      progress: undefined,
      result: undefined,
      times,
    },
    {
      commandId: b,
      command: "B",
      status: IN_PROGRESS,
      progress: 5,
      result: undefined,
      times,
    },
    {
      commandId: c,
      command: "C",
      status: ABORTED,
      progress: undefined,
      result: [7, "aborted"],
      times,
    },
  ]);
  const read = device.readAttributes.bind(device);
  const submitted = "2026-01-01T00:00:00Z";
  device.readAttributes = async (names) => {
    const [queue, executing] = await read(names);
    return [
      queue,
      [...executing as string[], "{", "null", "[]", '{"uid":1}'],
      [
        '{"uid":"x"}',
        JSON.stringify({
          uid: "y",
          status: "COMPLETED",
          submitted_time: submitted,
        }),
      ],
    ];
  };
  const again = await listLrcs(device);
  assertEquals(again.map(({ commandId }) => commandId), [a, b, "y"]);
  assertEquals(again[2]?.times.submitted, submitted);
  device.hasTables = false;
  assertEquals(await listLrcs(device), []);
  await assertRejects(() => listLrcs({} as DeviceProxy), TypeError);
});
