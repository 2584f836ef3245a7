// Copyright 2026 the Longrun authors. MIT license.

/** Activities and procedures together, whatever happens to their processes. */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import {
  ActivityService,
  fileSystemScript,
  InMemorySchedulingBlockStore,
  isFinal,
  procedureInput,
  ScriptExecutionService,
} from "../mod.ts";
import { FakePool, settle } from "./_fake_pool.ts";

const script = fileSystemScript("file:///scripts/observe.ts");

/** What is done, to which procedure, and how many promises later the next is. */
const step = fc.record({
  what: fc.constantFrom(
    "run",
    "run",
    "prepare",
    "end",
    "end",
    "fail",
    "stop",
    "abort",
    "crash",
    "start",
    "force",
    "give up",
    "open",
  ),
  which: fc.nat(5),
  fn: fc.constantFrom("main", "focus", "nowhere"),
  turns: fc.nat(12),
});

/** Ways that take their time when it is their turn to. */
class Gates {
  #isClosed: readonly boolean[];
  readonly #waiting: (() => void)[] = [];
  #count = 0;

  constructor(isClosed: readonly boolean[]) {
    this.#isClosed = isClosed;
  }

  async pass<T>(value: T): Promise<T> {
    if (this.#isClosed[this.#count++ % this.#isClosed.length]) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return value;
  }

  open(): void {
    this.#waiting.shift()?.();
  }

  openAll(): void {
    this.#isClosed = [];
    for (const open of this.#waiting.splice(0)) open();
  }
}

test("No activity is left behind and none has another state than its procedure", async () => {
  const cases = fc.asyncProperty(
    fc.array(step, { minLength: 25, maxLength: 40 }),
    fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
    fc.record({
      endsInit: fc.boolean(),
      maxRunning: fc.integer({ min: 1, max: 2 }),
    }),
    async (steps, closed, { endsInit, maxRunning }) => {
      const gates = new Gates(closed);
      const pool = new FakePool();
      pool.functions = ["init", "main", "focus"];
      pool.endsInit = endsInit;
      pool.loads = () => gates.pass(undefined);
      pool.stops = () => gates.pass("stopped" as const);
      const told: string[] = [];
      const tell = (sentence: string): void => void told.push(sentence);
      const logger = { debug() {}, info() {}, warn: tell, error: tell };
      const procedures = new ScriptExecutionService({
        pool,
        logger,
        maxRunning,
        historyLimit: 100,
        abortScript: script,
        abortArgs: () => procedureInput(),
        now: () => 0,
      });
      const blocks = new InMemorySchedulingBlockStore({
        definitions: [{
          id: "sbd-1",
          version: 1,
          activities: { observe: { script, args: {} } },
        }],
      });
      const activities = new ActivityService({ procedures, blocks, logger });
      const pending: Promise<unknown>[] = [];
      const attempt = (work: Promise<unknown>): void =>
        void pending.push(work.catch(() => {}));
      for (const { what, which, fn, turns } of steps) {
        const { length } = procedures.summarise();
        const pid = length === 0 ? 1 : 1 + which % length;
        const call = pool.calls[which % Math.max(1, pool.calls.length)];
        if (what === "run") {
          attempt(activities.run({ name: "observe", sbdId: "sbd-1" }));
        } else if (what === "prepare") attempt(procedures.prepare({ script }));
        else if (what === "end") call?.end();
        else if (what === "fail") call?.fail(new Error("clouds"));
        else if (what === "stop") attempt(procedures.stop({ pid }));
        else if (what === "abort") {
          attempt(procedures.stop({ pid, runAbort: true }));
        } else if (what === "crash") pool.crash(pid, "out of memory");
        else if (what === "start") attempt(procedures.start({ pid, fn }));
        else if (what === "force") {
          attempt(procedures.start({ pid, fn, forceStart: true }));
        } else if (what === "give up") {
          const controller = new AbortController();
          const { signal } = controller;
          attempt(procedures.start({ pid, fn, forceStart: true }, { signal }));
          controller.abort(new Error("dawn"));
        } else gates.open();
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      }
      gates.openAll();
      for (let round = 0; round < 60; round++) {
        pool.calls[0]?.end();
        await settle();
      }
      await Promise.all(pending);
      assertEquals(procedures.running, 0);
      for (const { procedureId, state } of activities.summarise()) {
        assert(procedureId !== null);
        const [procedure] = procedures.summarise([procedureId]);
        assert(procedure !== undefined && isFinal(procedure.state));
        assertEquals<string>(state, procedure.state);
      }
      assertEquals(told, []);
      await activities.close();
      await procedures.close();
    },
  );
  await fc.assert(cases, { numRuns: 500 });
});

test("An activity that waits is STOPPED with its procedure when all are closed", async () => {
  const pool = new FakePool();
  const told: string[] = [];
  const tell = (sentence: string): void => void told.push(sentence);
  const logger = { debug() {}, info() {}, warn: tell, error: tell };
  const procedures = new ScriptExecutionService({ pool, logger });
  const blocks = new InMemorySchedulingBlockStore({
    definitions: [{
      id: "sbd-1",
      version: 1,
      activities: { observe: { script, args: {} } },
    }],
  });
  const activities = new ActivityService({ procedures, blocks, logger });
  const statesOf = () => activities.summarise().map(({ state }) => state);
  const command = { name: "observe", sbdId: "sbd-1" };
  await activities.run(command);
  await activities.run(command);
  await settle();
  assertEquals(statesOf(), ["RUNNING", "PREPARED"]);
  const gate = Promise.withResolvers<void>();
  pool.stops = async (pid) => {
    if (pid === 2) await gate.promise;
    return "stopped";
  };
  const closing = procedures.close();
  await settle();
  assertEquals(statesOf(), ["STOPPED", "PREPARED"]);
  gate.resolve();
  await closing;
  assertEquals(statesOf(), ["STOPPED", "STOPPED"]);
  assertEquals(told, []);
  await activities.close();
});
