// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { TaskStatus } from "../device_proxy.ts";
import {
  CallbackScheduler,
  connectLrcInterface,
  disconnectLrcInterface,
  invokeLrc,
  listLrcs,
  type LrcHandle,
  type LrcUpdate,
} from "../lrc.ts";
import { deviceError } from "./_lrc_fake.ts";
import { LrcRig, withoutTimes } from "./_lrc_rig.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { unhandledDuring } from "./_unhandled.ts";

const { STAGING, QUEUED, IN_PROGRESS, COMPLETED } = TaskStatus;
const ok = [0, "ok"];

test("CallbackScheduler checks its options", () => {
  assertThrows(
    () => new CallbackScheduler({ capacity: 0 }),
    RangeError,
    "Cannot create CallbackScheduler as 'capacity' must be",
  );
  assertThrows(
    () => new CallbackScheduler({ name: 1 as unknown as string }),
    TypeError,
  );
});

for (const versions of [[1, 1], [1, 2]]) {
  test(`Commands share the subscription of a device in version ${versions[1]}`, async () => {
    const rig = new LrcRig(versions);
    const handles: LrcHandle[] = [];
    for (let count = 0; count < 10; count++) handles.push(await rig.start());
    const each = versions[1] === 1 ? 3 : 1;
    assertEquals(rig.device.subscribers, each);
    assertEquals(rig.scheduler.devices, 1);
    for (const handle of handles) {
      assertEquals(rig.device.subscribers, each);
      await rig.tell(handle, { status: COMPLETED, result: ok });
      assertEquals((await handle.done).result, ok);
    }
    assertEquals(rig.device.subscribers, 0);
    assertEquals(rig.scheduler.devices, 0);
  });
}

test("Commands that come at the same time make one subscription", async () => {
  const rig = new LrcRig();
  rig.device.accepts("Scan");
  const handles = await Promise.all([
    rig.invoke("Scan"),
    rig.invoke("Scan"),
    rig.invoke("Scan"),
  ]);
  assertEquals(rig.device.subscribers, 1);
  const subscribing = rig.device.calls.filter((x) => x.startsWith("sub"));
  assertEquals(subscribing.length, 1);
  for (const handle of handles) await handle.unsubscribe();
  assertEquals(rig.device.subscribers, 0);
});

test("A command that waits for ever for its device holds up no other", async () => {
  const { device, scheduler, options, clock } = new LrcRig();
  device.accepts("Scan");
  let answer: () => void = () => {};
  device.delay = () => new Promise((resolve) => answer = resolve);
  const leaving = new AbortController();
  const { signal } = leaving;
  const waiting = invokeLrc(null, device, "Scan", undefined, {
    ...options,
    signal,
  }).catch((reason) => reason);
  const late = invokeLrc(null, device, "Scan", undefined, {
    ...options,
    timeout: 100,
  }).catch((error) => error.name);
  await clock.advance(100);
  assertEquals(await late, "TimeoutError");

  device.delay = undefined;
  const invoking = invokeLrc(null, device, "Scan", undefined, {
    ...options,
    timeout: 100,
  }).catch((error) => error.name);
  await clock.advance(99);
  const handle = await invoking;
  assert(typeof handle === "object");
  assertEquals(device.subscribers, 1);
  leaving.abort("enough");
  assertEquals(await waiting, "enough");
  answer();
  await clock.advance(0);
  await handle.unsubscribe();
  assertEquals([device.subscribers, scheduler.devices], [0, 0]);
  assertEquals(clock.pending, []);
});

test("A wait for a device that is over does not wait until the device was left", async () => {
  const { device, options, clock } = new LrcRig([1, 1]);
  const subscribe = device.subscribe.bind(device);
  device.subscribe = async (attribute) => {
    if (attribute !== "longRunningCommandStatus") {
      return await new Promise(() => {});
    }
    const subscription = await subscribe(attribute);
    return Object.assign(subscription, {
      return: () => new Promise<never>(() => {}),
    });
  };
  let error: unknown;
  invokeLrc(null, device, "Scan", undefined, { ...options, timeout: 100 })
    .catch((reason) => error = reason);
  await clock.advance(100);
  assert(error instanceof DOMException);
  assertEquals(error.name, "TimeoutError");
  await clock.advance(5000);
  assertEquals(clock.pending, []);
});

