// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { readProcedure } from "../_client_wire.ts";
import {
  countStates,
  keptFrom,
  stateAt,
  withCall,
  withState,
} from "../_procedure_history.ts";
import { encodeProcedure } from "../_procedure_json.ts";
import {
  type ProcedureHistory,
  procedureInput,
  type ProcedureSummary,
} from "../procedure.ts";
import { fileSystemScript } from "../script.ts";
import { ScriptExecutionService } from "../script_execution_service.ts";
import { FakePool } from "./_fake_pool.ts";

const script = fileSystemScript("file:///scripts/observe.ts");

/** A history of so many states; the time of each is its place. */
function historyOf(count: number): ProcedureHistory {
  let history: ProcedureHistory = { states: [], stacktrace: null };
  for (let place = 0; place < count; place++) {
    history = withState(history, place % 2 === 0 ? "READY" : "RUNNING", place);
  }
  return history;
}

test("A history keeps the first and the latest states, and counts the others", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 500 }), (count) => {
    const history = historyOf(count);
    const places = Array.from({ length: count }, (_, place) => place);
    const kept = count <= 200 ? places : [0, ...places.slice(-199)];
    assertEquals(history.states.map(([, time]) => time), kept);
    assertEquals(countStates(history), count);
    assertEquals("droppedStates" in history, count > 200);
  }));
});

test("Whoever follows a history sees each state that is kept, once", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 1 });
  fc.assert(fc.property(sizes, (some) => {
    const seen: number[] = [];
    let place = 0;
    for (const size of some.toSorted((a, b) => a - b)) {
      const history = historyOf(size);
      const expected = history.states.map(([, time]) => time)
        .filter((time) => time >= place);
      const from = seen.length;
      for (;;) {
        place = keptFrom(history, place);
        const state = stateAt(history, place);
        if (state === undefined) break;
        seen.push(state[1]);
        place++;
      }
      assertEquals(seen.slice(from), expected);
    }
  }));
});

test("A summary keeps the first and the latest calls, and says so on its way", () => {
  let summary: ProcedureSummary = {
    id: 1,
    script,
    calls: [],
    history: historyOf(250),
    state: "READY",
  };
  for (let time = 0; time < 130; time++) {
    const input = procedureInput({ time });
    summary = withCall(summary, {
      fn: time === 0 ? "init" : "focus",
      input,
      time,
    });
  }
  assertEquals(summary.calls.length, 100);
  assertEquals(summary.droppedCalls, 30);
  const times = summary.calls.map(({ time }) => time);
  assertEquals([times[0], times[1], times.at(-1)], [0, 31, 129]);
  const travelled = JSON.parse(
    JSON.stringify(encodeProcedure(summary, "http://127.0.0.1/api/v1")),
  );
  const { uri: _, ...read } = readProcedure(travelled);
  assertEquals(read, summary);
});

test("ScriptExecutionService calls functions all night with a summary that does not grow", async () => {
  const pool = new FakePool();
  pool.functions = ["main", "focus"];
  await using service = new ScriptExecutionService({ pool });
  await service.prepare({ script });
  for (let count = 0; count < 300; count++) {
    await service.start({ pid: 1, fn: "focus", forceStart: true });
    pool.calls[0]?.end();
    await service.waitForState(1, "READY");
  }
  await service.start({ pid: 1 });
  const [summary] = service.summarise([1]);
  assertEquals(summary?.calls.map(({ fn }) => fn), [
    "init",
    ...Array(98).fill("focus"),
    "main",
  ]);
  assertEquals(summary?.droppedCalls, 202);
  assertEquals(summary?.history.states.length, 200);
  assertEquals(summary?.history.states[0]?.[0], "CREATING");
  assertEquals(summary?.history.droppedStates, 406);
  assertEquals(summary?.state, "RUNNING");
});
