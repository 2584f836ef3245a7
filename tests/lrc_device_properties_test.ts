// Copyright 2026 the Longrun authors. MIT license.

/**
 * A device in any order of requests, ends, aborts and time, against a model of
 * its queue that is simple enough to be right.
 */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import type { DeviceEvent } from "../device_proxy.ts";
import type { LrcFunction } from "../lrc_device.ts";
import { ask, collect, Held, LrcRig } from "./_lrc_device_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const GRACE = 30;

const STATUSES = [
  "STAGING",
  "QUEUED",
  "IN_PROGRESS",
  "ABORTED",
  "NOT_FOUND",
  "COMPLETED",
  "REJECTED",
  "FAILED",
];

const TRANSITIONS: Record<string, string[]> = {
  STAGING: ["QUEUED", "REJECTED", "IN_PROGRESS"],
  QUEUED: ["REJECTED", "ABORTED", "IN_PROGRESS"],
  IN_PROGRESS: ["ABORTED", "FAILED", "COMPLETED"],
  ABORTED: [],
  COMPLETED: [],
  REJECTED: [],
  FAILED: [],
};

type Kind = "hears" | "deaf" | "forbidden" | "immediate" | "refused";

type End = "value" | "nothing" | "aborted" | "failure";

/** What should be true of a command. */
interface Expected {
  readonly kind: Kind;
  status: string;
  /** Its code is in the code of the result, if it has one. */
  code: number | undefined;
}

const isDeaf = ({ kind }: Expected): boolean => kind !== "hears";

/** What should be true of the device, whenever all promises have settled. */
class Model {
  readonly places: number;
  readonly maxQueued: number;
  readonly commands: Expected[] = [];
  waiting: Expected[] = [];
  readonly executing: Set<Expected> = new Set();
  /** When an abort gives up, and the command that asked for it. */
  aborting: { deadline: number; command: Expected | undefined } | undefined;
  abandoned = 0;
  now = 0;

  constructor(maxQueued: number, maxExecuting: number) {
    this.maxQueued = maxQueued;
    this.places = maxExecuting - 1;
  }

  submit(kind: Kind): void {
    const command: Expected = { kind, status: "QUEUED", code: undefined };
    this.commands.push(command);
    const hasPlace = this.executing.size < this.places;
    const fits = hasPlace ||
      (kind !== "immediate" && this.waiting.length < this.maxQueued);
    if (this.aborting !== undefined || !fits || kind === "refused") {
      this.end(command, "REJECTED", 5);
      return;
    }
    if (kind === "immediate") {
      this.start(command);
      return;
    }
    this.waiting.push(command);
    this.fill();
  }

  start(command: Expected): void {
    command.status = "IN_PROGRESS";
    this.executing.add(command);
  }

  fill(): void {
    while (this.executing.size < this.places) {
      const next = this.waiting.shift();
      if (next === undefined) return;
      if (next.kind === "forbidden") this.end(next, "REJECTED", 6);
      else this.start(next);
    }
  }

  end(command: Expected, status: string, code: number | undefined): void {
    command.status = status;
    command.code = code;
    this.executing.delete(command);
  }

  abort(isCommand: boolean): void {
    const command: Expected | undefined = isCommand
      ? { kind: "immediate", status: "IN_PROGRESS", code: undefined }
      : undefined;
    if (command !== undefined) this.commands.push(command);
    if (this.aborting !== undefined) {
      if (command !== undefined) this.end(command, "REJECTED", 5);
      return;
    }
    this.aborting = { deadline: this.now + GRACE, command };
    for (const waiting of this.waiting) this.end(waiting, "ABORTED", 7);
    this.waiting = [];
    for (const executing of [...this.executing]) {
      if (!isDeaf(executing)) this.end(executing, "ABORTED", 7);
    }
    this.goOn();
  }

  finish(index: number, how: End): void {
    const command = [...this.executing][index];
    if (command === undefined) return;
    const isAborting = this.aborting !== undefined;
    if (how === "failure") this.end(command, "FAILED", 3);
    else if (how === "value") this.end(command, "COMPLETED", 0);
    else if (isAborting) this.end(command, "ABORTED", 7);
    else {
      const code = how === "aborted" ? 7 : undefined;
      this.end(command, "COMPLETED", code);
    }
    this.goOn();
  }

  pass(ms: number): void {
    this.now += ms;
    if (this.aborting === undefined || this.aborting.deadline > this.now) {
      return;
    }
    for (const command of [...this.executing]) {
      this.abandoned++;
      this.end(command, "ABORTED", 7);
    }
    this.goOn(3);
  }

  goOn(code = 0): void {
    if (this.aborting !== undefined && this.executing.size === 0) {
      const { command } = this.aborting;
      this.aborting = undefined;
      if (command !== undefined) this.end(command, "COMPLETED", code);
    }
    this.fill();
  }
}

