// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "@std/testing/bdd";
import { backoff } from "../backoff.ts";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import type { InvokeLrcOptions, LrcHandle } from "../lrc.ts";
import { deviceError } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { CountingController } from "./_listeners.ts";

const { QUEUED, IN_PROGRESS, COMPLETED, NOT_FOUND } = TaskStatus;
const ok = [0, "ok"];

async function assertTimeout(
  rig: LrcRig,
  handle: LrcHandle,
  what: string,
): Promise<void> {
  assert(handle.ended);
  const done = await handle.done;
  assertEquals(done.resultCode, ResultCode.FAILED);
  assertInstanceOf(done.exception, DOMException);
  assertEquals(done.exception.name, "TimeoutError");
  assertEquals(
    done.message,
    `Command 'Scan' of 'test/fake/1' ${what}`,
  );
  assertEquals(rig.clock.pending, []);
  assertEquals(rig.device.subscribers, 0);
}

const begin = async (
  options: InvokeLrcOptions,
): Promise<[LrcRig, LrcHandle]> => {
  const rig = new LrcRig([1, 2], { silence: Infinity, ...options });
  return [rig, await rig.start()];
};

test("A handle ends when the timeout is over and says what was seen", async () => {
  const [rig, handle] = await begin({ timeout: 1000 });
  await rig.clock.advance(300);
  await rig.tell(handle, { status: IN_PROGRESS }, { progress: 40 });
  await rig.clock.advance(699);
  assertEquals(handle.ended, false);
  await rig.clock.advance(1);
  await assertTimeout(
    rig,
    handle,
    "has not ended within 1000 ms: last seen IN_PROGRESS, progress 40, 700 ms ago",
  );
  assert(!rig.device.calls.includes("Abort"));
});

test("A handle that times out while it waits for the result alone says how the command has ended", async () => {
  for (
    const [status, code] of [
      [COMPLETED, ResultCode.UNKNOWN],
      [TaskStatus.FAILED, ResultCode.FAILED],
      [TaskStatus.ABORTED, ResultCode.ABORTED],
    ] as const
  ) {
    const [rig, handle] = await begin({ timeout: 5000, abortOnTimeout: true });
    rig.device.failure = () => deviceError("API_Refused");
    await rig.tell(handle, { status });
    assertEquals(handle.ended, false);
    await rig.clock.advance(5000);
    const done = await handle.done;
    assertEquals([done.status, done.resultCode], [status, code]);
    assertEquals(done.exception, undefined);
    assertEquals(rig.updates.at(-1)?.status, status);
    assertEquals(rig.device.calls.includes("Abort"), false);
    assertEquals(rig.clock.pending, []);
  }
});

test("A handle that times out tells no more", async () => {
  const [rig, handle] = await begin({ timeout: 1000 });
  await rig.clock.advance(1000);
  const { told } = rig;
  rig.device.tell(handle.commandId, { status: COMPLETED, result: ok });
  await rig.clock.advance(1000);
  assertEquals(rig.told, told);
});

test("A handle sends Abort when the timeout is over, if it is told to", async () => {
  const [rig] = await begin({ timeout: 1000, abortOnTimeout: true });
  await rig.clock.advance(1000);
  assertEquals(rig.device.calls.at(-1), "Abort");
  // The device does not know it.
  assertEquals(rig.logger.of("warn").length, 1);
});

test("A handle has more time after each progress, if it is told so", async () => {
  const [rig, handle] = await begin({ timeout: 1000, extendOnProgress: 500 });
  for (let progress = 0; progress < 10; progress++) {
    await rig.clock.advance(400);
    assertEquals(handle.ended, false);
    await rig.tell(handle, { progress });
  }
  // The same again is no progress.
  await rig.clock.advance(400);
  await rig.tell(handle, { progress: 9 });
  await rig.clock.advance(100);
  await assertTimeout(
    rig,
    handle,
    "has not ended within 1000 ms, nor within 500 ms after its last progress: " +
      "last seen STAGING, progress 9, 4500 ms ago",
  );
});

test("A handle ends when nothing new comes for the idle timeout", async () => {
  const [rig, handle] = await begin({ idleTimeout: 1000 });
  await rig.clock.advance(900);
  await rig.tell(handle, { status: QUEUED });
  await rig.clock.advance(900);
  await rig.tell(handle, { status: QUEUED });
  await rig.clock.advance(100);
  await assertTimeout(
    rig,
    handle,
    "has told nothing new for 1000 ms: last seen QUEUED, 1000 ms ago",
  );
});

test("A handle ends when nothing comes at all for the first timeout", async () => {
  const rig = new LrcRig([1, 2], {
    silence: Infinity,
    firstEventTimeout: 200,
    idleTimeout: 1000,
  });
  rig.device.way = () => [];
  const handle = await rig.start();
  await rig.clock.advance(200);
  await assertTimeout(
    rig,
    handle,
    "has told nothing within 200 ms: nothing was seen of it",
  );
});

test("A handle asks the device before it is idle for too long", async () => {
  const rig = new LrcRig([1, 2], { idleTimeout: 1000 });
  rig.device.way = () => [];
  const handle = await rig.start();
  for (const status of [QUEUED, IN_PROGRESS]) {
    rig.device.tell(handle.commandId, { status });
    await rig.clock.advance(900);
    assertEquals(handle.status, status);
  }
  rig.device.tell(handle.commandId, { status: COMPLETED, result: ok });
  await rig.clock.advance(900);
  assertEquals((await handle.done).resultCode, ResultCode.OK);
});

