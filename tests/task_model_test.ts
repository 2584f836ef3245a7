// Copyright 2026 the Longrun authors. MIT license.

/**
 * A task and what its runner says of it, in any order of calls by two handles,
 * against a model that is simple enough to be right.
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { sleep } from "../cancellation.ts";
import { LockedError } from "../lock.ts";
import { Task, type TaskHost } from "../task.ts";
import type { TaskHandle } from "../task_context.ts";
import {
  type TaskOutcome,
  TaskRunError,
  type TaskRunner,
} from "../task_runner.ts";
import { TaskRig } from "./_task_rig.ts";
import { type Watch, watch } from "./_timeout_iterator_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

/** How often the task looks for settings. */
const PERIOD = 10;

/** How long a stop by the signal waits. */
const GRACE = 30;

type Verdict = "returned" | "failed";

/** Looks for settings in rounds, until it is told how to end. */
class Puppet extends Task<number> {
  override settings = 0;
  readonly #hears: boolean;
  readonly #verdict: Promise<Verdict>;

  constructor(host: TaskHost, hears: boolean, verdict: Promise<Verdict>) {
    super(host);
    this.#hears = hears;
    this.#verdict = verdict;
  }

  override async run(): Promise<void> {
    const { clock } = this;
    for (;;) {
      this.updateSettings();
      const wait = this.#hears ? this.sleep(PERIOD) : sleep(PERIOD, { clock });
      const verdict = await Promise.race([wait, this.#verdict]);
      if (verdict === "returned") return;
      if (verdict === "failed") throw new Error("by design");
    }
  }
}

/** What is known of a promise. */
type Expected =
  | { kind: "pending" | "locked" | "refused" | "failed" | "enough" }
  | { kind: "value"; value: unknown }
  | { kind: "lock"; isGiven: boolean };

/** A promise of ours, and what should become of it. */
interface Expectation {
  readonly promise: Watch;
  expected: Expected;
}

const PENDING: Expected = { kind: "pending" };

function check({ promise, expected }: Expectation): void {
  const { outcome } = promise;
  if (expected.kind === "pending") {
    assertEquals(outcome, undefined);
    return;
  }
  assert(outcome !== undefined, `hangs instead of being ${expected.kind}`);
  if (expected.kind === "value") {
    assertEquals(outcome, { value: expected.value });
  } else if (expected.kind === "lock") {
    assert("value" in outcome);
    assertEquals(outcome.value !== null, expected.isGiven);
  } else {
    assert("reason" in outcome);
    const { reason } = outcome;
    if (expected.kind === "enough") assertEquals(reason, "enough");
    else if (expected.kind === "locked") assertInstanceOf(reason, LockedError);
    else if (expected.kind === "failed") assertInstanceOf(reason, TaskRunError);
    else assert(!(reason instanceof LockedError));
  }
}

/** What should be true of the task. */
class Model {
  readonly hears: boolean;
  now = 0;
  isStarted = false;
  wasStoppedBefore = false;
  nextLook: number | undefined = undefined;
  isStopRequested = false;
  isSignalAborted = false;
  signalDeadline = Infinity;
  verdict: Verdict | undefined = undefined;
  hasEnded = false;
  hasFailed = false;
  isAbandoned = false;
  outcome: TaskOutcome | undefined = undefined;
  settings = 0;
  pending: number | undefined = undefined;
  owner: number | undefined = undefined;
  line: { by: number; deadline: number; told: Expectation }[] = [];
  stops: { deadline: number; told: Expectation }[] = [];
  joins: { controller: AbortController; told: Expectation }[] = [];

  constructor(hears: boolean) {
    this.hears = hears;
  }

  get isRunning(): boolean {
    return this.isStarted && !this.hasEnded;
  }

  get state(): string {
    if (!this.isStarted) return "stopped";
    if (this.hasEnded) return this.hasFailed ? "errored" : "stopped";
    if (this.isStopRequested) return "stopping";
    return this.nextLook === undefined ? "starting" : "running";
  }

  mayUse(by: number): boolean {
    return this.owner === undefined || this.owner === by;
  }

  requestStop(): void {
    if (this.isStopRequested || this.hasEnded) return;
    this.isStopRequested = true;
    if (this.nextLook !== undefined && this.hears) this.verdict ??= "returned";
  }

  obeySignal(): void {
    if (!this.isRunning || this.isStopRequested) return;
    this.requestStop();
    this.signalDeadline = this.now + GRACE;
  }

  handOver(): void {
    const next = this.line.shift();
    this.owner = next?.by;
    if (next !== undefined) {
      next.told.expected = { kind: "lock", isGiven: true };
    }
  }

  /** All promises have settled. */
  settle(): void {
    if (this.isStarted && this.nextLook === undefined && !this.hasEnded) {
      if (this.isStopRequested) this.end("returned");
      else {
        this.look();
        this.nextLook = this.now + PERIOD;
      }
    }
    if (this.isRunning && this.verdict !== undefined) this.end(this.verdict);
    this.pass(0);
  }

  pass(ms: number): void {
    this.now += ms;
    while (this.isRunning && (this.nextLook ?? Infinity) <= this.now) {
      this.look();
      this.nextLook = (this.nextLook ?? 0) + PERIOD;
    }
    for (const { deadline, told } of this.stops) {
      if (told.expected !== PENDING || deadline > this.now) continue;
      told.expected = { kind: "value", value: "abandoned" };
      this.abandon();
    }
    if (this.signalDeadline <= this.now && !this.hasEnded) this.abandon();
    for (const { deadline, told } of this.line) {
      if (deadline <= this.now) {
        told.expected = { kind: "lock", isGiven: false };
      }
    }
    this.line = this.line.filter(({ deadline }) => deadline > this.now);
  }

  look(): void {
    this.settings = this.pending ?? this.settings;
    this.pending = undefined;
  }

  abandon(): void {
    this.isAbandoned = true;
    this.outcome = "abandoned";
    this.tellJoins();
  }

  end(verdict: Verdict): void {
    this.hasEnded = true;
    this.hasFailed = verdict === "failed";
    if (this.hasFailed) this.outcome = "failed";
    else this.outcome = this.isStopRequested ? "stopped" : "completed";
    for (const { told } of this.stops) {
      if (told.expected !== PENDING) continue;
      told.expected = { kind: "value", value: "stopped" };
    }
    this.tellJoins();
  }

  tellJoins(): void {
    for (const { told } of this.joins) {
      if (told.expected === PENDING) told.expected = this.joined;
    }
  }

  get joined(): Expected {
    return this.hasFailed
      ? { kind: "failed" }
      : { kind: "value", value: undefined };
  }
}

/** A task, two handles of it, and what was promised. */
class Real {
  readonly rig = new TaskRig({ grace: GRACE });
  readonly expectations: Expectation[] = [];
  readonly #verdict = Promise.withResolvers<Verdict>();
  #handles: TaskHandle<TaskRunner<Puppet>>[] = [];

  async make(hears: boolean): Promise<this> {
    const { context } = this.rig;
    const { promise } = this.#verdict;
    this.#handles = [
      await context.makeTask("puppet", Puppet, [hears, promise]),
      context.getTask("puppet", Puppet),
    ];
    return this;
  }

  handle(by: number): TaskHandle<TaskRunner<Puppet>> {
    const handle = this.#handles[by];
    assert(handle !== undefined);
    return handle;
  }

  end(verdict: Verdict): void {
    this.#verdict.resolve(verdict);
  }

  expect(promise: Promise<unknown>, expected: Expected): Expectation {
    const told = { promise: watch(promise, this.rig.clock), expected };
    this.expectations.push(told);
    return told;
  }
}

type Call =
  | { kind: "start" | "unlock"; by: number }
  | { kind: "stop"; by: number; grace: number }
  | { kind: "lock"; by: number; timeout: number }
  | { kind: "set"; by: number; value: number }
  | { kind: "join" | "abortJoins" | "forceUnlock" | "abort"; by: number }
  | { kind: "end"; verdict: Verdict };

function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
}

