// Copyright 2026 the Longrun authors. MIT license.

/** What may be lost on the way, and how it is made good. */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { sleep } from "../cancellation.ts";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import { deviceError } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";

const { STAGING, QUEUED, IN_PROGRESS, COMPLETED, NOT_FOUND } = TaskStatus;
const ok = [0, "ok"];

/** Begins a command, and loses what the device tells from then on. */
async function lose(rig: LrcRig): Promise<
  Awaited<ReturnType<LrcRig["start"]>>
> {
  const handle = await rig.start();
  await rig.tell(handle, { status: IN_PROGRESS });
  rig.device.way = () => [];
  return handle;
}

for (const versions of [[1, 1], [1, 2]]) {
  const name = `version ${versions[1]}`;

  test(`A handle finds the end that was lost when an error came, in ${name}`, async () => {
    const rig = new LrcRig(versions);
    const handle = await lose(rig);
    await rig.tell(handle, { result: ok }, { status: COMPLETED });
    assertEquals(handle.ended, false);
    rig.device.way = (event) => [event];
    rig.device.disturb();
    await rig.clock.advance(0);
    const done = await handle.done;
    assertEquals(done.resultCode, ResultCode.OK);
    assertEquals(done.result, ok);
    assert(handle.counters.errors > 0);
    assertEquals(handle.counters.repairs, 1);
    assertEquals(rig.updates.at(-1)?.source, "repair");
    assertEquals(rig.device.subscribers, 0);
    assertEquals(rig.clock.pending, []);
  });

  test(`A handle finds the end that was lost when the device is silent, in ${name}`, async () => {
    const rig = new LrcRig(versions, { silence: 3000 });
    const handle = await lose(rig);
    await rig.tell(handle, { result: ok }, { status: COMPLETED });
    await rig.clock.advance(3000);
    assertEquals((await handle.done).result, ok);
    assertEquals(handle.counters.asked, 1);
  });

  test(`A handle finds the end that was lost while it subscribed anew, in ${name}`, async () => {
    const rig = new LrcRig(versions, { silence: Infinity });
    const { device, clock } = rig;
    const handle = await lose(rig);
    device.failure = () => deviceError("API_ServerNotRunning");
    device.way = (event) => [event];
    device.cut();
    await clock.advance(20_000);
    assertEquals(handle.ended, false);
    await rig.tell(handle, { result: ok }, { status: COMPLETED });
    device.failure = undefined;
    await clock.advance(60_000);
    assertEquals((await handle.done).result, ok);
    assertEquals(device.subscribers, 0);
  });

  test(`A handle goes on with events after it has subscribed anew, in ${name}`, async () => {
    const rig = new LrcRig(versions, { silence: Infinity });
    const { device, clock } = rig;
    const handle = await rig.start();
    device.cut();
    await clock.advance(2000);
    assertEquals(device.subscribers, versions[1] === 1 ? 3 : 1);
    await rig.tell(handle, { status: QUEUED }, { progress: 5 });
    assertEquals(handle.progress, 5);
    await handle.unsubscribe();
    assertEquals(clock.pending, []);
  });

  test(`A handle asks for the result that was lost before it tells the end, in ${name}`, async () => {
    const rig = new LrcRig(versions);
    const handle = await rig.start();
    rig.device.way = (event) =>
      JSON.stringify(event).includes("result") ||
        event.attribute.endsWith("result")
        ? []
        : [event];
    await rig.tell(handle, { result: ok }, { status: COMPLETED });
    assertEquals(rig.told.at(-1), { status: COMPLETED, result: ok });
    assertEquals((await handle.done).result, ok);
  });

  test(`A handle of a device that has forgotten everything says that it does not know, in ${name}`, async () => {
    const rig = new LrcRig(versions);
    const handle = await lose(rig);
    rig.device.forget();
    rig.device.way = (event) => [event];
    rig.device.cut();
    await rig.clock.advance(5000);
    const done = await handle.done;
    assertEquals(done.status, NOT_FOUND);
    assertEquals(done.resultCode, ResultCode.UNKNOWN);
    assertEquals(rig.told.at(-1), { status: NOT_FOUND });
    assertEquals(rig.updates.at(-1)?.source, "repair");
  });

  test(`A handle removes the event that comes twice, in ${name}`, async () => {
    const rig = new LrcRig(versions);
    rig.device.way = (event) => [event, event];
    const handle = await rig.start();
    await rig.tell(
      handle,
      { status: QUEUED },
      { progress: 1 },
      { result: ok },
      { status: COMPLETED },
    );
    assertEquals(rig.told, [
      { status: STAGING },
      { status: QUEUED },
      { progress: 1 },
      { result: ok },
      { status: COMPLETED },
    ]);
    assert(handle.counters.duplicates >= 3);
  });

  test(`A handle takes events of a malformed kind for errors and asks the device, in ${name}`, async () => {
    const rig = new LrcRig(versions);
    const { device, clock } = rig;
    const handle = await rig.start();
    const id = handle.commandId;
    const events: [string, unknown][] = versions[1] === 2
      ? [
        ["_lrcEvent", [id, "{"]],
        ["_lrcEvent", [id]],
        ["_lrcEvent", [id, "[]"]],
        ["_lrcEvent", [id, '{"status":99}']],
        ["_lrcEvent", [id, '{"status":"DONE"}']],
        ["_lrcEvent", [5, "{}"]],
        ["_lrcEvent", "text"],
        ["_lrcEvent", [id, '{"progress":{}}']],
      ]
      : [
        ["longRunningCommandStatus", [id, "DONE"]],
        ["longRunningCommandStatus", [id]],
        ["longRunningCommandProgress", [id, ""]],
        ["longRunningCommandResult", [id, "{"]],
        ["longRunningCommandStatus", 7],
        ["longRunningCommandStatus", [7, "QUEUED", id, "STAGING"]],
      ];
    for (const [attribute, value] of events) {
      rig.updates.length = 0;
      device.emit(attribute, value);
      await clock.advance(0);
      assertEquals(rig.updates.length, 1, JSON.stringify(value));
      assertEquals(
        rig.updates[0]?.errors?.[0]?.reason,
        "LRC_MalformedEvent",
      );
    }
    assertEquals(handle.counters.malformed, events.length);
    assert(handle.counters.asked > 0);
    assertEquals(handle.ended, false);
    await rig.tell(handle, { result: ok }, { status: COMPLETED });
    assertEquals((await handle.done).result, ok);
  });

  test(`A handle ignores a status that is over, in ${name}`, async () => {
    const rig = new LrcRig(versions);
    const handle = await rig.start();
    await rig.tell(handle, { status: IN_PROGRESS });
    if (versions[1] === 2) {
      rig.device.emit("_lrcEvent", [handle.commandId, '{"status":1}']);
    } else {
      rig.device.emit("longRunningCommandStatus", [
        handle.commandId,
        "QUEUED",
      ]);
    }
    await rig.clock.advance(0);
    assertEquals(handle.status, IN_PROGRESS);
    assertEquals(handle.counters.outOfOrder, 1);
    assertEquals(rig.told, [{ status: STAGING }, { status: IN_PROGRESS }]);
    await handle.unsubscribe();
  });

  test(`A handle asks again a device that fails when it is asked, in ${name}`, async () => {
    const rig = new LrcRig(versions, { silence: 1000 });
    const handle = await lose(rig);
    await rig.tell(handle, { result: ok }, { status: COMPLETED });
    rig.device.failure = () => deviceError("API_Timeout");
    await rig.clock.advance(10_000);
    assertEquals(handle.ended, false);
    assert(handle.counters.errors > 1);
    assertEquals(rig.updates.at(-1)?.errors?.[0]?.reason, "API_Timeout");
    rig.device.failure = undefined;
    await rig.clock.advance(30_000);
    assertEquals((await handle.done).result, ok);
    assertEquals(rig.clock.pending, []);
  });
}