/** The statuses and results of each command, from the second protocol. */
function fromEvents(events: readonly DeviceEvent[]): Map<string, unknown[]> {
  const told = new Map<string, unknown[]>();
  for (const event of events.slice(1)) {
    assert("value" in event);
    const [id, json] = event.value as [string, string];
    const { status, result } = JSON.parse(json);
    const line = told.get(id) ?? [];
    told.set(id, line);
    if (status !== undefined) line.push(STATUSES[status]);
    if (result !== undefined) line.push(JSON.stringify(result));
  }
  return told;
}

/** The same from the lists of the first one, with the results in their place. */
function fromLists(
  statuses: readonly DeviceEvent[],
  results: readonly DeviceEvent[],
): Map<string, unknown[]> {
  const told = new Map<string, unknown[]>();
  for (const event of statuses) {
    assert("value" in event);
    const list = event.value as string[];
    assertEquals(list.length % 2, 0);
    for (let index = 0; index < list.length; index += 2) {
      const [id = "", status] = list.slice(index, index + 2);
      const line = told.get(id) ?? [];
      told.set(id, line);
      if (line.at(-1) !== status) line.push(status);
    }
  }
  for (const event of results.slice(1)) {
    assert("value" in event);
    const [id = "", json] = event.value as string[];
    const line = told.get(id);
    assert(line !== undefined);
    line.push(json);
  }
  return told;
}

/** A device, and everything that it tells. */
class Real {
  readonly rig: LrcRig<Record<string, unknown>, object>;
  readonly calls: Held[];
  readonly maxQueued: number;
  readonly maxExecuting: number;
  events: DeviceEvent[] = [];
  statuses: DeviceEvent[] = [];
  results: DeviceEvent[] = [];

  constructor(maxQueued: number, maxExecuting: number) {
    this.maxQueued = maxQueued;
    this.maxExecuting = maxExecuting;
    const hears = new Held(true);
    const deaf = new Held(false);
    const atOnce = new Held(false);
    this.calls = [hears, deaf, atOnce];
    const never: LrcFunction = () => assert(false, "it was executed");
    this.rig = new LrcRig<Record<string, unknown>, object>({
      commands: {
        hears: hears.execute,
        deaf: deaf.execute,
        immediate: { execute: atOnce.execute, immediate: true },
        forbidden: { execute: never, isAllowed: () => false },
        refused: { execute: never, refuse: () => "not in this state" },
      },
      maxQueued,
      maxExecuting,
      grace: GRACE,
      retention: 10_000,
    });
  }

  async watch(): Promise<this> {
    const { device } = this.rig;
    const watch = async (name: string): Promise<DeviceEvent[]> =>
      collect(await device.subscribe(name));
    this.events = await watch("_lrcEvent");
    this.statuses = await watch("longRunningCommandStatus");
    this.results = await watch("longRunningCommandResult");
    return this;
  }

  submit(name: string): void {
    ask(this.rig.device, name);
  }

  /** The commands that are executed, in the order they were started. */
  async finish(index: number, how: End): Promise<void> {
    const rows = await this.rig.rows("lrcExecuting");
    const id = rows.filter(({ name }) => name !== "Abort")[index]?.uid;
    for (const { execution, end, fail } of this.calls.flatMap((h) => h.calls)) {
      if (execution.id !== id) continue;
      if (how === "failure") fail(new Error("by design"));
      else if (how === "value") end([0, "Done"]);
      else end(how === "aborted" ? [7, "Stopped"] : undefined);
    }
  }

  /** What must be true at any time. */
  async checkLimits(): Promise<void> {
    const { device } = this.rig;
    assertLessOrEqual(device.queued, this.maxQueued);
    assertLessOrEqual(device.executing, this.maxExecuting);
    const executing = await this.rig.rows("lrcExecuting");
    assertLessOrEqual(executing.length, this.maxExecuting);
    const shown = await this.rig.read("longRunningCommandIDsInQueue");
    assertLessOrEqual(
      (shown as string[]).length,
      2 * Math.max(this.maxQueued, 1) + this.maxExecuting,
    );
  }

  /** What both protocols have told must be the same, and make sense. */
  checkStories(): Map<string, unknown[]> {
    const second = fromEvents(this.events);
    const first = fromLists(this.statuses, this.results);
    assertEquals([...first.keys()].sort(), [...second.keys()].sort());
    for (const [id, story] of second) {
      const statuses = story.filter((line) => STATUSES.includes(String(line)));
      const result = story.filter((line) => !STATUSES.includes(String(line)));
      assertEquals(first.get(id), [...statuses, ...result]);
      assertLessOrEqual(result.length, 1);
      assertEquals(statuses[0], "STAGING");
      for (let index = 1; index < statuses.length; index++) {
        const before = TRANSITIONS[String(statuses[index - 1])];
        assert(
          before?.includes(String(statuses[index])),
          `${statuses.join(", ")}: no such transition`,
        );
      }
    }
    return second;
  }
}

