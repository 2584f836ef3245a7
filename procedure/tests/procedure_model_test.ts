// Copyright 2026 the Longrun authors. MIT license.

import { defaultLogger } from "@longrun/tasks/logger";
import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { ProcedureError } from "../procedure_errors.ts";
import { canMove, isFinal, type ProcedureState } from "../procedure_state.ts";
import { fileSystemScript } from "../script.ts";
import { ScriptExecutionService } from "../script_execution_service.ts";
import { FakePool, settle } from "./_fake_pool.ts";

const silent = { ...defaultLogger, error: () => {} };
const script = fileSystemScript("file:///scripts/observe.ts");

interface Step {
  do:
    | "create"
    | "settle"
    | "turns"
    | "start"
    | "force"
    | "stop"
    | "abort"
    | "crash"
    | "end"
    | "fail";
  pid: number;
  turns: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom<Step["do"][]>(
    ...["create", "create", "create", "settle", "turns", "turns"] as const,
    ...["start", "force", "stop", "abort", "crash", "end", "fail"] as const,
  ),
  pid: fc.integer({ min: 1, max: 5 }),
  turns: fc.integer({ min: 1, max: 12 }),
});

/** Checks each state of each procedure when it begins. */
class Witness {
  readonly states: Map<number, ProcedureState[]> = new Map();
  readonly maxRunning: number;
  wrong: string | undefined = undefined;

  constructor(maxRunning: number) {
    this.maxRunning = maxRunning;
  }

  see(pid: number, state: ProcedureState): void {
    const states = this.states.get(pid) ?? [];
    this.states.set(pid, states);
    const before = states.at(-1);
    if (before === undefined ? state !== "CREATING" : !canMove(before, state)) {
      this.wrong ??= `${pid} went from ${before} to ${state}`;
    }
    states.push(state);
    const running = [...this.states.values()]
      .filter((all) => all.at(-1) === "RUNNING").length;
    if (running > this.maxRunning) this.wrong ??= `${running} were RUNNING`;
  }
}

test("ScriptExecutionService moves only along the table, whatever is asked in whatever order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.boolean(), { maxLength: 8 }),
      async (steps, maxRunning, unknowns) => {
        const pool = new FakePool();
        pool.endsInit = unknowns.length % 2 === 0;
        pool.stops = async () => {
          for (let turn = 0; turn < 3; turn++) await Promise.resolve();
          return unknowns.shift() ? "unknown" : "stopped";
        };
        const service = new ScriptExecutionService({
          pool,
          maxRunning,
          maxLive: 4,
          logger: silent,
          abortScript: script,
          abortArgs: ({ id }) => {
            if (id % 2 === 0) throw new Error("no subarray");
            return { args: [], kwargs: {} };
          },
        });
        const witness = new Witness(maxRunning + 5);
        service.bus.onEvent("procedure.lifecycle.statechange", (event) => {
          const { pid, state } = event.data as {
            pid: number;
            state: ProcedureState;
          };
          witness.see(pid, state);
        });
        const works: Promise<unknown>[] = [];
        const begin = (work: Promise<unknown>) =>
          void works.push(work.catch((error) => {
            if (!(error instanceof ProcedureError)) throw error;
          }));
        for (const one of steps) {
          if (one.do === "create") begin(service.prepare({ script }));
          else if (one.do === "settle") await settle();
          else if (one.do === "turns") {
            for (let turn = 0; turn < one.turns; turn++) {
              await Promise.resolve();
            }
          } else if (one.do === "start") begin(service.start({ pid: one.pid }));
          else if (one.do === "force") {
            begin(service.start({ pid: one.pid, forceStart: true }));
          } else if (one.do === "stop") begin(service.stop({ pid: one.pid }));
          else if (one.do === "abort") {
            begin(service.stop({ pid: one.pid, runAbort: true }));
          } else if (one.do === "crash") pool.crash(one.pid, "a crash");
          else {
            const call = pool.calls.find(({ pid }) => pid === one.pid);
            if (one.do === "end") call?.end();
            else call?.fail(new Error("a failure"));
          }
          assert(service.live <= 4 + 5);
          assert(service.running <= service.live);
        }
        const waits = service.summarise().map(({ id }) =>
          service.waitForState(id, ["COMPLETE", "STOPPED", "FAILED", "UNKNOWN"])
        );
        await service.close();
        await Promise.all([...works, ...waits]);
        await settle();
        assertEquals(witness.wrong, undefined);
        assertEquals(service.live, 0);
        assertEquals(service.running, 0);
        assertEquals(pool.calls.length, 0);
        for (const { id, state, history } of service.summarise()) {
          assert(isFinal(state), `${id} is ${state}`);
          assertEquals(
            history.states.map(([one]) => one),
            witness.states.get(id),
          );
          assertEquals(history.stacktrace !== null, state === "FAILED");
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("ScriptExecutionService never runs more at once than it may", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, maxRunning) => {
        const pool = new FakePool();
        const service = new ScriptExecutionService({ pool, maxRunning });
        const witness = new Witness(maxRunning);
        service.bus.onEvent("procedure.lifecycle.statechange", (event) => {
          const { pid, state } = event.data as {
            pid: number;
            state: ProcedureState;
          };
          witness.see(pid, state);
        });
        const works: Promise<unknown>[] = [];
        for (const one of steps) {
          if (one.do === "create") works.push(service.prepare({ script }));
          else if (one.do === "settle" || one.do === "turns") await settle();
          else if (one.do === "start" || one.do === "force") {
            works.push(service.start({
              pid: one.pid,
              forceStart: one.do === "force",
            }));
          } else if (one.do === "end") {
            pool.calls.find(({ pid }) => pid === one.pid)?.end();
          } else if (one.do === "stop") {
            works.push(service.stop({ pid: one.pid }));
          }
        }
        await service.close();
        await Promise.allSettled(works);
        assertEquals(witness.wrong, undefined);
      },
    ),
    { numRuns: 200 },
  );
});
