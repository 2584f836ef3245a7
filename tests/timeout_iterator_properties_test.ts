// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertLessOrEqual,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { bad, END, item, Rig, Script, wait } from "./_timeout_iterator_rig.ts";

interface Plan {
  /** Multiples of 100: items never come together with a deadline. */
  delays: number[];
  pauses: number[];
  ending: "end" | "error" | "hang";
  /** A multiple of 100 and 1, or none. */
  timeout: number;
  onTimeout: "throw" | "end" | "continue";
  onAbort: "throw" | "end";
  /** A half, negative for a signal that has aborted before. */
  abortAt: number | undefined;
  /** A quarter: somebody else calls return(). */
  returnAt: number;
  breakAfter: number | undefined;
}

interface Outcome {
  items: number;
  how: "end" | "error" | "abort" | "timeout" | "break";
  at: number;
  timeouts: number;
  closed: number;
}

/** What an iteration is expected to do, told without promises. */
function predict(plan: Plan): Outcome {
  const { delays, pauses, ending, timeout, onTimeout, onAbort } = plan;
  const { abortAt = Infinity, returnAt, breakAfter } = plan;
  let now = 0;
  let timeouts = 0;
  for (let items = 0;; items++) {
    const outcome = (
      how: Outcome["how"],
      at: number,
      closed: number,
    ): Outcome => ({ items, how, at, timeouts, closed });
    const aborted = onAbort === "end" ? "end" : "abort";
    if (returnAt < now) return outcome("end", now, 1);
    if (abortAt < now) return outcome(aborted, now, 1);
    const isItem = items < delays.length;
    const hangs = !isItem && ending === "hang";
    const comes = hangs ? Infinity : now + (delays[items] ?? 0);
    const stopped = Math.min(abortAt, returnAt);
    let deadline = now + timeout;
    while (onTimeout === "continue" && deadline < Math.min(comes, stopped)) {
      timeouts++;
      deadline += timeout;
    }
    if (stopped < Math.min(comes, deadline)) {
      return stopped === returnAt
        ? outcome("end", stopped, 1)
        : outcome(aborted, stopped, 1);
    }
    if (deadline < comes) {
      timeouts++;
      return outcome(onTimeout === "end" ? "end" : "timeout", deadline, 1);
    }
    if (!isItem) return outcome(ending as "end" | "error", comes, 0);
    if (items + 1 === breakAfter) {
      items++;
      return { items, how: "break", at: comes, timeouts, closed: 1 };
    }
    now = comes + (pauses[items % pauses.length] ?? 0);
  }
}

const hundreds = fc.integer({ min: 0, max: 6 }).map((n) => 100 * n);

const plans: fc.Arbitrary<Plan> = fc.record({
  delays: fc.array(hundreds, { maxLength: 6 }),
  pauses: fc.array(hundreds, { minLength: 1, maxLength: 4 }),
  ending: fc.constantFrom("end", "error", "hang"),
  timeout: fc.oneof(
    fc.constant(Infinity),
    fc.integer({ min: 1, max: 7 }).map((n) => 100 * n + 1),
  ),
  onTimeout: fc.constantFrom("throw", "end", "continue"),
  onAbort: fc.constantFrom("throw", "end"),
  abortAt: fc.option(
    fc.integer({ min: -1, max: 2000 }).map((n) => n + 0.5),
    { nil: undefined },
  ),
  returnAt: fc.oneof(
    fc.constant(9000.25),
    fc.integer({ min: 0, max: 2000 }).map((n) => n + 0.25),
  ),
  breakAfter: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
});