test("A connection that stands late is shared and taken back, though others gave up", async () => {
  const { device, scheduler, options, clock } = new LrcRig();
  device.accepts("Scan");
  let answer: () => void = () => {};
  device.delay = () => new Promise((resolve) => answer = resolve);
  const connecting = connectLrcInterface(device, scheduler, { clock });
  const late = invokeLrc(null, device, "Scan", undefined, {
    ...options,
    timeout: 100,
  }).catch((error) => error.name);
  await clock.advance(100);
  assertEquals(await late, "TimeoutError");
  device.delay = undefined;
  answer();
  await connecting;
  assertEquals([device.subscribers, scheduler.devices], [1, 1]);
  const handle = await invokeLrc(null, device, "Scan", undefined, options);
  assertEquals(device.subscribers, 1);
  await handle.unsubscribe();
  await disconnectLrcInterface(device, scheduler);
  assertEquals([device.subscribers, scheduler.devices], [0, 0]);
});

test("connectLrcInterface keeps the subscription until it is disconnected", async () => {
  const { device, scheduler, options, clock } = new LrcRig();
  const connection = await connectLrcInterface(device, scheduler, { clock });
  await connectLrcInterface(device, scheduler, { clock });
  device.accepts(
    "Scan",
    (id) => device.tell(id, { status: COMPLETED, result: ok }),
  );
  for (let count = 0; count < 3; count++) {
    const handle = await invokeLrc(null, device, "Scan", undefined, options);
    await handle.done;
    assertEquals(device.subscribers, 1);
  }
  assertEquals(device.calls.filter((x) => x.startsWith("sub")).length, 1);
  await connection[Symbol.asyncDispose]();
  assertEquals(device.subscribers, 1);
  await connection[Symbol.asyncDispose]();
  assertEquals(device.subscribers, 1);
  await disconnectLrcInterface(device, scheduler);
  assertEquals(device.subscribers, 0);
  await disconnectLrcInterface(device, scheduler);
  assertEquals(scheduler.devices, 0);
});

test("connectLrcInterface leaves nothing when it fails", async () => {
  const { device, scheduler, clock } = new LrcRig();
  device.failure = () => deviceError("API_Refused");
  for (let time = 0; time < 2; time++) {
    const all = await Promise.allSettled([
      connectLrcInterface(device, scheduler, { clock }),
      connectLrcInterface(device, scheduler, { clock }),
    ]);
    assert(all.every(({ status }) => status === "rejected"));
    assertEquals(scheduler.devices, 0);
  }
  device.failure = undefined;
  await connectLrcInterface(device, scheduler, { clock });
  assertEquals(device.subscribers, 1);
  await disconnectLrcInterface(device, scheduler);
  assertEquals(device.subscribers, 0);
});

test("connectLrcInterface and listLrcs ask nothing when their signal has aborted", async () => {
  const { device, scheduler } = new LrcRig();
  const options = { signal: AbortSignal.abort("dawn") };
  for (
    const asking of [
      connectLrcInterface(device, scheduler, options),
      listLrcs(device, options),
    ]
  ) {
    assertEquals(await asking.catch((error) => error), "dawn");
  }
  assertEquals(device.calls, []);
  assertEquals(scheduler.devices, 0);
});

test("A slow callback holds up its own command only, in order", async () => {
  const rig = new LrcRig();
  const { device, options, clock } = rig;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => open = resolve);
  const slow: LrcUpdate[] = [];
  device.accepts("Scan");
  const handle = await invokeLrc(
    async (update) => {
      await gate;
      slow.push(update);
    },
    device,
    "Scan",
    undefined,
    options,
  );
  const other = await rig.start();
  await rig.tell(handle, { status: QUEUED }, { status: IN_PROGRESS });
  await rig.tell(other, { status: QUEUED });
  assertEquals(rig.told, [{ status: STAGING }, { status: QUEUED }]);
  assertEquals(slow, []);
  assertEquals(rig.scheduler.pending, 2);
  await rig.tell(handle, { result: ok }, { status: COMPLETED });
  assertEquals((await handle.done).result, ok);
  open();
  await clock.advance(0);
  assertEquals(withoutTimes(slow), [
    { status: STAGING },
    { status: QUEUED },
    { status: IN_PROGRESS },
    { result: ok },
    { status: COMPLETED },
  ]);
  assertEquals(rig.scheduler.pending, 0);
  await other.unsubscribe();
});

