// Copyright 2026 the Longrun authors. MIT license.

/**
 * A command whose events take a way full of faults, against the device itself:
 * at the end the handle knows what the device knows, or knows that it does not.
 */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import { type Fault, LrcModel, scriptWith } from "./_lrc_model.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const script = scriptWith("hang", "change");

/** What happens on the way before the command is sent. */
const early: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constantFrom("deliver", "drop", "double", "garble", "late"),
  ms: fc.constant(0),
});

for (const versions of [[1, 1], [1, 2]]) {
  for (const poll of [false, true]) {
    const name = `version ${versions[1]}${poll ? ", polled" : ""}`;
    test(`A handle ends as its command has ended, or says that it does not know, in ${name}`, async () => {
      const unhandled = await unhandledDuring(() =>
        fc.assert(
          fc.asyncProperty(early, script, async (first, steps) => {
            const rig = new LrcRig(versions, { poll, silence: 5000 });
            const { device, clock } = rig;
            const model = new LrcModel(rig);
            model.apply(first);
            const handle = await rig.start();
            const id = model.id = handle.commandId;
            await model.play(steps);
            const truth = device.known.get(id);
            model.heal();
            await clock.advance(300_000);

            assert(handle.ended, "has not ended");
            const done = await handle.done;
            if (done.status === TaskStatus.NOT_FOUND) {
              assert(model.hasForgotten, "nothing was forgotten");
              assertEquals(done.resultCode, ResultCode.UNKNOWN);
            } else if (truth !== undefined) {
              assertEquals(done.status, truth.status);
              assertEquals(done.result, truth.result);
            } else {
              assert(model.hasForgotten, "it was not lost");
            }
            model.checkEnd(handle, done);
            assertEquals(clock.pending, []);
          }),
          { numRuns: 300 },
        )
      );
      assertEquals(unhandled, []);
    });
  }
}