/** Runs an iteration to its end. */
async function perform(plan: Plan, rig: Rig, script: Script): Promise<Outcome> {
  const { timeout, onTimeout, onAbort, abortAt, returnAt, pauses } = plan;
  if (abortAt !== undefined) {
    if (abortAt < 0) rig.controller.abort(bad);
    else rig.abortAt(abortAt, bad);
  }
  const iterator = rig.over(script, { timeout, onTimeout, onAbort });
  let returned: Promise<unknown> | undefined;
  rig.clock.setTimer(() => {
    returned = iterator.return();
  }, returnAt);
  const items: number[] = [];
  let how: Outcome["how"] = "end";
  try {
    for await (const value of iterator) {
      items.push(value);
      if (items.length === plan.breakAfter) {
        how = "break";
        break;
      }
      const pause = pauses[value % pauses.length] ?? 0;
      if (pause > 0) await wait(rig.clock, pause);
    }
  } catch (error) {
    how = error === bad
      ? "abort"
      : error === script.error
      ? "error"
      : "timeout";
    if (how === "timeout") assertEquals((error as Error).name, "TimeoutError");
  }
  const at = rig.clock.now();
  await returned;
  rig.assertNothingLeft();
  rig.assertOneTimer();
  assertEquals(items, Array.from(items, (_, n) => n), "items in order");
  assertEquals(await iterator.next(), END);
  const { timeouts } = iterator.statistics;
  return { items: items.length, how, at, timeouts, closed: script.closed };
}

test("TimeoutIterator behaves as its model whatever happens when", async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const rig = new Rig();
      const script = new Script(rig.clock, plan.delays, plan.ending);
      const outcome = perform(plan, rig, script);
      outcome.catch(() => {});
      await rig.clock.runAll();
      const expected = predict(plan);
      assertEquals(await outcome, expected);
      assertEquals(script.closed, expected.closed);
      assertLessOrEqual(script.pulled, expected.items + 1);
      assertEquals(script.overlaps, 0);
      rig.assertNothingLeft();
    }),
    { numRuns: 500 },
  );
});

type Action =
  | { act: "next" | "return" | "abort" }
  | { act: "advance"; ms: number };

const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Action>({ act: "next" }) },
    { weight: 1, arbitrary: fc.constant<Action>({ act: "return" }) },
    { weight: 1, arbitrary: fc.constant<Action>({ act: "abort" }) },
    {
      weight: 4,
      arbitrary: fc.integer({ min: 0, max: 20 }).map((ms): Action => ({
        act: "advance",
        ms,
      })),
    },
  ),
  { maxLength: 25 },
);

test("TimeoutIterator answers every request in order whatever else is called", async () => {
  await fc.assert(
    fc.asyncProperty(
      actions,
      fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 12 }),
      fc.constantFrom("end", "error", "hang"),
      fc.constantFrom(0, 1, 3),
      fc.constantFrom("throw", "end", "continue"),
      async (actions, delays, ending, prefetch, onTimeout) => {
        const rig = new Rig();
        const script = rig.script(delays, ending);
        const iterator = rig.over(script, {
          timeout: 10,
          totalTimeout: 120,
          prefetch,
          onTimeout,
        });
        const answers: number[] = [];
        const requests: Promise<unknown>[] = [];
        for (const action of actions) {
          if (action.act === "advance") await rig.clock.advance(action.ms);
          else if (action.act === "abort") rig.controller.abort(bad);
          else if (action.act === "return") {
            iterator.return().catch((error) => {
              assertStrictEquals(error, script.error);
            });
          } else {
            const index = requests.length;
            const request = iterator.next().finally(() => answers.push(index));
            requests.push(request);
            request.catch(() => {});
          }
        }
        await rig.clock.runAll();
        assertEquals(answers, Array.from(requests, (_, n) => n));
        const settled = await Promise.allSettled(requests);
        let expected = 0;
        let failures = 0;
        let ended = false;
        for (const answer of settled) {
          if (answer.status === "rejected") {
            failures++;
            assertFalse(ended, "an error after the end");
            ended = true;
          } else if ((answer.value as IteratorResult<number>).done) {
            assertEquals(answer.value, END);
            ended = true;
          } else {
            assertFalse(ended, "an item after the end");
            assertEquals(answer.value, item(expected++));
          }
        }
        assertLessOrEqual(failures, 1);
        assertEquals(iterator.statistics.items, expected);
        assertLessOrEqual(script.pulled, requests.length + prefetch);
        await iterator.return();
        const owes = requests.length === 0 || script.closed === 1 ||
          script.pulled > delays.length;
        assert(owes, "the source is neither over nor closed");
        assertLessOrEqual(script.closed, 1);
        assertEquals([script.opened <= 1, script.overlaps], [true, 0]);
        rig.assertNothingLeft();
      },
    ),
    { numRuns: 500 },
  );
});
