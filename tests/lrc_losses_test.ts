// Copyright 2026 the Longrun authors. MIT license.

/**
 * A command whose events take a way full of faults, against the device itself:
 * at the end the handle knows what the device knows, or knows that it does not.
 */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { sleep } from "../cancellation.ts";
import { type DeviceEvent, ResultCode, TaskStatus } from "../device_proxy.ts";
import {
  type InvokeLrcOptions,
  isFinalStatus,
  type LrcHandle,
} from "../lrc.ts";
import { answer, deviceError, type Told } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const {
  STAGING,
  QUEUED,
  IN_PROGRESS,
  COMPLETED,
  FAILED,
  ABORTED,
  REJECTED,
  NOT_FOUND,
} = TaskStatus;

type Fault =
  | { kind: "drop" | "double" | "garble" | "deliver"; ms: number }
  | { kind: "late"; ms: number }
  | { kind: "refuse"; ms: number }
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
      "disturb" as const,
      "cut" as const,
      "prune" as const,
      "other" as const,
    ),
    ms: time,
  }),
  fc.record({ kind: fc.constant("forget" as const), ms: time }),
);

const ends: Told[] = [
  { status: COMPLETED, result: [0, "ok"] },
  { status: COMPLETED, result: [3, "bad"] },
  { status: COMPLETED },
  { status: FAILED },
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

interface Model {
  rig: LrcRig;
  id: string;
  /** Whether the device has lost its memory. */
  hasForgotten: boolean;
  /** Whether an event was lost of which nobody was told. */
  hasLost: boolean;
  /** What the device knew before it has forgotten everything. */
  truth: Told | undefined;
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
      device.way = () => {
        model.hasLost = true;
        return [];
      };
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
    case "disturb":
      device.disturb();
      break;
    case "cut":
      device.cut();
      break;
    case "prune":
      device.pruned.add(id);
      model.hasLost = true;
      break;
    case "other":
      device.tell(device.stage("Other"), { result: [0, "other"] });
      break;
    case "forget":
      model.truth ??= device.known.get(id);
      device.forget();
      model.hasForgotten = true;
      break;
  }
}

/** Sends a command whose answer comes when some of its life is over. */
async function start(
  model: Model,
  steps: Step[],
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
  for (const step of steps.splice(0, count)) {
    apply(model, step);
    await rig.clock.advance(step.ms);
  }
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
          const model: Model = {
            rig,
            id: "",
            hasForgotten: false,
            hasLost: false,
            truth: undefined,
            late: [],
          };
          const isGarbled = steps.some((step) =>
            "kind" in step && step.kind === "garble"
          );
          const told = steps.flatMap((step) => "told" in step ? step.told : []);
          const handle = await start(model, [...steps], early);
          if (lag > 0) device.lag = () => sleep(lag, { clock });
          for (const step of steps.slice(early)) {
            apply(model, step);
            await clock.advance(step.ms);
          }
          const truth = model.truth ?? device.known.get(model.id);
          // All is well again, and whoever lost something is told so.
          device.failure = undefined;
          apply(model, { kind: "deliver", ms: 0 });
          if (model.hasLost) device.disturb();
          if (model.hasForgotten) device.cut();
          for (let time = 0; time < 300 && !handle.ended; time++) {
            await clock.advance(1000);
          }

          assert(handle.ended, "has not ended");
          const done = await handle.done;
          assertEquals(done.status, handle.status);
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
          const statuses = rig.updates.flatMap(({ status }) => status ?? []);
          assertEquals(statuses, done.taskStatusEvents);
          assertEquals(statuses, [...new Set(statuses)].toSorted());
          assertEquals(statuses.filter(isFinalStatus), [done.status]);
          assertEquals(rig.updates.at(-1)?.status, done.status);
          const progress = rig.updates.flatMap(({ progress }) =>
            progress ?? []
          );
          assertEquals(handle.progress, progress.at(-1));
          const isTrue = (value: unknown): boolean =>
            told.some((each) => each.progress === value);
          assert(isGarbled || progress.every(isTrue), "it was never told");
          assertEquals(device.subscribers, 0);
          assertEquals(rig.scheduler.devices, 0);
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
        const model: Model = {
          rig,
          id: "",
          hasForgotten: false,
          hasLost: false,
          truth: undefined,
          late: [],
        };
        const steps = [
          { status: QUEUED },
          { status: IN_PROGRESS },
          ...progress.map((progress) => ({ progress })),
          end,
        ].map((told) => ({ told, ms: 1 }));
        const handle = await start(model, [...steps], early);
        for (const step of steps.slice(early)) {
          apply(model, step);
          await rig.clock.advance(step.ms);
        }
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