test("What a slow callback cannot keep up with is merged, and its end is not lost", async () => {
  const scheduler = new CallbackScheduler({ capacity: 2 });
  const rig = new LrcRig([1, 2], { scheduler });
  const { device, options, clock } = rig;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => open = resolve);
  const slow: LrcUpdate[] = [];
  device.accepts("Scan");
  const handle = await invokeLrc(
    async (update) => {
      slow.push(update);
      await gate;
    },
    device,
    "Scan",
    undefined,
    options,
  );
  await clock.advance(0);
  await rig.tell(handle, { status: QUEUED }, { status: IN_PROGRESS });
  for (let progress = 1; progress <= 50; progress++) {
    await rig.tell(handle, { progress });
  }
  await rig.tell(handle, { result: ok }, { status: COMPLETED });
  open();
  await clock.advance(0);
  assertEquals(withoutTimes(slow), [
    { status: STAGING },
    { status: QUEUED },
    { status: COMPLETED, progress: 50, result: ok },
  ]);
  assertEquals(scheduler.coalesced, 52);
  assertEquals(scheduler.pending, 0);
});

test("A callback that fails is reported and called again", async () => {
  const logger = new RecordingLogger();
  const scheduler = new CallbackScheduler({ logger });
  const rig = new LrcRig([1, 2], { scheduler, logger: undefined });
  const { device, options } = rig;
  let calls = 0;
  device.accepts("Scan");
  const unhandled = await unhandledDuring(async () => {
    const handle = await invokeLrc(
      () => {
        if (++calls === 1) throw new Error("at once");
        return Promise.reject(new Error("later"));
      },
      device,
      "Scan",
      undefined,
      options,
    );
    await rig.tell(handle, { status: QUEUED }, {
      status: COMPLETED,
      result: ok,
    });
    assertEquals((await handle.done).result, ok);
  });
  assertEquals(unhandled, []);
  assertEquals(calls, 3);
  assertEquals(logger.lines.length, 3);
  assertEquals(
    logger.lines[0],
    "error The callback of command 'Scan' of 'test/fake/1' has failed: Error: at once",
  );
});

test("A callback may leave its command", async () => {
  const rig = new LrcRig();
  const { device, options, clock } = rig;
  device.accepts("Scan");
  const seen: unknown[] = [];
  const handle = await invokeLrc(
    (update) => {
      seen.push(update.status);
      if (update.status === QUEUED) handle.unsubscribe();
    },
    device,
    "Scan",
    undefined,
    options,
  );
  device.tell(handle.commandId, { status: QUEUED });
  device.tell(handle.commandId, { status: IN_PROGRESS });
  device.tell(handle.commandId, { status: COMPLETED, result: ok });
  await clock.advance(0);
  assertEquals(seen.slice(0, 2), [STAGING, QUEUED]);
  assertEquals(device.subscribers, 0);
});

test("A handle gives its updates to any number of iterators, to the end", async () => {
  const rig = new LrcRig();
  const handle = await rig.start();
  await rig.tell(handle, { status: QUEUED }, { progress: 1 });
  const collect = async (): Promise<unknown[]> =>
    withoutTimes(await Array.fromAsync(handle));
  const both = [collect(), collect()];
  const { value: first } = await handle[Symbol.asyncIterator]().next();
  assertEquals(first?.progress, 1);
  await rig.tell(handle, { status: COMPLETED, result: ok });
  for (const updates of await Promise.all(both)) {
    assertEquals(updates, [
      { status: QUEUED, progress: 1 },
      { status: COMPLETED, result: ok },
    ]);
  }
  assertEquals(await collect(), [{
    status: COMPLETED,
    progress: 1,
    result: ok,
  }]);
});

test("An iterator that is read too slowly still gets the end", async () => {
  const rig = new LrcRig([1, 1]);
  const handle = await rig.start();
  const iterator = handle[Symbol.asyncIterator]();
  await rig.tell(handle, { result: ok });
  for (let progress = 0; progress < 1200; progress++) {
    rig.device.tell(handle.commandId, { progress });
  }
  await rig.clock.advance(0);
  await rig.tell(handle, { status: COMPLETED });
  const updates = await Array.fromAsync(iterator);
  assertEquals(withoutTimes(updates).at(-1), {
    status: COMPLETED,
    progress: 1199,
    result: ok,
  });
});