function perform(call: Call, model: Model, real: Real): void {
  if (call.kind === "end") {
    if (!model.isRunning) return;
    model.verdict ??= call.verdict;
    real.end(call.verdict);
    return;
  }
  const { by } = call;
  const handle = real.handle(by);
  const isAllowed = model.mayUse(by);
  switch (call.kind) {
    case "start": {
      const error = thrown(() => handle.start());
      if (!isAllowed) assertInstanceOf(error, LockedError);
      else if (model.isStarted || model.wasStoppedBefore) {
        assertInstanceOf(error, Error);
        assert(!(error instanceof LockedError));
      } else {
        assertEquals(error, undefined);
        model.isStarted = true;
        if (model.isSignalAborted) model.obeySignal();
      }
      break;
    }
    case "stop": {
      const told = real.expect(handle.stop({ grace: call.grace }), PENDING);
      const isOver = !model.isStarted || model.hasEnded;
      if (!isAllowed) told.expected = { kind: "locked" };
      else if (isOver) {
        told.expected = { kind: "value", value: "stopped" };
        if (model.isStarted || model.wasStoppedBefore) break;
        model.wasStoppedBefore = true;
        model.outcome = "stopped";
      } else {
        model.requestStop();
        model.stops.push({ deadline: model.now + call.grace, told });
      }
      break;
    }
    case "join": {
      const controller = new AbortController();
      const { signal } = controller;
      const told = real.expect(handle.join({ signal }), PENDING);
      if (model.hasEnded || model.isAbandoned || model.wasStoppedBefore) {
        told.expected = model.joined;
      } else if (!model.isStarted) told.expected = { kind: "refused" };
      else model.joins.push({ controller, told });
      break;
    }
    case "abortJoins":
      for (const { controller, told } of model.joins) {
        if (told.expected === PENDING) told.expected = { kind: "enough" };
        controller.abort("enough");
      }
      break;
    case "set": {
      const error = thrown(() => handle.setSettings(call.value));
      if (isAllowed) {
        assertEquals(error, undefined);
        model.pending = call.value;
      } else assertInstanceOf(error, LockedError);
      break;
    }
    case "lock": {
      const { timeout } = call;
      const told = real.expect(handle.lock({ timeout }), PENDING);
      if (model.owner === undefined) {
        model.owner = by;
        told.expected = { kind: "lock", isGiven: true };
      } else if (timeout === 0) {
        told.expected = { kind: "lock", isGiven: false };
      } else model.line.push({ by, deadline: model.now + timeout, told });
      break;
    }
    case "unlock":
      assertEquals(handle.unlock(), isAllowed);
      if (isAllowed && model.owner !== undefined) model.handOver();
      break;
    case "forceUnlock":
      handle.forceUnlock();
      if (model.owner !== undefined) model.handOver();
      break;
    case "abort":
      real.rig.controller.abort("dawn");
      model.isSignalAborted = true;
      model.obeySignal();
      break;
  }
}

