// Copyright 2026 the Longrun authors. MIT license.

/**
 * A command whose events take a way full of faults, against the device itself:
 * at the end the handle knows what the device knows, or knows that it does not.
 */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { type DeviceEvent, ResultCode, TaskStatus } from "../device_proxy.ts";
import { isFinalStatus } from "../lrc.ts";
import { deviceError, type Told } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const { QUEUED, IN_PROGRESS, COMPLETED, FAILED, ABORTED, REJECTED, NOT_FOUND } =
  TaskStatus;

type Fault =
  | { kind: "drop" | "double" | "garble" | "deliver"; ms: number }
  | { kind: "late"; ms: number }
  | { kind: "refuse" | "hang" | "change"; ms: number }
  | { kind: "disturb" | "cut" | "forget" | "prune" | "other"; ms: number };

type Step = { told: Told; ms: number } | Fault;

const time = fc.integer({ min: 0, max: 4000 });

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    kind: fc.constantFrom(
      "drop" as const,
      "drop" as const,
      "double" as const,
      "garble" as const,
      "deliver" as const,
      "late" as const,
      "refuse" as const,
      "hang" as const,
      "change" as const,
      "disturb" as const,
      "cut" as const,
      "prune" as const,
      "other" as const,
    ),
    ms: time,
  }),
  fc.record({ kind: fc.constant("forget" as const), ms: time }),
);

/** What happens on the way before the command is sent. */
const early: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constantFrom("deliver", "drop", "double", "garble", "late"),
  ms: fc.constant(0),
});

const ends: Told[] = [
  { status: COMPLETED, result: [0, "ok"] },
  { status: COMPLETED, result: [3, "bad"] },
  { status: COMPLETED },
  { status: FAILED, result: [3, "bug"] },
  { status: ABORTED, result: [7, "aborted"] },
  { status: REJECTED, result: [5, "no"] },
];

/** The life of a command, with faults in between. */
const script: fc.Arbitrary<Step[]> = fc.record({
  isRun: fc.boolean(),
  progress: fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 3 }),
  end: fc.constantFrom(...ends),
  faults: fc.array(fc.tuple(fc.nat(), fault), { maxLength: 6 }),
  times: fc.array(time, { minLength: 8, maxLength: 8 }),
}).map(({ isRun, progress, end, faults, times }) => {
  const life: Told[] = [
    { status: QUEUED },
    ...(isRun ? [{ status: IN_PROGRESS }] : []),
    ...progress.map((progress) => ({ progress })),
    end,
  ];
  const steps: Step[] = life.map((told, index) => ({
    told,
    ms: times[index] ?? 0,
  }));
  for (const [place, each] of faults) {
    steps.splice(place % (steps.length + 1), 0, each);
  }
  return steps;
});

interface Model {
  rig: LrcRig;
  id: string;
  /** Whether the device has lost its memory. */
  hasForgotten: boolean;
  late: DeviceEvent[];
}

function garbled(event: DeviceEvent): DeviceEvent {
  if ("errors" in event) return event;
  const value = Array.isArray(event.value)
    ? event.value.map((text, index) => index === 0 ? text : `{${text}`)
    : event.value;
  return { ...event, value };
}

function apply(model: Model, step: Step): void {
  const { rig, id } = model;
  const { device } = rig;
  if ("told" in step) {
    if (device.known.has(id)) device.tell(id, step.told);
    return;
  }
  switch (step.kind) {
    case "drop":
      device.way = () => [];
      break;
    case "double":
      device.way = (event) => [event, event];
      break;
    case "garble":
      device.way = (event) => [garbled(event)];
      break;
    case "late":
      device.way = (event) => {
        model.late.push(event);
        return [];
      };
      break;
    case "deliver":
      device.way = (event) => [event];
      for (const event of model.late.reverse()) device.deliver(event);
      model.late = [];
      break;
    case "refuse":
      device.failure = () => deviceError("API_Refused");
      break;
    case "hang":
      device.delay = () => new Promise(() => {});
      break;
    case "change":
      device.versions = device.versions?.at(-1) === 1 ? [1, 2] : [1, 1];
      device.cut();
      break;
    case "disturb":
      device.disturb();
      break;
    case "cut":
      device.cut();
      break;
    case "prune":
      device.pruned.add(id);
      break;
    case "other":
      device.tell(device.stage("Other"), { result: [0, "other"] });
      break;
    case "forget":
      device.forget();
      model.hasForgotten = true;
      break;
  }
}

for (const versions of [[1, 1], [1, 2]]) {
  for (const poll of [false, true]) {
    const name = `version ${versions[1]}${poll ? ", polled" : ""}`;
    test(`A handle ends as its command has ended, or says that it does not know, in ${name}`, async () => {
      const unhandled = await unhandledDuring(() =>
        fc.assert(
          fc.asyncProperty(early, script, async (first, steps) => {
            const rig = new LrcRig(versions, { poll, silence: 5000 });
            const { device, clock } = rig;
            const model: Model = { rig, id: "", hasForgotten: false, late: [] };
            apply(model, first);
            const handle = await rig.start();
            const id = model.id = handle.commandId;
            for (const step of steps) {
              apply(model, step);
              await clock.advance(step.ms);
            }
            const truth = device.known.get(id);
            // All is well again.
            device.failure = undefined;
            device.delay = undefined;
            apply(model, { kind: "deliver", ms: 0 });
            await clock.advance(300_000);

            assert(handle.ended, "has not ended");
            const done = await handle.done;
            assertEquals(done.status, handle.status);
            if (done.status === NOT_FOUND) {
              assert(model.hasForgotten, "nothing was forgotten");
              assertEquals(done.resultCode, ResultCode.UNKNOWN);
            } else if (truth !== undefined) {
              assertEquals(done.status, truth.status);
              assertEquals(done.result, truth.result);
            } else {
              assert(model.hasForgotten, "it was not lost");
            }
            const statuses = rig.updates.flatMap(({ status }) =>
              status === undefined ? [] : [status]
            );
            assertEquals(statuses, done.taskStatusEvents);
            assertEquals(statuses, statuses.toSorted((a, b) => a - b));
            assertEquals(statuses.filter(isFinalStatus), [done.status]);
            assertEquals(rig.updates.at(-1)?.status, done.status);
            assertEquals(device.subscribers, 0);
            assertEquals(rig.scheduler.devices, 0);
            assertEquals(clock.pending, []);
          }),
          { numRuns: 300 },
        )
      );
      assertEquals(unhandled, []);
    });
  }
}
