// Copyright 2026 the Longrun authors. MIT license.

/** The tests of the original's client, for both versions of its protocol. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import { CommandError } from "../lrc.ts";
import { answer } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { turns } from "./_turns.ts";

const { STAGING, QUEUED, IN_PROGRESS, COMPLETED, FAILED, REJECTED, ABORTED } =
  TaskStatus;

for (const versions of [[1, 1], [1, 2]]) {
  const name = `Protocol ${versions.at(-1)}`;

  test(`${name}: a command tells its statuses, its progress and its result in order`, async () => {
    const rig = new LrcRig(versions);
    const { device, clock } = rig;
    const handle = await rig.start("On");
    const result = [0, "On command completed OK"];
    await rig.tell(
      handle,
      { status: QUEUED },
      { status: IN_PROGRESS },
      { progress: 33 },
      { progress: 66 },
      { result },
      { status: COMPLETED },
    );
    assertEquals(rig.told, [
      { status: STAGING },
      { status: QUEUED },
      { status: IN_PROGRESS },
      { progress: 33 },
      { progress: 66 },
      { result },
      { status: COMPLETED },
    ]);
    assertEquals(handle.protocolVersion, versions.at(-1));
    const done = await handle.done;
    assertEquals(done.resultCode, ResultCode.OK);
    assertEquals(done.result, result);
    assertEquals(done.message, "On command completed OK");
    assertEquals(done.taskStatusEvents, [
      STAGING,
      QUEUED,
      IN_PROGRESS,
      COMPLETED,
    ]);
    assertEquals(device.subscribers, 0);
    assertEquals(clock.pending, []);
  });

  test(`${name}: a command that is rejected at once throws, and nothing is told`, async () => {
    const rig = new LrcRig(versions);
    const { device } = rig;
    const reason = "Device is already in ON state.";
    device.answers.set("On", () => answer(ResultCode.REJECTED, reason));
    await assertRejects(
      () => rig.invoke("On"),
      CommandError,
      `On command rejected: ${reason}`,
    );
    await rig.clock.advance(100_000);
    assertEquals(rig.told, []);
    assertEquals(device.subscribers, 0);
    assertEquals(rig.scheduler.devices, 0);
  });

  for (const raw of [false, true]) {
    const mode = raw ? "with repetitions when raw" : "without repetitions";
    test(`${name}: an abort ends a command and then itself, ${mode}`, async () => {
      const rig = new LrcRig(versions, { raw });
      const on = await rig.start("On");
      await rig.tell(on, { status: IN_PROGRESS });
      rig.updates.length = 0;
      const abort = await rig.start("Abort");
      await rig.tell(abort, { status: IN_PROGRESS });
      const aborted = [7, "Command has been aborted"];
      await rig.tell(on, { result: aborted }, { status: ABORTED });
      const ok = [0, "Abort completed OK"];
      await rig.tell(abort, { result: ok }, { status: COMPLETED });
      const repeats = raw && versions.at(-1) === 1;
      const again = (status: TaskStatus) => repeats ? [{ status }] : [];
      assertEquals(rig.told, [
        ...again(IN_PROGRESS),
        { status: STAGING },
        ...again(IN_PROGRESS),
        { status: IN_PROGRESS },
        { result: aborted },
        { status: ABORTED },
        ...again(IN_PROGRESS),
        { result: ok },
        { status: COMPLETED },
      ]);
      assertEquals((await on.done).resultCode, ResultCode.ABORTED);
      assertEquals((await abort.done).resultCode, ResultCode.OK);
      assertEquals((await on.done).taskStatusEvents, [
        STAGING,
        IN_PROGRESS,
        ABORTED,
      ]);
    });
  }

  for (
    const [status, result, what] of [
      [FAILED, [3, "Unhandled exception during execution: x"], "fails"],
      [
        REJECTED,
        [5, "Exception from 'is_cmd_allowed' method: x"],
        "is refused",
      ],
      [REJECTED, [6, "Command is not allowed"], "is not allowed"],
    ] as const
  ) {
    test(`${name}: a command that ${what} before it is executed says why`, async () => {
      const rig = new LrcRig(versions);
      const handle = await rig.start();
      await rig.tell(handle, { status: QUEUED }, { result }, { status });
      assertEquals(rig.told, [
        { status: STAGING },
        { status: QUEUED },
        { result },
        { status },
      ]);
      const done = await handle.done;
      assertEquals(done.resultCode, result[0]);
      assertEquals(done.message, result[1]);
      assertEquals(done.exception, undefined);
    });
  }

  test(`${name}: a progress that is a text and an end without a result are taken as they are`, async () => {
    const rig = new LrcRig(versions);
    const handle = await rig.start();
    await rig.tell(
      handle,
      { progress: "half" },
      { status: IN_PROGRESS },
      { status: COMPLETED },
    );
    assertEquals(rig.told, [
      { status: STAGING },
      { progress: "half" },
      { status: IN_PROGRESS },
      { status: COMPLETED },
    ]);
    const done = await handle.done;
    assertEquals(done.resultCode, ResultCode.UNKNOWN);
    assertEquals(done.status, COMPLETED);
    assertEquals(done.result, undefined);
  });

  test(`${name}: 2000 progresses and an abort go through`, async () => {
    const rig = new LrcRig(versions);
    const handle = await rig.start();
    for (let progress = 0; progress < 2000; progress++) {
      rig.device.tell(handle.commandId, { progress });
      await turns(8);
    }
    await rig.tell(handle, { result: [7, "aborted"] }, { status: ABORTED });
    assert((await handle.done).status === ABORTED);
    assertEquals(rig.told.length, 2003);
  });
}
