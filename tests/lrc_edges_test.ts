// Copyright 2026 the Longrun authors. MIT license.

/** What goes wrong between two steps, and what must not be left behind. */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import {
  connectLrcInterface,
  disconnectLrcInterface,
  invokeLrc,
} from "../lrc.ts";
import { answer, deviceError } from "./_lrc_fake.ts";
import { CountingController } from "./_listeners.ts";
import { LrcRig } from "./_lrc_rig.ts";

const { QUEUED, IN_PROGRESS, COMPLETED } = TaskStatus;
const ok = [0, "ok"];
const end = { status: COMPLETED, result: ok };

test("A command that ends between the break of its events and the next subscription is asked for", async () => {
  const rig = new LrcRig([1, 2], { silence: Infinity });
  const handle = await rig.start();
  await rig.tell(handle, { status: IN_PROGRESS });
  rig.device.cut();
  await rig.clock.advance(0);
  assertEquals(handle.counters.asked, 1);
  await rig.tell(handle, end);
  assertEquals(handle.ended, false);
  await rig.clock.advance(1000);
  assertEquals((await handle.done).result, ok);
});

test("A command that ends between an error and the first event after it is asked for", async () => {
  const rig = new LrcRig([1, 2], { silence: Infinity });
  const { device, clock } = rig;
  const handle = await rig.start();
  device.disturb();
  await clock.advance(0);
  device.way = () => [];
  await rig.tell(handle, end);
  device.way = (event) => [event];
  assertEquals(handle.ended, false);
  device.stage("Other");
  await clock.advance(0);
  assertEquals((await handle.done).result, ok);
});

test("A command that ends while the device is asked for it gets its result", async () => {
  const rig = new LrcRig([1, 2], { silence: 1000 });
  const { device, clock } = rig;
  device.way = () => [];
  const handle = await rig.start();
  // Staged, it is in no table.
  device.delay = async (what) => {
    if (what !== "CheckLongRunningCommandStatus") return;
    device.delay = undefined;
    device.tell(handle.commandId, end);
    await Promise.resolve();
  };
  await clock.advance(1000);
  assertEquals((await handle.done).result, ok);
  assertEquals(handle.counters.asked, 1);
});

test("A device that does not know the question is asked it once", async () => {
  const rig = new LrcRig([1, 2], { silence: 1000 });
  rig.device.canCheck = false;
  rig.device.way = () => [];
  const handle = await rig.start();
  await rig.clock.advance(1000);
  await rig.clock.advance(1000);
  assertEquals(handle.counters.asked, 2);
  const checks = rig.device.calls.filter((call) => call.startsWith("Check"));
  assertEquals(checks.length, 1);
});

test("The later status counts when a device tells two", async () => {
  const rig = new LrcRig([1, 1], { silence: 1000 });
  const { device, clock } = rig;
  device.way = () => [];
  const handle = await rig.start();
  device.tell(handle.commandId, end);
  const read = device.readAttributes.bind(device);
  device.readAttributes = async (names) => {
    const values = await read(names);
    return values.map((value, index) =>
      names[index] === "longRunningCommandStatus"
        ? [handle.commandId, "IN_PROGRESS"]
        : value
    );
  };
  await clock.advance(1000);
  assertEquals((await handle.done).status, COMPLETED);
});

test("Events that were kept for one command are not told to the next", async () => {
  const { device, scheduler, options, clock } = new LrcRig();
  await connectLrcInterface(device, scheduler, { clock });
  device.stage("Other");
  const [id = ""] = device.known.keys();
  const answers = [ResultCode.QUEUED, ResultCode.REJECTED];
  for (const code of answers) {
    device.answers.set("On", () => {
      device.tell(id, { status: QUEUED });
      return answer(code, id);
    });
    const command = device.command.bind(device);
    device.command = async (...args) => {
      const value = await command(...args);
      await clock.advance(0);
      return value;
    };
    const first = await invokeLrc(null, device, "On", undefined, options)
      .catch(() => undefined);
    device.command = command;
    if (code === ResultCode.QUEUED) assertEquals(first?.status, QUEUED);
    await first?.unsubscribe();
    device.tell(id, { status: IN_PROGRESS });
    await clock.advance(0);
    device.answers.set("On", () => answer(ResultCode.QUEUED, id));
    const next = await invokeLrc(null, device, "On", undefined, options);
    assertEquals(next.status, undefined);
    await next.unsubscribe();
  }
  await disconnectLrcInterface(device, scheduler);
  assertEquals(device.subscribers, 0);
});

