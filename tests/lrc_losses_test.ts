// Copyright 2026 the Longrun authors. MIT license.

/**
 * A command whose events take a way full of faults, against the device itself:
 * at the end the handle knows what the device knows, or knows that it does not.
 */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { sleep } from "../cancellation.ts";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import type { InvokeLrcOptions, LrcHandle } from "../lrc.ts";
import { answer } from "./_lrc_fake.ts";
import { ends, LrcModel, scriptWith, type Step } from "./_lrc_model.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const { STAGING, QUEUED, IN_PROGRESS, NOT_FOUND } = TaskStatus;

const script = scriptWith();

/** What a device can be asked, and how long that takes. */
interface Abilities {
  hasTables: boolean;
  canCheck: boolean;
  lag: number;
  /** How many steps the answer to the command takes, which has the id. */
  early: number;
}

const abilities: fc.Arbitrary<Abilities> = fc.record({
  hasTables: fc.boolean(),
  canCheck: fc.boolean(),
  lag: fc.constantFrom(0, 0, 1500),
  early: fc.constantFrom(0, 0, 1, 3, 20),
});

/** Sends a command whose answer comes when some of its life is over. */
async function start(
  model: LrcModel,
  steps: readonly Step[],
  count: number,
): Promise<LrcHandle> {
  const { rig } = model;
  const gate = Promise.withResolvers<void>();
  rig.device.answers.set("Scan", async () => {
    model.id = rig.device.stage("Scan");
    await gate.promise;
    return answer(ResultCode.QUEUED, model.id);
  });
  const starting = rig.invoke("Scan");
  await rig.clock.advance(0);
  await model.play(steps.slice(0, count));
  gate.resolve();
  const handle = await starting;
  await rig.clock.advance(0);
  return handle;
}

interface Way {
  name: string;
  versions: number[];
  options: InvokeLrcOptions;
}

const ways: Way[] = [[1, 1], [1, 2]].flatMap((versions) => [
  { name: "", versions, options: { silence: 5000 } },
  { name: ", polled", versions, options: { poll: true } },
  // Nothing but what is told of losses can make the handle ask.
  { name: ", not asked when silent", versions, options: { silence: Infinity } },
]);

for (const { name, versions, options } of ways) {
  test(`A handle ends as its command has ended, or says that it does not know, in version ${versions[1]}${name}`, async () => {
    const unhandled = await unhandledDuring(() =>
      fc.assert(
        fc.asyncProperty(script, abilities, async (steps, abilities) => {
          const { hasTables, canCheck, lag, early } = abilities;
          const rig = new LrcRig(versions, options);
          const { device, clock } = rig;
          Object.assign(device, { hasTables, canCheck });
          const model = new LrcModel(rig);
          const isGarbled = steps.some((step) =>
            "kind" in step && step.kind === "garble"
          );
          const told = steps.flatMap((step) => "told" in step ? step.told : []);
          const handle = await start(model, steps, early);
          if (lag > 0) device.lag = () => sleep(lag, { clock });
          await model.play(steps.slice(early));
          const { truth } = model;
          model.heal();
          // Whoever lost something is told so.
          if (model.hasLost) device.disturb();
          if (model.hasForgotten) device.cut();
          for (let time = 0; time < 300 && !handle.ended; time++) {
            await clock.advance(1000);
          }

          assert(handle.ended, "has not ended");
          const done = await handle.done;
          if (done.status === NOT_FOUND) {
            assert(model.hasForgotten || !canCheck, "nothing was forgotten");
            assertEquals(done.resultCode, ResultCode.UNKNOWN);
          } else {
            assertEquals(done.status, truth?.status);
            const isLost = done.result === undefined &&
              (model.hasForgotten || !hasTables);
            if (isLost) assert(done.resultCode !== ResultCode.OK, "is well");
            else assertEquals(done.result, truth?.result);
          }
          await clock.advance(0);
          model.checkEnd(handle, done);
          const progress = rig.updates.flatMap(({ progress }) =>
            progress ?? []
          );
          assertEquals(handle.progress, progress.at(-1));
          const isTrue = (value: unknown): boolean =>
            told.some((each) => each.progress === value);
          assert(isGarbled || progress.every(isTrue), "it was never told");
          if (lag === 0) assertEquals(clock.pending, []);
        }),
        { numRuns: 300 },
      )
    );
    assertEquals(unhandled, []);
  });
}

const life = fc.record({
  progress: fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 5 }),
  end: fc.constantFrom(...ends),
  early: fc.nat({ max: 9 }),
});

for (const versions of [[1, 1], [1, 2]]) {
  test(`A handle is told all there is if nothing is lost, in version ${versions[1]}`, async () => {
    await fc.assert(
      fc.asyncProperty(life, async ({ progress, end, early }) => {
        const rig = new LrcRig(versions, { silence: Infinity });
        const model = new LrcModel(rig);
        const steps = [
          { status: QUEUED },
          { status: IN_PROGRESS },
          ...progress.map((progress) => ({ progress })),
          end,
        ].map((told) => ({ told, ms: 1 }));
        const handle = await start(model, steps, early);
        await model.play(steps.slice(early));
        const { taskStatusEvents } = await handle.done;
        assertEquals([...taskStatusEvents], [
          STAGING,
          QUEUED,
          IN_PROGRESS,
          end.status,
        ]);
        // What repeats what is known is no news.
        const news = progress.filter((each, index) =>
          each !== progress[index - 1]
        );
        assertEquals(
          rig.updates.flatMap(({ progress }) => progress ?? []),
          news,
        );
      }),
      { numRuns: 200 },
    );
  });
}
