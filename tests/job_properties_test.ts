// Copyright 2026 the Longrun authors. MIT license.

/**
 * Jobs of random form, with random limits, fates and stops, next to a simple
 * model of them: the form, and the state of each call as the call knows it.
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLessOrEqual,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import {
  call,
  type Job,
  type JobContext,
  JobError,
  type JobResult,
  type JobRun,
  parallel,
  sequential,
} from "../job.ts";
import type { ManualClock } from "../testing.ts";
import { JobRig } from "./_job_rig.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

type Fate = "obeys" | "deaf" | "at once" | "fails" | "throws" | "hangs";

type Form =
  | { kind: "call"; ms: number; fate: Fate }
  | { kind: "sequential"; jobs: Form[] }
  | { kind: "parallel"; jobs: Form[]; limit: number; waits: boolean };

const wait = (clock: ManualClock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });

class Call {
  readonly kind = "call";
  readonly ms: number;
  readonly fate: Fate;
  readonly error: Error;
  readonly above: Side[];
  readonly world: World;
  state: "new" | "running" | "ok" | "bad" = "new";

  constructor(
    { ms, fate }: Form & { kind: "call" },
    above: Side[],
    world: World,
  ) {
    this.ms = ms;
    this.fate = fate;
    this.error = new Error(`call ${world.calls.length}`);
    this.above = above;
    this.world = world;
    world.calls.push(this);
  }

  get job(): Job {
    return call((context) => this.#run(context));
  }

  #run(context: JobContext): unknown {
    this.world.begin(this);
    switch (this.fate) {
      case "at once":
        this.#end("ok");
        return this.error.message;
      case "throws":
        return this.#fail();
      default:
        return this.#last(context);
    }
  }

  #end(state: "ok" | "bad"): void {
    this.state = state;
    if (state === "bad") this.world.hasBad = true;
  }

  #fail(): never {
    this.#end("bad");
    this.world.failures.push(this.error);
    throw this.error;
  }

  async #last({ sleep, signal }: JobContext): Promise<unknown> {
    if (this.fate === "obeys") {
      try {
        await sleep(this.ms);
      } catch (reason) {
        this.#end("bad");
        assert(signal.aborted);
        throw reason;
      }
    } else if (this.fate === "hangs") await new Promise(() => {});
    else await wait(this.world.rig.clock, this.ms);
    if (this.fate === "fails") this.#fail();
    this.#end("ok");
    return this.error.message;
  }
}

class Sequence {
  readonly kind = "sequential";
  readonly jobs: Node[];

  constructor(jobs: Form[], above: Side[], world: World) {
    this.jobs = jobs.map((form) => build(form, above, world));
  }

  get job(): Job {
    return sequential(...this.jobs.map(({ job }) => job));
  }
}

class Side {
  readonly kind = "parallel";
  readonly jobs: Node[];
  readonly limit: number;
  readonly waits: boolean;
  readonly world: World;

  constructor(
    { jobs, limit, waits }: Form & { kind: "parallel" },
    above: Side[],
    world: World,
  ) {
    this.limit = limit;
    this.waits = waits;
    this.world = world;
    const below = [...above, this];
    this.jobs = jobs.map((form) => build(form, below, world));
  }

  get job(): Job {
    return parallel(this.jobs.map(({ job }) => job), {
      limit: this.limit,
      onFailure: this.waits ? "wait" : "fail-fast",
    });
  }
}

type Node = Call | Sequence | Side;

function build(form: Form, above: Side[], world: World): Node {
  switch (form.kind) {
    case "call":
      return new Call(form, above, world);
    case "sequential":
      return new Sequence(form.jobs, above, world);
    case "parallel":
      return new Side(form, above, world);
  }
}

function callsOf(node: Node): Call[] {
  return node.kind === "call" ? [node] : node.jobs.flatMap(callsOf);
}

const runningIn = (node: Node): number =>
  callsOf(node).filter(({ state }) => state === "running").length;

type Status = "open" | "ok" | "bad";

/** Whether anything below it runs or may run, and if not how it has ended. */
function statusOf(node: Node, isAborted: boolean): Status {
  if (node.kind === "call") {
    if (node.state === "new") return isAborted ? "bad" : "open";
    return node.state === "running" ? "open" : node.state;
  }
  if (node.kind === "sequential") {
    for (const job of node.jobs) {
      const status = statusOf(job, isAborted);
      if (status !== "ok") return status;
    }
    return "ok";
  }
  const isBroken = isAborted || isBrokenOff(node);
  const statuses = node.jobs.map((job) => statusOf(job, isBroken));
  if (statuses.includes("open")) return "open";
  return statuses.includes("bad") ? "bad" : "ok";
}

const isBrokenOff = (side: Side): boolean =>
  !side.waits && side.world.hasBad &&
  side.jobs.some((job) => statusOf(job, false) === "bad");

