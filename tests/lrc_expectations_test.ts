// Copyright 2026 the Longrun authors. MIT license.

/** Events that come before the id of their command: none is lost silently. */

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { Expectations } from "../_lrc_expectations.ts";
import type { LrcInput } from "../_lrc_state.ts";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import { answer } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";

const { STAGING, QUEUED, COMPLETED } = TaskStatus;

const progress = (progress: number): LrcInput => ({
  kind: "change",
  change: { progress },
});

/** Takes note of what is claimed for an id. */
function claim(expectation: ReturnType<Expectations["expect"]>, id: string) {
  const inputs: LrcInput[] = [];
  expectation.claim(id, (input) => inputs.push(input));
  return inputs;
}

const nobodyListens = () => () => {};

test("Many commands at once whose answers are late miss no event", async () => {
  const rig = new LrcRig();
  const { device, clock } = rig;
  const gate = Promise.withResolvers<void>();
  device.answers.set("Scan", async () => {
    const id = device.stage("Scan");
    device.tell(id, { status: QUEUED });
    device.tell(id, { status: COMPLETED, result: [0, "ok"] });
    await gate.promise;
    return answer(ResultCode.QUEUED, id);
  });
  const sent = Array.from({ length: 500 }, () => rig.invoke("Scan"));
  await clock.advance(0);
  gate.resolve();
  for (const handle of await Promise.all(sent)) {
    const { taskStatusEvents } = await handle.done;
    assertEquals(taskStatusEvents, [STAGING, QUEUED, COMPLETED]);
    const { events, gaps, asked } = handle.counters;
    assertEquals({ events, gaps, asked }, { events: 3, gaps: 0, asked: 0 });
  }
});

test("Who expects a command is told what came since, and that something may be lost", () => {
  const expectations = new Expectations(nobodyListens);
  const early = expectations.expect();
  expectations.keep("own", progress(1));
  for (let count = 0; count < 1000; count++) {
    expectations.keep(`other ${count}`, progress(count));
  }
  const late = expectations.expect();
  expectations.keep("late", progress(2));
  assertEquals(claim(early, "own"), [{ kind: "gap" }]);
  assertEquals(claim(late, "late"), [progress(2)]);
});

test("A gap concerns all who expect a command by then", () => {
  const expectations = new Expectations(nobodyListens);
  const before = expectations.expect();
  expectations.addGap();
  const after = expectations.expect();
  expectations.keep("after", progress(1));
  assertEquals(claim(before, "before"), [{ kind: "gap" }]);
  assertEquals(claim(after, "after"), [progress(1)]);
});

test("What came while nobody expected anything is not kept", () => {
  const expectations = new Expectations(nobodyListens);
  expectations.expect().cancel();
  expectations.keep("id", progress(1));
  const expectation = expectations.expect();
  assertEquals(claim(expectation, "id"), []);
  const [one, other] = [expectations.expect(), expectations.expect()];
  expectations.keep("id", progress(2));
  one.cancel();
  expectations.clear();
  assertEquals(claim(other, "id"), []);
});
