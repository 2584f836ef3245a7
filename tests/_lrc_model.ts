// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { type DeviceEvent, TaskStatus } from "../device_proxy.ts";
import { isFinalStatus, type LrcHandle, type LrcResult } from "../lrc.ts";
import { deviceError, type Told } from "./_lrc_fake.ts";
import type { LrcRig } from "./_lrc_rig.ts";

const { QUEUED, IN_PROGRESS, COMPLETED, FAILED, ABORTED, REJECTED } =
  TaskStatus;

/** What may go wrong between a device and a handle, or become well again. */
export type FaultKind =
  | "drop"
  | "double"
  | "garble"
  | "deliver"
  | "late"
  | "refuse"
  | "hang"
  | "change"
  | "disturb"
  | "cut"
  | "forget"
  | "prune"
  | "other";

/** Something that goes wrong, and how long it is until the next step. */
export interface Fault {
  kind: FaultKind;
  ms: number;
}

/** What happens to a command. */
export type Step = { told: Told; ms: number } | Fault;

/** How commands end. */
export const ends: readonly Told[] = [
  { status: COMPLETED, result: [0, "ok"] },
  { status: COMPLETED, result: [3, "bad"] },
  { status: COMPLETED },
  { status: FAILED },
  { status: FAILED, result: [3, "bug"] },
  { status: ABORTED, result: [7, "aborted"] },
  { status: REJECTED, result: [5, "no"] },
];

const time = fc.integer({ min: 0, max: 4000 });

function faultOf(...kinds: readonly FaultKind[]): fc.Arbitrary<Fault> {
  return fc.record({ kind: fc.constantFrom(...kinds), ms: time });
}

/** What goes wrong on the way of events and of answers. */
const KINDS: readonly FaultKind[] = [
  "drop",
  "drop",
  "double",
  "garble",
  "deliver",
  "late",
  "refuse",
  "disturb",
  "cut",
  "prune",
  "other",
];

/**
 * The life of a command, with faults in between, also of more kinds, and
 * devices that forget everything.
 */
export function scriptWith(
  ...more: readonly FaultKind[]
): fc.Arbitrary<Step[]> {
  const fault = fc.oneof(faultOf(...KINDS, ...more), faultOf("forget"));
  return fc.record({
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
}

function garbled(event: DeviceEvent): DeviceEvent {
  if ("errors" in event) return event;
  const value = Array.isArray(event.value)
    ? event.value.map((text, index) => index === 0 ? text : `{${text}`)
    : event.value;
  return { ...event, value };
}

/** A command, its device and the way of its events, on which all may happen. */
export class LrcModel {
  readonly rig: LrcRig;
  /** The command, once there is one. */
  id = "";
  /** Whether the device has lost its memory. */
  hasForgotten = false;
  /** Whether an event was lost of which nobody was told. */
  hasLost = false;
  /** What the device knew before it has forgotten everything. */
  #remembered: Told | undefined = undefined;
  #late: DeviceEvent[] = [];

  constructor(rig: LrcRig) {
    this.rig = rig;
  }

  /** What has become of the command, which its device may have forgotten. */
  get truth(): Told | undefined {
    return this.#remembered ?? this.rig.device.known.get(this.id);
  }

  /** Lets a step happen. */
  apply(step: Step): void {
    const { id } = this;
    const { device } = this.rig;
    if ("told" in step) {
      if (device.known.has(id)) device.tell(id, step.told);
      return;
    }
    switch (step.kind) {
      case "drop":
        device.way = () => {
          this.hasLost = true;
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
          this.#late.push(event);
          return [];
        };
        break;
      case "deliver":
        device.way = (event) => [event];
        for (const event of this.#late.reverse()) device.deliver(event);
        this.#late = [];
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
        this.hasLost = true;
        break;
      case "other":
        device.tell(device.stage("Other"), { result: [0, "other"] });
        break;
      case "forget":
        this.#remembered ??= device.known.get(id);
        device.forget();
        this.hasForgotten = true;
        break;
    }
  }

  /** Lets steps happen, one after another. */
  async play(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      this.apply(step);
      await this.rig.clock.advance(step.ms);
    }
  }

  /** Lets all be well again, but for what is lost. */
  heal(): void {
    const { device } = this.rig;
    device.failure = undefined;
    device.delay = undefined;
    this.apply({ kind: "deliver", ms: 0 });
  }

  /** Checks that the handle has told its end once, and has let go of all. */
  checkEnd(handle: LrcHandle, done: LrcResult): void {
    const { rig } = this;
    assert(handle.ended, "has not ended");
    assertEquals(done.status, handle.status);
    const statuses = rig.updates.flatMap(({ status }) => status ?? []);
    assertEquals(statuses, done.taskStatusEvents);
    assertEquals(statuses, [...new Set(statuses)].toSorted((a, b) => a - b));
    assertEquals(statuses.filter(isFinalStatus), [done.status]);
    assertEquals(rig.updates.at(-1)?.status, done.status);
    assertEquals(rig.device.subscribers, 0);
    assertEquals(rig.scheduler.devices, 0);
  }
}