/** The calls that nothing but a limit may keep from running. */
function readyIn(node: Node): Call[] {
  switch (node.kind) {
    case "call":
      return node.state === "new" ? [node] : [];
    case "sequential": {
      const first = node.jobs.find((job) => statusOf(job, false) !== "ok");
      return first === undefined || statusOf(first, false) === "bad"
        ? []
        : readyIn(first);
    }
    case "parallel":
      return isBrokenOff(node) ? [] : node.jobs.flatMap(readyIn);
  }
}

function valueOf(node: Node): unknown {
  return node.kind === "call" ? node.error.message : node.jobs.map(valueOf);
}

/** One job, and what becomes of it. */
class World {
  readonly rig: JobRig;
  readonly calls: Call[] = [];
  readonly failures: Error[] = [];
  readonly progress: number[] = [];
  readonly root: Node;
  readonly run: JobRun;
  readonly watch: ReturnType<JobRig["watch"]>;
  isStopped = false;
  /** Whether a call has not ended well. */
  hasBad = false;

  constructor(form: Form, rig: JobRig) {
    this.rig = rig;
    this.root = build(form, [], this);
    this.run = rig.submit(this.root.job, {
      onProgress: (done) => this.progress.push(done),
    });
    this.watch = rig.watch(this.run.done);
  }

  stop(): void {
    this.isStopped = true;
    this.run.stop({ reason: this });
  }

  begin(call: Call): void {
    assertEquals(call.state, "new", "runs twice");
    assertFalse(this.isStopped, "begins after the stop");
    call.state = "running";
    for (const side of call.above) {
      assertLessOrEqual(runningIn(side), side.limit, "too many calls");
      const begun = side.jobs.filter((job) =>
        callsOf(job).some(({ state }) => state !== "new") &&
        statusOf(job, false) === "open"
      );
      assertLessOrEqual(begun.length, side.limit, "too many jobs");
    }
    this.#checkOrder(this.root);
  }

  #checkOrder(node: Node): void {
    if (node.kind === "call") return;
    node.jobs.forEach((job) => this.#checkOrder(job));
    if (node.kind === "parallel") return;
    let hasUndone = false;
    for (const job of node.jobs) {
      const isTouched = callsOf(job).some(({ state }) => state !== "new");
      assert(!(hasUndone && isTouched), "begins before the one before it ends");
      hasUndone ||= callsOf(job).some(({ state }) => state !== "ok");
    }
  }

  /** Nothing is about to happen: whatever can run must run. */
  checkBusy(limit: number): void {
    if (this.isStopped) return;
    if (this.rig.executor.running >= limit) return;
    for (const call of readyIn(this.root)) {
      const isHeldBack = call.above.some((side) =>
        runningIn(side) >= side.limit
      );
      assert(isHeldBack, `${call.error.message} could run and does not`);
    }
  }

  checkEnd(): void {
    const { settled } = this.watch;
    assert(settled !== undefined, "hangs");
    const { reason, value } = settled;
    const { run, failures } = this;
    assertEquals(this.calls.filter(({ state }) => state === "running"), []);
    if (failures.length > 0) {
      assertInstanceOf(reason, JobError);
      assertEquals(reason.errors.length, failures.length);
      failures.forEach((error, index) =>
        assertStrictEquals(reason.errors[index], error)
      );
      for (const { path, error } of reason.failures) {
        assertStrictEquals(resultAt(run.results, path).error, error);
      }
      assertEquals(run.status, "failed");
    } else if (settled.reason !== this) {
      assertEquals(statusOf(this.root, this.isStopped), "ok");
      assertEquals(value, valueOf(this.root));
      assertEquals(run.results.value, value);
      assertEquals([run.status, run.progress], ["completed", 1]);
    } else {
      // What has no calls completes only when its turn has come.
      const isEmpty = this.calls.every(({ state }) => state === "ok");
      assert(isEmpty || statusOf(this.root, this.isStopped) === "bad");
      assert(this.isStopped);
      assert(run.status === "stopped" || run.status === "skipped");
    }
    this.#checkResult(run.results, this.root);
    assertEquals(this.progress, this.progress.toSorted((a, b) => a - b));
  }

  #checkResult(result: JobResult, node: Node): void {
    assertEquals(result.kind, node.kind);
    if (node.kind === "call") {
      const expected: Record<Call["state"], string[]> = {
        new: ["skipped", "stopped"],
        running: [],
        ok: ["completed"],
        bad: ["failed", "stopped"],
      };
      const { status } = result;
      assert(
        expected[node.state].includes(status),
        `${node.state} is ${status}`,
      );
      return;
    }
    assertEquals(result.jobs.length, node.jobs.length);
    node.jobs.forEach((job, index) => {
      const child = result.jobs[index];
      assert(child !== undefined);
      this.#checkResult(child, job);
    });
    const statuses = result.jobs.map(({ status }) => status);
    if (statuses.includes("failed")) assertEquals(result.status, "failed");
    else if (statuses.every((status) => status === "completed")) {
      assert(result.status === "completed" || result.status === "skipped");
    } else assert(["stopped", "skipped"].includes(result.status));
  }
}