test("A handle finds the end of a command that has vanished from the list of version 1", async () => {
  const rig = new LrcRig([1, 1], { silence: Infinity });
  const { device, clock } = rig;
  const handle = await lose(rig);
  await rig.tell(handle, { result: ok }, { status: COMPLETED });
  device.pruned.add(handle.commandId);
  device.way = (event) => [event];
  const other = device.stage("Other");
  device.tell(other, { result: [0, "other"] });
  await clock.advance(0);
  assertEquals((await handle.done).result, ok);
  assertEquals(handle.counters.gaps, 1);
});

test("A handle of an old device without tables finds the end, with the result if it was the last", async () => {
  for (const isLast of [true, false]) {
    const rig = new LrcRig([1, 1], { silence: 1000 });
    rig.device.hasTables = false;
    const handle = await lose(rig);
    await rig.tell(handle, { result: ok }, { status: COMPLETED });
    if (!isLast) {
      const other = rig.device.stage("Other");
      rig.device.tell(other, { result: [0, "other"] });
    }
    await rig.clock.advance(1000);
    const done = await handle.done;
    assertEquals(done.status, COMPLETED);
    assertEquals(done.result, isLast ? ok : undefined);
    assertEquals(
      done.resultCode,
      isLast ? ResultCode.OK : ResultCode.UNKNOWN,
    );
  }
});

