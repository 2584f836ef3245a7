// Copyright 2026 the Longrun authors. MIT license.

/** The client and the device of this package, together. */

import { assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { sleep } from "../cancellation.ts";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import {
  abortDevice,
  attachLrc,
  CallbackScheduler,
  CommandError,
  invokeLrc,
  type LrcUpdate,
} from "../lrc.ts";
import { LrcDevice } from "../lrc_device.ts";
import { FaultyDevice, ManualClock } from "../testing.ts";
import { withoutTimes } from "./_lrc_rig.ts";
import { RecordingLogger } from "./_recording_logger.ts";

const { IN_PROGRESS, COMPLETED, ABORTED, FAILED } = TaskStatus;

function rig(protocolVersions: readonly [number, number]) {
  const clock = new ManualClock();
  const scheduler = new CallbackScheduler();
  const device = new LrcDevice({
    name: "test/device/1",
    protocolVersions,
    clock,
    logger: new RecordingLogger(),
    commands: {
      On: {
        refuse: () => isOn ? "Device is already in ON state." : undefined,
        execute: async ({ progress, sleep }: {
          progress: (value: number) => void;
          sleep: (ms: number) => Promise<void>;
        }) => {
          await sleep(10);
          progress(33);
          await sleep(10);
          progress(66);
          await sleep(10);
          isOn = true;
          return [ResultCode.OK, "On command completed OK"];
        },
      },
      Hang: ({ signal }) => sleep(Infinity, { signal, clock }),
      Boom: () => {
        throw new Error("boom");
      },
    },
  });
  let isOn = false;
  return { clock, scheduler, device, options: { clock, scheduler } };
}

for (const protocolVersions of [[1, 1], [1, 2]] as const) {
  const name = `in version ${protocolVersions[1]}`;

  test(`A command goes its way and is then rejected, ${name}`, async () => {
    const { clock, scheduler, device, options } = rig(protocolVersions);
    const updates: LrcUpdate[] = [];
    const handle = await invokeLrc(
      (update) => void updates.push(update),
      device,
      "On",
      undefined,
      options,
    );
    await clock.advance(100);
    const result = [0, "On command completed OK"];
    const done = await handle.done;
    assertEquals(done.resultCode, ResultCode.OK);
    assertEquals(done.result, result);
    const told = withoutTimes(updates).flatMap((news) =>
      Object.entries(news as object)
    );
    assertEquals(
      told.filter(([key]) => key === "status").map(([, value]) => value),
      [...done.taskStatusEvents],
    );
    assertEquals(done.taskStatusEvents.at(-1), COMPLETED);
    assertEquals(done.taskStatusEvents.includes(IN_PROGRESS), true);
    assertEquals(
      told.filter(([key]) => key === "progress").map(([, value]) => value),
      [33, 66],
    );
    await assertRejects(
      () => invokeLrc(null, device, "On", undefined, options),
      CommandError,
      "On command rejected: Device is already in ON state.",
    );
    assertEquals(scheduler.devices, 0);
    await device.stop();
  });

  test(`An abort ends what is executed and what waits, ${name}`, async () => {
    const { clock, device, options } = rig(protocolVersions);
    const first = await invokeLrc(null, device, "Hang", undefined, options);
    const second = await invokeLrc(null, device, "Hang", undefined, options);
    await clock.advance(10);
    const aborting = abortDevice(device, options);
    await clock.advance(20_000);
    assertEquals((await aborting).resultCode, ResultCode.OK);
    for (const handle of [first, second]) {
      const done = await handle.done;
      assertEquals(done.status, ABORTED);
      assertEquals(done.resultCode, ResultCode.ABORTED);
    }
    await device.stop();
  });

  test(`A command that throws has failed, ${name}`, async () => {
    const { clock, device, options } = rig(protocolVersions);
    const handle = await invokeLrc(null, device, "Boom", undefined, options);
    await clock.advance(20_000);
    const done = await handle.done;
    assertEquals(done.status, FAILED);
    assertEquals(done.resultCode, ResultCode.FAILED);
    await device.stop();
  });

  test(`A command ends as the device says, whatever its way does, ${name}`, async () => {
    const fraction = fc.constantFrom(0, 0.3, 1);
    const network = fc.record({
      seed: fc.nat(),
      answerDelay: fc.constantFrom(0, 5, 50),
      eventDelay: fc.tuple(fc.nat(20), fc.nat(200)),
      reorder: fc.boolean(),
      duplicateFirst: fc.boolean(),
      duplicate: fraction,
      drop: fraction,
      malform: fraction,
    });
    const name = fc.constantFrom("On", "Boom", "Hang");
    const away = fc.option(fc.tuple(fc.nat(100), fc.nat(30_000)));
    await fc.assert(
      fc.asyncProperty(network, name, away, async (faults, command, away) => {
        const { clock, scheduler, device, options } = rig(protocolVersions);
        const way = new FaultyDevice(device, { ...faults, clock });
        const updates: LrcUpdate[] = [];
        const invoking = invokeLrc(
          (update) => void updates.push(update),
          way,
          command,
          undefined,
          options,
        );
        await clock.advance(60);
        const handle = await invoking;
        if (away !== null) {
          const [before, gone] = away;
          await clock.advance(before);
          way.disconnect();
          await clock.advance(gone);
          way.reconnect();
        }
        if (command === "Hang") await device.command("Abort", undefined);
        await clock.advance(300_000);
        const done = await handle.done;
        const ends = {
          On: [COMPLETED, ResultCode.OK],
          Boom: [FAILED, ResultCode.FAILED],
          Hang: [ABORTED, ResultCode.ABORTED],
        } as const;
        assertEquals([done.status, done.resultCode], [...ends[command]]);
        assertEquals(updates.at(-1)?.status, done.status);
        assertEquals(scheduler.devices, 0);
        await device.stop();
        await clock.advance(30_000);
        assertEquals(clock.pending, []);
      }),
      { numRuns: 60 },
    );
  });

  test(`A command is found again and polled, ${name}`, async () => {
    const { clock, device, options } = rig(protocolVersions);
    const first = await invokeLrc(null, device, "On", undefined, options);
    const text = first.serialize();
    await first.unsubscribe();
    const poll = true;
    const again = await attachLrc(null, device, text, { ...options, poll });
    await clock.advance(20_000);
    assertEquals((await again.done).resultCode, ResultCode.OK);
    const late = await attachLrc(null, device, text, options);
    await clock.advance(0);
    assertEquals((await late.done).resultCode, ResultCode.OK);
    await device.stop();
  });
}
