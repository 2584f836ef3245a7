// Copyright 2026 the Longrun authors. MIT license.

/** Devices that come back as others, and answers that never come. */

import { assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { type DeviceProxy, ResultCode, TaskStatus } from "../device_proxy.ts";
import {
  CallbackScheduler,
  connectLrcInterface,
  disconnectLrcInterface,
  invokeLrc,
  ProtocolVersionError,
} from "../lrc.ts";
import { LrcDevice } from "../lrc_device.ts";
import { ManualClock } from "../testing.ts";
import { deviceError } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";

const { IN_PROGRESS, COMPLETED, NOT_FOUND } = TaskStatus;
const end = { status: COMPLETED, result: [0, "ok"] };

type Versions = readonly [least: number, most: number];

/** A device whose server can be started anew, in another version. */
function restartable(clock: ManualClock, protocolVersions: Versions) {
  const make = (protocolVersions: Versions) =>
    new LrcDevice({
      name: "test/lrc/1",
      clock,
      protocolVersions,
      commands: {
        Scan: async ({ sleep }) => {
          await sleep(100);
          return [ResultCode.OK, "Scanned"];
        },
      },
    });
  let device = make(protocolVersions);
  const proxy: DeviceProxy = {
    name: "test/lrc/1",
    attributeNames: (options) => device.attributeNames(options),
    readAttributes: (names, options) => device.readAttributes(names, options),
    command: (...args) => device.command(...args),
    subscribe: (attribute, options) => device.subscribe(attribute, options),
  };
  return {
    proxy,
    stop: () => device.stop(),
    start: (versions: Versions) => device = make(versions),
    get subscriptions() {
      return device.subscriptions;
    },
  };
}

const changes: (readonly [before: Versions, after: Versions])[] = [
  [[1, 2], [1, 1]],
  [[2, 2], [1, 1]],
  [[1, 1], [1, 2]],
  [[1, 1], [2, 2]],
  [[1, 2], [2, 2]],
];

for (const [before, after] of changes) {
  const [old, young] = [Math.min(2, before[1]), Math.min(2, after[1])];
  test(`A device that spoke [${before}] and is started anew with [${after}] is understood again`, async () => {
    const clock = new ManualClock();
    const scheduler = new CallbackScheduler();
    const options = { clock, scheduler, silence: Infinity };
    const rig = restartable(clock, before);
    const { proxy } = rig;
    await connectLrcInterface(proxy, scheduler, { clock });
    const first = await invokeLrc(null, proxy, "Scan", undefined, options);
    await clock.advance(200);
    assertEquals((await first.done).resultCode, ResultCode.OK);
    assertEquals(first.protocolVersion, old);

    await rig.stop();
    await clock.advance(100_000);
    rig.start(after);
    await clock.advance(100_000);
    const second = await invokeLrc(null, proxy, "Scan", undefined, options);
    await clock.advance(200);
    assertEquals((await second.done).resultCode, ResultCode.OK);
    assertEquals(second.protocolVersion, young);
    // It was told by events, nobody had to ask.
    assertEquals(second.counters.asked, 0);
    assertEquals(rig.subscriptions, young === 1 ? 3 : 1);

    await disconnectLrcInterface(proxy, scheduler);
    assertEquals(rig.subscriptions, 0);
    await rig.stop();
    await clock.advance(100_000);
    assertEquals(clock.pending, []);
  });
}

test("A device in another version is understood by events that never end, but tell errors", async () => {
  const rig = new LrcRig([1, 2], { silence: Infinity });
  const { device, clock, scheduler } = rig;
  await connectLrcInterface(device, scheduler, { clock });
  const first = await rig.start();
  device.forget();
  device.versions = undefined;
  device.hasTables = false;
  device.failure = (call) =>
    /_lrcEvent|lrcFinished/.test(call)
      ? deviceError("API_AttrNotFound")
      : undefined;
  device.disturb();
  await clock.advance(0);
  assertEquals((await first.done).status, NOT_FOUND);
  const second = await rig.start();
  await rig.tell(second, end);
  assertEquals((await second.done).resultCode, ResultCode.OK);
  assertEquals(second.protocolVersion, 1);
  assertEquals(device.subscribers, 3);
  await disconnectLrcInterface(device, scheduler);
  assertEquals(device.subscribers, 0);
  assertEquals(clock.pending, []);
});

test("A device that is polled is understood though it comes back without its tables", async () => {
  const rig = new LrcRig([1, 2], { poll: true });
  const { device, clock } = rig;
  const handle = await rig.start();
  await clock.advance(1000);
  device.versions = undefined;
  device.hasTables = false;
  device.failure = (call) =>
    call.includes("lrcFinished") ? deviceError("API_AttrNotFound") : undefined;
  await rig.tell(handle, end);
  await clock.advance(10_000);
  assertEquals((await handle.done).resultCode, ResultCode.OK);
  assertEquals(handle.protocolVersion, 1);
  assertEquals(device.calls.some((call) => call.startsWith("sub")), false);
  assertEquals(clock.pending, []);
});

test("A device that speaks no version any more that this client speaks is sent nothing", async () => {
  const rig = new LrcRig([1, 2]);
  const { device, clock, scheduler } = rig;
  await connectLrcInterface(device, scheduler, { clock });
  device.accepts("On");
  device.versions = [3, 4];
  for (const breaks of [() => device.disturb(), () => device.cut()]) {
    breaks();
    await clock.advance(0);
    await assertRejects(() => rig.invoke("On"), ProtocolVersionError);
  }
  assertEquals(device.calls.includes("On"), false);
  device.versions = [2, 3];
  await clock.advance(60_000);
  const handle = await rig.start("On");
  await rig.tell(handle, end);
  assertEquals((await handle.done).resultCode, ResultCode.OK);
  await disconnectLrcInterface(device, scheduler);
  assertEquals(clock.pending, []);
});

const never = new Promise<never>(() => {});

test("An answer that never comes does not keep a device from being asked again", async () => {
  for (const what of ["attributeNames", "read", "Check"]) {
    const rig = new LrcRig([1, 2], { silence: Infinity });
    const { device, clock } = rig;
    const handle = await rig.start();
    device.delay = (call) => call.startsWith(what) ? never : Promise.resolve();
    device.disturb();
    await clock.advance(0);
    device.delay = undefined;
    device.way = () => [];
    await rig.tell(handle, end);
    await clock.advance(60_000);
    assertEquals((await handle.done).resultCode, ResultCode.OK, what);
    assertEquals(clock.pending, []);
  }
});

test("A subscription that never comes is asked for again", async () => {
  const rig = new LrcRig([1, 2], { silence: Infinity });
  const { device, clock } = rig;
  const handle = await rig.start();
  await rig.tell(handle, { status: IN_PROGRESS });
  device.cut();
  device.delay = (call) =>
    call.startsWith("subscribe") ? never : Promise.resolve();
  await clock.advance(5000);
  device.delay = undefined;
  await clock.advance(60_000);
  assertEquals(device.subscribers, 1);
  await rig.tell(handle, end);
  assertEquals((await handle.done).resultCode, ResultCode.OK);
  assertEquals(device.subscribers, 0);
  assertEquals(clock.pending, []);
});