function compare(model: Model, real: Real): void {
  for (const by of [0, 1]) {
    const handle = real.handle(by);
    assertEquals({
      state: handle.state,
      running: handle.running,
      ended: handle.ended,
      abandoned: handle.abandoned,
      outcome: handle.outcome,
      settings: handle.settings,
      pending: handle.pendingSettings,
      locked: handle.isLocked,
    }, {
      state: model.state,
      running: model.isRunning,
      ended: model.hasEnded || model.wasStoppedBefore,
      abandoned: model.isAbandoned,
      outcome: model.outcome,
      settings: model.settings,
      pending: model.pending,
      locked: model.owner !== undefined,
    });
  }
  for (const expectation of real.expectations) check(expectation);
}

/** Calls in one turn, after which everything settles. */
class Calls implements fc.AsyncCommand<Model, Real> {
  readonly #calls: Call[];

  constructor(calls: Call[]) {
    this.#calls = calls;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    for (const call of this.#calls) perform(call, model, real);
    await real.rig.settle();
    model.settle();
    compare(model, real);
  }

  toString(): string {
    return this.#calls.map((call) => JSON.stringify(call)).join(" ");
  }
}

class Pass implements fc.AsyncCommand<Model, Real> {
  readonly #ms: number;

  constructor(ms: number) {
    this.#ms = ms;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    await real.rig.clock.advance(this.#ms);
    model.pass(this.#ms);
    compare(model, real);
  }

  toString(): string {
    return `pass ${this.#ms}`;
  }
}

const by = fc.constantFrom(0, 1);
const call = fc.oneof(
  fc.record({
    kind: fc.constantFrom(
      ...["start", "unlock", "join", "abortJoins", "forceUnlock"] as const,
    ),
    by,
  }),
  fc.record({ kind: fc.constant("start" as const), by }),
  fc.record({
    kind: fc.constant("stop" as const),
    by,
    grace: fc.constantFrom(0, 5, 20, 1000, Infinity),
  }),
  fc.record({
    kind: fc.constant("lock" as const),
    by,
    timeout: fc.constantFrom(0, 0, 5, 25, Infinity),
  }),
  fc.record({ kind: fc.constant("set" as const), by, value: fc.nat(9) }),
  fc.record({
    kind: fc.constant("end" as const),
    verdict: fc.constantFrom<Verdict>("returned", "failed"),
  }),
);
const rare = fc.record({ kind: fc.constant("abort" as const), by });
const calls: fc.Arbitrary<Call[]> = fc.array(
  fc.oneof({ arbitrary: call, weight: 20 }, { arbitrary: rare, weight: 1 }),
  { minLength: 1, maxLength: 4 },
);
const commands = fc.commands([
  calls.map((calls) => new Calls(calls)),
  fc.constantFrom(5, 10, 15, 40).map((ms) => new Pass(ms)),
], { maxCommands: 25 });

test("TaskRunner does what a simple model of it does, and never hangs, in any order of calls by two handles", async () => {
  const reached = new Set<unknown>();
  const unhandled = await unhandledDuring(() =>
    fc.assert(
      fc.asyncProperty(commands, fc.boolean(), async (commands, hears) => {
        const model = new Model(hears);
        const real = await new Real().make(hears);
        await fc.asyncModelRun(() => ({ model, real }), commands);
        reached.add(model.outcome).add(model.isAbandoned);
        // Whatever came before: now everything ends.
        const end = new Calls([
          ...model.line.map(() => ({ kind: "forceUnlock" as const, by: 0 })),
          { kind: "forceUnlock", by: 0 },
          { kind: "stop", by: 1, grace: Infinity },
          { kind: "end", verdict: "returned" },
        ]);
        await end.run(model, real);
        await new Pass(PERIOD).run(model, real);
        for (const { promise } of real.expectations) {
          assert(promise.outcome !== undefined, "hangs");
        }
        assert(model.hasEnded || model.wasStoppedBefore);
        real.rig.assertNothingLeft();
        await real.rig.context.dispose().catch(() => {});
        assertEquals(real.rig.context.tasks, []);
        const { length } = real.rig.logger.of("error");
        assert(length <= (model.hasFailed ? 1 : 0));
      }),
      { numRuns: 1000 },
    )
  );
  assertEquals(unhandled, []);
  // It was not all the same.
  for (const outcome of ["completed", "stopped", "failed", "abandoned"]) {
    assert(reached.has(outcome), outcome);
  }
});