test("A handle ends when its signal aborts, with the reason as a value", async () => {
  const controller = new CountingController();
  const [rig, handle] = await begin({ signal: controller.signal });
  assertEquals(controller.listeners, 1);
  controller.abort("dawn");
  const done = await handle.done;
  assertEquals(done.exception, "dawn");
  assertEquals(done.resultCode, ResultCode.UNKNOWN);
  assertEquals(controller.listeners, 0);
  assertEquals(rig.device.subscribers, 0);
  assertEquals(rig.clock.pending, []);
});

test("A handle that was left ends at once and tells no more", async () => {
  const [rig, handle] = await begin({});
  rig.device.tell(handle.commandId, { status: QUEUED });
  const left = handle.unsubscribe();
  assertEquals(handle.ended, true);
  await left;
  await handle.unsubscribe();
  await rig.clock.advance(100);
  assertEquals(rig.told, [{ status: 0 }]);
  const done = await handle.done;
  assertEquals(done.resultCode, ResultCode.UNKNOWN);
  assertEquals((done.exception as Error).name, "AbortError");
  assertEquals(rig.device.subscribers, 0);
  assertEquals(rig.clock.pending, []);
});

test("A handle that was left does not wait for ever for a subscription that does not end", async () => {
  const [rig, handle] = await begin({});
  for (const set of rig.device.subscriptions.values()) {
    for (const each of set) each.return = () => new Promise(() => {});
  }
  let isLeft = false;
  const leaving = handle.unsubscribe().then(() => isLeft = true);
  await rig.clock.advance(4999);
  assertEquals(isLeft, false);
  await rig.clock.advance(1);
  await leaving;
  assertEquals(rig.logger.of("warn").length, 1);
});

test("A handle is disposable", async () => {
  const rig = new LrcRig();
  const first = await rig.start();
  await first[Symbol.asyncDispose]();
  assertEquals(first.ended, true);
  const second = await rig.start();
  second[Symbol.dispose]();
  assertEquals(second.ended, true);
  assertEquals(rig.device.subscribers, 0);
});

test("A handle that polls subscribes to nothing and finds all", async () => {
  const rig = new LrcRig([1, 2], { poll: true });
  const handle = await rig.start();
  assertEquals(rig.device.subscribers, 0);
  await rig.tell(handle, { status: QUEUED });
  await rig.clock.advance(100);
  await rig.tell(handle, { status: IN_PROGRESS, progress: 5 });
  await rig.clock.advance(100);
  await rig.tell(handle, { status: COMPLETED, result: ok });
  await rig.clock.advance(100);
  assertEquals(rig.told, [
    { status: QUEUED },
    { status: IN_PROGRESS, progress: 5 },
    { status: COMPLETED, result: ok },
  ]);
  assert(rig.updates.every(({ source }) => source === "poll"));
  assertEquals((await handle.done).resultCode, ResultCode.OK);
  assertEquals(handle.counters.repairs, 0);
  assertEquals(rig.clock.pending, []);
});

test("A handle polls as its policy says, and begins anew with news", async () => {
  const poll = backoff({ limit: Infinity, initial: 100, factor: 2 });
  const rig = new LrcRig([1, 2], { poll });
  const handle = await rig.start();
  await rig.clock.advance(100);
  const { asked } = handle.counters;
  assertEquals(asked, 1);
  // The staging was news.
  await rig.clock.advance(100);
  assertEquals(handle.counters.asked, 2);
  await rig.clock.advance(199);
  assertEquals(handle.counters.asked, 2);
  await rig.clock.advance(1);
  assertEquals(handle.counters.asked, 3);
  await handle.unsubscribe();
});

test("A handle whose poll policy comes to its end polls on as before", async () => {
  const poll = backoff({ limit: 3, initial: 100 });
  const rig = new LrcRig([1, 2], { poll });
  const handle = await rig.start();
  await rig.clock.advance(10_000);
  const { asked } = handle.counters;
  await rig.clock.advance(4000);
  assertEquals(handle.counters.asked, asked + 10);
  await rig.tell(handle, { status: COMPLETED, result: ok });
  await rig.clock.advance(400);
  assertEquals((await handle.done).resultCode, ResultCode.OK);
});

test("A handle that polls goes on when the device fails, and tells it", async () => {
  const rig = new LrcRig([1, 2], { poll: true });
  const handle = await rig.start();
  rig.device.failure = () => deviceError("API_Refused");
  await rig.clock.advance(10_000);
  assertEquals(rig.updates.at(-1)?.errors?.[0]?.reason, "API_Refused");
  rig.device.failure = undefined;
  await rig.tell(handle, { status: COMPLETED, result: ok });
  await rig.clock.advance(30_000);
  assertEquals((await handle.done).resultCode, ResultCode.OK);
});

test("A handle that polls a device that cannot be asked says that it does not know", async () => {
  const rig = new LrcRig([1, 2], { poll: true });
  const { device } = rig;
  device.canCheck = false;
  device.attributeNames = () => Promise.resolve(["State"]);
  const handle = await rig.start();
  await rig.clock.advance(1000);
  assertEquals((await handle.done).status, NOT_FOUND);
});