type Action =
  | { kind: "submit"; command: Kind }
  | { kind: "finish"; index: number; how: End }
  | { kind: "Abort" | "AbortCommands" }
  | { kind: "pass"; ms: number };

async function perform(action: Action, real: Real): Promise<void> {
  if (action.kind === "submit") real.submit(action.command);
  else if (action.kind === "pass") await real.rig.pass(action.ms);
  else if (action.kind === "finish") {
    await real.finish(action.index, action.how);
  } else if (action.kind === "Abort") real.submit("Abort");
  else real.rig.device.command("AbortCommands");
}

function foresee(action: Action, model: Model): void {
  if (action.kind === "submit") model.submit(action.command);
  else if (action.kind === "pass") model.pass(action.ms);
  else if (action.kind === "finish") model.finish(action.index, action.how);
  else model.abort(action.kind === "Abort");
}

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    arbitrary: fc.record({
      kind: fc.constant("submit" as const),
      command: fc.constantFrom<Kind>(
        ...["hears", "hears", "deaf", "immediate"] as const,
        ...["forbidden", "refused"] as const,
      ),
    }),
    weight: 5,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant("finish" as const),
      index: fc.nat(2),
      how: fc.constantFrom<End>("value", "nothing", "aborted", "failure"),
    }),
    weight: 3,
  },
  {
    arbitrary: fc.record({
      kind: fc.constantFrom(...["Abort", "AbortCommands"] as const),
    }),
    weight: 2,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      ms: fc.constantFrom(1, 10, 29, 30, 12_000),
    }),
    weight: 2,
  },
);
const actions = fc.array(action, { maxLength: 40, size: "max" });
const limits = fc.record({
  maxQueued: fc.nat(4),
  maxExecuting: fc.integer({ min: 2, max: 4 }),
});

test("LrcDevice does what a simple model of its queue does, and tells the same in both protocols", async () => {
  const reached = new Set<unknown>();
  const unhandled = await unhandledDuring(() =>
    fc.assert(
      fc.asyncProperty(
        limits,
        actions,
        async ({ maxQueued, maxExecuting }, actions) => {
          const model = new Model(maxQueued, maxExecuting);
          const real = await new Real(maxQueued, maxExecuting).watch();
          await using rig = real.rig;
          for (const action of actions) {
            await perform(action, real);
            await rig.pass();
            foresee(action, model);
            await real.checkLimits();
            assertEquals(rig.device.queued, model.waiting.length);
            const story = real.checkStories();
            const told = [...story.values()].map((lines) => [
              lines.findLast((line) => STATUSES.includes(String(line))),
              lines.findLast((line) => !STATUSES.includes(String(line))),
            ]);
            assertEquals(
              told.map(([status]) => status),
              model.commands.map(({ status }) => status),
            );
            assertEquals(
              told.map(([, json]) => json && JSON.parse(String(json))[0]),
              model.commands.map(({ code }) => code),
            );
            for (
              const [id, [status]] of [...story.keys()].map((id, index) =>
                [id, told[index] ?? []] as const
              )
            ) assertEquals(await rig.statusOf(id), status);
          }
          for (const { status, kind } of model.commands) {
            reached.add(status).add(kind);
          }
          reached.add(model.abandoned > 0);
        },
      ),
      { numRuns: 150 },
    )
  );
  assertEquals(unhandled, []);
  for (
    const what of [
      ...["ABORTED", "COMPLETED", "REJECTED", "FAILED", "IN_PROGRESS"],
      ...["QUEUED", "immediate", true],
    ]
  ) assert(reached.has(what), `never reached: ${what}`);
});

test("LrcDevice keeps its limits and ends everything, whatever comes in one turn", async () => {
  const unhandled = await unhandledDuring(() =>
    fc.assert(
      fc.asyncProperty(
        limits,
        fc.array(fc.array(action, { maxLength: 6 }), { maxLength: 12 }),
        async ({ maxQueued, maxExecuting }, bursts) => {
          const real = await new Real(maxQueued, maxExecuting).watch();
          await using rig = real.rig;
          for (const burst of bursts) {
            for (const action of burst) {
              perform(action, real);
              assertLessOrEqual(rig.device.queued, maxQueued);
              assertLessOrEqual(rig.device.executing, maxExecuting);
            }
            await rig.pass();
            await real.checkLimits();
            real.checkStories();
          }
          const stopping = rig.device.stop();
          await rig.pass(GRACE);
          await stopping;
          assertEquals([rig.device.queued, rig.device.executing], [0, 0]);
          for (const [id, story] of real.checkStories()) {
            const last = String(
              story.findLast((line) => STATUSES.includes(String(line))),
            );
            assertEquals(TRANSITIONS[last], [], `${id} has not ended: ${last}`);
          }
          rig.assertNothingLeft();
        },
      ),
      { numRuns: 150 },
    )
  );
  assertEquals(unhandled, []);
});