test("A command that has ended leaves nothing on its signal", async () => {
  const controller = new CountingController();
  const rig = new LrcRig([1, 2], { signal: controller.signal });
  const handle = await rig.start();
  await rig.tell(handle, end);
  assert(handle.ended);
  assertEquals(controller.listeners, 0);
  controller.abort("late");
  assertEquals((await handle.done).exception, undefined);
});

test("A command that is left while its device is asked leaves nothing", async () => {
  const rig = new LrcRig([1, 2], { silence: 1000 });
  const handle = await rig.start();
  rig.device.failure = () => deviceError("API_Refused");
  await rig.clock.advance(1100);
  assert(handle.counters.errors > 0);
  assertEquals(rig.clock.pending.length, 1);
  await handle.unsubscribe();
  assertEquals(rig.clock.pending, []);
  const { length } = rig.device.calls;
  await rig.clock.advance(100_000);
  assertEquals(rig.device.calls.length, length);
});

test("A slow callback is not called any more when its command was left or its signal aborts", async () => {
  for (const aborts of [false, true]) {
    const rig = new LrcRig();
    const { device, options, clock } = rig;
    const controller = new AbortController();
    const { signal } = controller;
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => open = resolve);
    let calls = 0;
    device.accepts("Scan");
    const handle = await invokeLrc(
      () => {
        calls++;
        return gate;
      },
      device,
      "Scan",
      undefined,
      { ...options, signal },
    );
    await clock.advance(0);
    await rig.tell(handle, { status: QUEUED }, { status: IN_PROGRESS });
    assertEquals(rig.scheduler.pending, 2);
    if (aborts) controller.abort();
    else await handle.unsubscribe();
    assertEquals(rig.scheduler.pending, 0);
    open();
    await clock.advance(0);
    assertEquals(calls, 1);
  }
});

test("Who tries again at once does not join what has failed for others too", async () => {
  const { device, scheduler, clock } = new LrcRig();
  device.failure = () => {
    device.failure = undefined;
    return deviceError("API_Refused");
  };
  const connect = () => connectLrcInterface(device, scheduler, { clock });
  const results = await Promise.allSettled([
    connect().catch(connect),
    connect(),
  ]);
  assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected"]);
  assertEquals(device.subscribers, 1);
  await disconnectLrcInterface(device, scheduler);
  assertEquals(device.subscribers, 0);
  assertEquals(scheduler.devices, 0);
});

test("A command that has ended tells a slow callback all, though it is disposed of", async () => {
  const rig = new LrcRig();
  const { device, options, clock } = rig;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => open = resolve);
  const seen: unknown[] = [];
  device.accepts("Scan");
  const handle = await invokeLrc(
    ({ status }) => {
      seen.push(status);
      return gate;
    },
    device,
    "Scan",
    undefined,
    options,
  );
  await clock.advance(0);
  await rig.tell(handle, end);
  await handle.done;
  await handle[Symbol.asyncDispose]();
  open();
  await clock.advance(0);
  assertEquals(seen.at(-1), COMPLETED);
});

test("A poll policy that fails or makes no sense is taken for a long pause", async () => {
  for (
    const delay of [() => NaN, () => {
      throw new Error("no policy");
    }]
  ) {
    const rig = new LrcRig([1, 2], { poll: { delay } });
    const handle = await rig.start();
    await rig.tell(handle, end);
    await rig.clock.advance(60_000);
    assertEquals((await handle.done).result, ok);
    assertEquals(rig.clock.pending, []);
  }
});