function resultAt(result: JobResult, path: readonly number[]): JobResult {
  let at = result;
  for (const index of path) {
    const job = at.jobs[index];
    assert(job !== undefined);
    at = job;
  }
  return at;
}

const limit = fc.constantFrom(1, 2, 3, Infinity);

function forms(fates: Fate[]): fc.Arbitrary<Form> {
  const { form } = fc.letrec<{ form: Form; jobs: Form[] }>((tie) => ({
    jobs: fc.array(tie("form"), { maxLength: 3, size: "max" }),
    form: fc.oneof(
      { maxDepth: 4, depthSize: "large" },
      fc.record({
        kind: fc.constant("call" as const),
        ms: fc.constantFrom(0, 1, 2, 5),
        fate: fc.constantFrom(...fates),
      }),
      fc.record({
        kind: fc.constant("sequential" as const),
        jobs: tie("jobs"),
      }),
      fc.record({
        kind: fc.constant("parallel" as const),
        jobs: tie("jobs"),
        limit,
        waits: fc.boolean(),
      }),
    ),
  }));
  return form;
}

/** Lets time pass from event to event. */
async function pass(clock: ManualClock, look: () => void): Promise<void> {
  await clock.advance(0);
  look();
  for (;;) {
    const [next] = clock.pending;
    if (next === undefined || next.deadline === Infinity) return;
    await clock.advance(next.deadline - clock.now());
    look();
  }
}

test("Jobs of any form, under any limits, run to their end without an idle place", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(forms(["obeys", "deaf", "at once"]), {
        minLength: 1,
        maxLength: 3,
      }),
      limit,
      async (forms, limit) => {
        const rig = new JobRig({ limit });
        const worlds = forms.map((form) => new World(form, rig));
        let most = 0;
        await pass(rig.clock, () => {
          most = Math.max(most, rig.executor.running);
          for (const world of worlds) world.checkBusy(limit);
        });
        assertLessOrEqual(most, limit);
        for (const world of worlds) {
          world.checkEnd();
          assertEquals(world.run.status, "completed");
        }
        rig.assertNothingLeft();
      },
    ),
    { numRuns: 500 },
  );
});

test("Jobs of any form end as a simple model of them does, whatever fails and whoever stops them", async () => {
  const reached = new Map<string, number>();
  const unhandled = await unhandledDuring(() =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            form: forms(["obeys", "deaf", "at once", "fails", "throws"]),
            stop: fc.option(fc.nat(12)),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        limit,
        async (jobs, limit) => {
          const rig = new JobRig({ limit, grace: Infinity });
          const worlds = jobs.map(({ form, stop }) => {
            const world = new World(form, rig);
            if (stop !== null) rig.clock.setTimer(() => world.stop(), stop);
            return world;
          });
          await pass(rig.clock, () => {
            assertLessOrEqual(rig.executor.running, limit);
            for (const world of worlds) world.checkBusy(limit);
          });
          for (const world of worlds) {
            world.checkEnd();
            const { status } = world.run;
            reached.set(status, (reached.get(status) ?? 0) + 1);
          }
          rig.assertNothingLeft();
        },
      ),
      { numRuns: 1500 },
    )
  );
  assertEquals(unhandled, []);
  // It was not all the same.
  for (const status of ["completed", "failed", "stopped"]) {
    assert((reached.get(status) ?? 0) > 20, status);
  }
});

test("Jobs of any form end, and give their places back, when calls hang and are abandoned", async () => {
  let abandoned = 0;
  const unhandled = await unhandledDuring(() =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            form: forms(["obeys", "deaf", "at once", "fails", "hangs"]),
            stop: fc.nat(30),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        limit,
        fc.constantFrom(0, 1, 10),
        async (jobs, limit, grace) => {
          const rig = new JobRig({ limit, grace });
          const worlds = jobs.map(({ form, stop }) => {
            const world = new World(form, rig);
            rig.clock.setTimer(() => world.stop(), stop);
            return world;
          });
          await pass(rig.clock, () => {
            assertLessOrEqual(rig.executor.running, limit);
          });
          for (const { watch, run } of worlds) {
            assert(watch.settled !== undefined, "hangs");
            if (run.abandoned) abandoned++;
            assert(!["running", "stopping", "waiting"].includes(run.status));
          }
          rig.assertNothingLeft();
          await turns();
        },
      ),
      { numRuns: 500 },
    )
  );
  assertEquals(unhandled, []);
  assert(abandoned > 50);
});