test("A handle of a device that cannot be asked for a command looks into its tables twice", async () => {
  const rig = new LrcRig([1, 2], { silence: 1000 });
  rig.device.canCheck = false;
  const handle = await lose(rig);
  rig.device.forget();
  await rig.clock.advance(1000);
  assertEquals(handle.ended, false);
  await rig.clock.advance(1000);
  assertEquals((await handle.done).status, NOT_FOUND);
  assertEquals(handle.counters.asked, 2);
});

test("Handles that ask at the same time share the reading of the tables", async () => {
  const rig = new LrcRig([1, 2], { silence: Infinity });
  const handles = [];
  for (let count = 0; count < 20; count++) handles.push(await rig.start());
  for (const handle of handles) {
    await rig.tell(handle, { status: IN_PROGRESS });
  }
  rig.device.calls.length = 0;
  rig.device.disturb();
  await rig.clock.advance(0);
  assertEquals(rig.device.calls, [
    "attributeNames",
    "read lrcProtocolVersions",
    "read lrcQueue lrcExecuting lrcFinished",
  ]);
  for (const handle of handles) {
    assertEquals(handle.counters.asked, 1);
    await handle.unsubscribe();
  }
  assertEquals(rig.clock.pending, []);
});

test("A handle asks a silent device more and more rarely, and begins anew with news", async () => {
  const rig = new LrcRig([1, 2], { silence: 10_000 });
  const handle = await rig.start();
  await rig.tell(handle, { status: IN_PROGRESS });
  await rig.clock.advance(200_000);
  assert(handle.counters.asked >= 4 && handle.counters.asked <= 7);
  const { asked } = handle.counters;
  await rig.tell(handle, { progress: 1 });
  await rig.clock.advance(10_000);
  assertEquals(handle.counters.asked, asked + 1);
  await handle.unsubscribe();
});

test("A handle passes on the keys of newer devices and ignores an event without any", async () => {
  const rig = new LrcRig();
  const handle = await rig.start();
  const { commandId } = handle;
  rig.device.emit("_lrcEvent", [commandId, "{}"]);
  rig.device.emit("_lrcEvent", [commandId, '{"phase":"slewing","progress":1}']);
  await rig.clock.advance(0);
  assertEquals(rig.told, [
    { status: STAGING },
    { progress: 1, extra: { phase: "slewing" } },
  ]);
  await handle.unsubscribe();
});

test("A handle takes a result of null for one", async () => {
  const rig = new LrcRig();
  const handle = await rig.start();
  await rig.tell(handle, { status: COMPLETED, result: null });
  assertEquals(rig.told.at(-1), { status: COMPLETED, result: null });
  assertEquals(handle.counters.asked, 0);
  assertEquals((await handle.done).result, null);
});

test("A handle that asks while the device is being read for another gets a reading of its own", async () => {
  const rig = new LrcRig([1, 2], { silence: Infinity });
  const { device, clock } = rig;
  const one = await rig.start();
  const other = await rig.start();
  for (const handle of [one, other]) {
    await rig.tell(handle, { status: IN_PROGRESS });
  }
  device.lag = () => sleep(100, { clock });
  device.emit("_lrcEvent", [one.commandId, "{"]);
  await clock.advance(50);
  device.way = () => [];
  device.tell(other.commandId, { status: COMPLETED, result: [0, "ok"] });
  device.way = (event) => [event];
  device.emit("_lrcEvent", [other.commandId, "{"]);
  await clock.advance(1000);
  assertEquals(one.status, IN_PROGRESS);
  assertEquals(other.status, COMPLETED);
  await one.unsubscribe();
});
