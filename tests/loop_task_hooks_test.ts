// Copyright 2026 the Longrun authors. MIT license.

/**
 * The hooks of a loop: in which order they come, and what follows when one of
 * them throws, stops the task or never returns. It is what QMI does, with our
 * differences: `loopFinalize()` also comes after a `loopPrepare()` that failed,
 * and of two errors none is lost.
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { sleep } from "../cancellation.ts";
import { MissedLoopPolicy } from "../missed_loop_policy.ts";
import { TaskStopError } from "../task.ts";
import { TaskRunError } from "../task_runner.ts";
import {
  type Hook,
  HookedLoop,
  type HookedLoopOptions,
  HOOKS,
  TaskRig,
} from "./_task_rig.ts";
import { never, watch } from "./_timeout_iterator_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

type HookFunction = (task: HookedLoop) => unknown;

/** A loop that is prepared and has settings to process. */
async function loop(
  hooks: Partial<Record<Hook, HookFunction>> = {},
  options: HookedLoopOptions = {},
) {
  const rig = new TaskRig({ grace: 50 });
  const calls: Hook[] = [];
  const task = await rig.context.makeTask("loop", HookedLoop, [
    { period: 100, ...options, hooks: { updateStatus: () => true, ...hooks } },
    calls,
  ]);
  task.setSettings("new");
  return { rig, task, calls };
}

/** All hooks up to one, and then the last one. */
function upTo(hook: Hook): Hook[] {
  const before = HOOKS.slice(0, HOOKS.indexOf(hook) + 1);
  return hook === "loopFinalize" ? before : [...before, "loopFinalize"];
}

/** Stops a loop and waits for its end. */
async function stopped(
  { rig, task }: Awaited<ReturnType<typeof loop>>,
): Promise<void> {
  task.stop();
  await rig.clock.advance(100);
  assert(task.ended, "has not ended");
}

// The order.

test("LoopTask calls its hooks in order, the one for settings only if there are new ones", async () => {
  const { rig, task, calls } = await loop();
  task.start();
  await rig.clock.advance(150);
  assertEquals(await task.stop(), "stopped");
  assertEquals(calls, [
    "loopPrepare",
    "processNewSettings",
    ...["loopIteration", "updateStatus", "publishSignals"],
    ...["loopIteration", "updateStatus", "publishSignals"],
    "loopFinalize",
  ] as Hook[]);
});

test("LoopTask waits for each hook before the next one", async () => {
  const times: [Hook, number][] = [];
  const slow = (hook: Hook): HookFunction => async ({ clock }) => {
    times.push([hook, clock.now()]);
    await sleep(10, { clock });
    return true;
  };
  const hooks = Object.fromEntries(HOOKS.map((hook) => [hook, slow(hook)]));
  const made = await loop(hooks);
  made.task.start();
  await made.rig.clock.advance(60);
  await stopped(made);
  assertEquals(
    times,
    HOOKS.map((hook, index) => // The last one comes with the stop.
    [hook, hook === "loopFinalize" ? 60 : index * 10]),
  );
});

test("LoopTask that is stopped before its start calls no hook", async () => {
  const { rig, task, calls } = await loop();
  await task.stop();
  await rig.clock.advance(1000);
  assertEquals(calls, []);
  const again = await loop();
  again.task.start();
  again.task.stop();
  await again.rig.clock.advance(1000);
  assertEquals(again.calls, []);
  assertEquals(again.task.outcome, "stopped");
});

// Hooks that throw.

const WAYS: [name: string, (error: unknown) => HookFunction][] = [
  ["throws", (error) => () => {
    throw error;
  }],
  ["rejects", (error) => () => Promise.reject(error)],
  ["rejects later", (error) => async ({ clock }) => {
    await sleep(10, { clock });
    throw error;
  }],
];

for (const hook of HOOKS) {
  for (const [way, fail] of WAYS) {
    test(`LoopTask whose ${hook}() ${way} is finalized and has failed`, async () => {
      const unhandled = await unhandledDuring(async () => {
        const failure = new Error("no light");
        const made = await loop({ [hook]: fail(failure) });
        const { rig, task, calls } = made;
        task.start();
        await rig.clock.advance(20);
        if (hook === "loopFinalize") await stopped(made);
        assertEquals(calls, upTo(hook));
        assertEquals([task.outcome, task.state], ["failed", "errored"]);
        assertEquals(rig.logger.lines, [
          "error Task 'loop' failed: Error: no light",
        ]);
        const { cause } = await assertRejects(() => task.join(), TaskRunError);
        assertStrictEquals(cause, failure);
        rig.assertNothingLeft();
      });
      assertEquals(unhandled, []);
    });

    test(`LoopTask whose ${hook}() ${way} with a TaskStopError is finalized and has ended normally`, async () => {
      const made = await loop({ [hook]: fail(new TaskStopError("enough")) });
      const { rig, task, calls } = made;
      task.start();
      await rig.clock.advance(20);
      if (hook === "loopFinalize") await stopped(made);
      assertEquals(calls, upTo(hook));
      assertEquals(
        task.outcome,
        hook === "loopFinalize" ? "stopped" : "completed",
      );
      await task.join();
      assertEquals(rig.logger.lines, []);
      rig.assertNothingLeft();
    });

    if (hook === "loopFinalize") continue;

    test(`LoopTask whose ${hook}() ${way} and whose loopFinalize() fails, too, has failed with both errors`, async () => {
      const first = new Error("no light");
      const second = new Error("the shutter is stuck");
      const { rig, task, calls } = await loop({
        [hook]: fail(first),
        loopFinalize: fail(second),
      });
      task.start();
      await rig.clock.advance(20);
      assertEquals(calls, upTo(hook));
      const { cause } = await assertRejects(() => task.join(), TaskRunError);
      assertInstanceOf(cause, Error);
      assertEquals(cause.name, "SuppressedError");
      assertEquals(
        cause.message,
        "loopFinalize failed after another hook had failed",
      );
      const { error, suppressed } = cause as unknown as SuppressedError;
      assertStrictEquals(error, second);
      assertStrictEquals(suppressed, first);
    });

    test(`LoopTask whose ${hook}() ${way} fails with that although loopFinalize() ends with a TaskStopError`, async () => {
      const failure = new Error("no light");
      const { rig, task } = await loop({
        [hook]: fail(failure),
        loopFinalize: fail(new TaskStopError("enough")),
      });
      task.start();
      await rig.clock.advance(20);
      const { cause } = await assertRejects(() => task.join(), TaskRunError);
      assertStrictEquals(cause, failure);
    });

    test(`LoopTask whose ${hook}() ${way} with a TaskStopError fails with the error of loopFinalize()`, async () => {
      const failure = new Error("the shutter is stuck");
      const { rig, task } = await loop({
        [hook]: fail(new TaskStopError("enough")),
        loopFinalize: fail(failure),
      });
      task.start();
      await rig.clock.advance(20);
      const { cause } = await assertRejects(() => task.join(), TaskRunError);
      assertStrictEquals(cause, failure);
    });
  }
}

test("LoopTask has published its status when publishSignals() throws", async () => {
  const { rig, task } = await loop({
    updateStatus: (task) => {
      task.status = "exposing";
      return true;
    },
    publishSignals: () => Promise.reject(new Error("no light")),
  });
  const next = task.topics.statusUpdated.subscribe().next();
  task.start();
  await rig.clock.advance(20);
  assertEquals((await next).value?.value, "exposing");
  await task.join().catch(() => {});
});

test("LoopTask has taken over and published its settings when processNewSettings() throws", async () => {
  const { rig, task } = await loop({
    processNewSettings: () => Promise.reject(new Error("too fast")),
  });
  task.start();
  await rig.clock.advance(20);
  assertEquals([task.settings, task.pendingSettings], ["new", undefined]);
  assertEquals(task.topics.settingsUpdated.last, "new");
  await task.join().catch(() => {});
});

test("LoopTask that the policy has ended fails when loopFinalize() does", async () => {
  const failure = new Error("the shutter is stuck");
  const { rig, task } = await loop({
    loopIteration: ({ clock }) => sleep(100, { clock }),
    loopFinalize: () => Promise.reject(failure),
  }, { policy: MissedLoopPolicy.Terminate });
  task.start();
  await rig.clock.advance(200);
  const { cause } = await assertRejects(() => task.join(), TaskRunError);
  assertStrictEquals(cause, failure);
  assertEquals(task.outcome, "failed");
});

test("LoopTask whose hook throws in a later round has run the ones before", async () => {
  const { rig, task, calls } = await loop({
    loopIteration: (task) => {
      if (task.statistics.rounds === 4) throw new Error("no light");
    },
  });
  task.start();
  await rig.clock.advance(1000);
  assertEquals(task.statistics.rounds, 4);
  assertEquals(calls.slice(-2), ["loopIteration", "loopFinalize"]);
  await task.join().catch(() => {});
  rig.assertNothingLeft();
});

// Stops.

for (const hook of HOOKS.slice(0, -1)) {
  test(`LoopTask that is stopped while ${hook}() works finishes the round, but no other, and is finalized`, async () => {
    const made = await loop({
      [hook]: async ({ clock }: HookedLoop) => {
        await sleep(30, { clock });
        return true;
      },
    });
    const { rig, task, calls } = made;
    task.start();
    await rig.clock.advance(20);
    const stop = watch(task.stop(), rig.clock);
    await rig.clock.advance(5);
    assertEquals(calls.at(-1), hook);
    assertEquals(task.state, "stopping");
    await rig.clock.advance(100);
    assertEquals(stop, { outcome: { value: "stopped" }, at: 30 });
    assertEquals(
      calls,
      hook === "loopPrepare" ? [hook, "loopFinalize"] : [...HOOKS],
    );
    assertEquals(task.outcome, "stopped");
    rig.assertNothingLeft();
  });

  test(`LoopTask whose ${hook}() sleeps is stopped at once, the rest of the round is left out, and it is finalized`, async () => {
    const made = await loop({
      [hook]: async (task: HookedLoop) => {
        await task.sleep(30);
        return true;
      },
    });
    const { rig, task, calls } = made;
    task.start();
    await rig.clock.advance(20);
    const stop = watch(task.stop(), rig.clock);
    await rig.settle();
    assertEquals(stop, { outcome: { value: "stopped" }, at: 20 });
    assertEquals(calls, upTo(hook));
    await task.join();
    assertEquals(task.outcome, "stopped");
    rig.assertNothingLeft();
  });

  test(`LoopTask whose ${hook}() stops the task finishes the round, but no other, and is finalized`, async () => {
    const { rig, task, calls } = await loop({
      [hook]: (task: HookedLoop) => {
        task.stop("enough");
        return true;
      },
    });
    task.start();
    await rig.clock.advance(1000);
    assertEquals(
      calls,
      hook === "loopPrepare" ? [hook, "loopFinalize"] : [...HOOKS],
    );
    assertEquals(task.outcome, "stopped");
    rig.assertNothingLeft();
  });

  test(`LoopTask whose ${hook}() hangs is abandoned after the grace, and never finalized`, async () => {
    const { rig, task, calls } = await loop({ [hook]: never });
    task.start();
    await rig.clock.advance(20);
    const stop = watch(task.stop(), rig.clock);
    await rig.clock.advance(1000);
    assertEquals(stop, { outcome: { value: "abandoned" }, at: 70 });
    assertEquals(calls, upTo(hook).slice(0, -1));
    assertEquals(task.outcome, "abandoned");
    await task.join();
    rig.assertNothingLeft();
  });
}

test("LoopTask.sleep() in loopFinalize() fails at once after a stop, other sleeps do not", async () => {
  const order: string[] = [];
  const { rig, task } = await loop({
    loopFinalize: async (task) => {
      await sleep(30, { clock: task.clock });
      order.push(`slept until ${task.clock.now()}`);
      await task.sleep(30).catch((error) => order.push(error.name));
      await task.sleep(30);
      order.push("never");
    },
  });
  task.start();
  await rig.clock.advance(10);
  const stop = watch(task.stop(), rig.clock);
  await rig.clock.advance(100);
  assertEquals(order, ["slept until 40", "TaskStopError"]);
  assertEquals(stop, { outcome: { value: "stopped" }, at: 40 });
  await task.join();
});

test("LoopTask whose loopFinalize() hangs is abandoned after the grace", async () => {
  const { rig, task } = await loop({ loopFinalize: never });
  task.start();
  await rig.clock.advance(10);
  const stop = watch(task.stop(), rig.clock);
  const join = watch(task.join(), rig.clock);
  await rig.clock.advance(49);
  assertEquals([stop.outcome, join.outcome], [undefined, undefined]);
  await rig.clock.advance(1);
  assertEquals(stop, { outcome: { value: "abandoned" }, at: 60 });
  assertEquals(join, { outcome: { value: undefined }, at: 60 });
  assertEquals([task.outcome, task.state], ["abandoned", "stopping"]);
  rig.assertNothingLeft();
});

test("LoopTask whose loopFinalize() hangs after a failure can still be stopped", async () => {
  const { rig, task, calls } = await loop({
    loopIteration: () => Promise.reject(new Error("no light")),
    loopFinalize: never,
  });
  task.start();
  await rig.clock.advance(1000);
  assertEquals(calls.at(-1), "loopFinalize");
  assert(task.running);
  const stop = watch(task.stop(), rig.clock);
  await rig.clock.advance(50);
  assertEquals(stop.outcome, { value: "abandoned" });
});

test("LoopTask that is stopped while loopFinalize() works waits for that", async () => {
  const endings: [string, HookFunction, HookedLoopOptions][] = [
    ["failed", () => Promise.reject(new Error("no light")), {}],
    ["stopped", () => Promise.reject(new TaskStopError("enough")), {}],
    ["terminated", ({ clock }) => sleep(100, { clock }), {
      policy: MissedLoopPolicy.Terminate,
    }],
  ];
  for (const [outcome, loopIteration, options] of endings) {
    const { rig, task, calls } = await loop({
      loopIteration,
      loopFinalize: ({ clock }) => sleep(40, { clock }),
    }, options);
    task.start();
    await rig.clock.advance(outcome === "terminated" ? 110 : 10);
    assertEquals(calls.at(-1), "loopFinalize");
    const stop = watch(task.stop(), rig.clock);
    await rig.clock.advance(29);
    assertEquals(stop.outcome, undefined);
    await rig.clock.advance(20);
    assertEquals(stop.outcome, { value: "stopped" });
    assertEquals(task.outcome, outcome);
    await task.join().catch(() => {});
  }
});

test("LoopTask whose loopFinalize() stops the task is finalized once", async () => {
  const { rig, task, calls } = await loop({
    loopIteration: () => Promise.reject(new TaskStopError("enough")),
    loopFinalize: (task) => task.stop(),
  });
  task.start();
  await rig.clock.advance(100);
  assertEquals(calls.filter((hook) => hook === "loopFinalize").length, 1);
  assertEquals(task.outcome, "stopped");
  rig.assertNothingLeft();
});

test("LoopTask whose hook fails with the reason of the stop has ended normally", async () => {
  const reason = new Error("clouds");
  const wraps: ((error: unknown) => unknown)[] = [
    (error) => error,
    () => reason,
    (error) => new Error("no image", { cause: error }),
    () => new DOMException("aborted", "AbortError"),
  ];
  for (const wrap of wraps) {
    const { rig, task, calls } = await loop({
      loopIteration: (task) =>
        task.sleep(1000).catch((error) => Promise.reject(wrap(error))),
    });
    task.start();
    await rig.clock.advance(10);
    await task.stop({ reason });
    await task.join();
    assertEquals(calls.at(-1), "loopFinalize");
    assertEquals([task.outcome, rig.logger.lines], ["stopped", []]);
  }
});

test("LoopTask whose hook fails because of the stop fails with the error of loopFinalize() alone", async () => {
  const wraps: ((error: unknown) => unknown)[] = [
    (error) => new Error("no image", { cause: error }),
    () => new DOMException("aborted", "AbortError"),
  ];
  for (const wrap of wraps) {
    const failure = new Error("the shutter is stuck");
    const { rig, task } = await loop({
      loopIteration: (task) =>
        task.sleep(1000).catch((error) => Promise.reject(wrap(error))),
      loopFinalize: () => Promise.reject(failure),
    });
    task.start();
    await rig.clock.advance(10);
    await task.stop();
    const { cause } = await assertRejects(() => task.join(), TaskRunError);
    assertStrictEquals(cause, failure);
  }
});

test("LoopTask whose hook fails with something else while it is stopped has failed", async () => {
  const { rig, task } = await loop({
    loopIteration: (task) =>
      task.sleep(1000).catch(() => Promise.reject(new Error("disk full"))),
  });
  task.start();
  await rig.clock.advance(10);
  assertEquals(await task.stop(), "stopped");
  const { cause } = await assertRejects(() => task.join(), TaskRunError);
  assertInstanceOf(cause, Error);
  assertEquals(cause.message, "disk full");
});

// Whatever happens.

const LETTERS: Record<Hook, string> = {
  loopPrepare: "P",
  processNewSettings: "S",
  loopIteration: "I",
  updateStatus: "U",
  publishSignals: "B",
  loopFinalize: "F",
};

const behaviour = fc.record({
  ms: fc.nat(40),
  hears: fc.boolean(),
  /** In which of its calls it throws. */
  throwsAt: fc.option(fc.nat(4), { nil: undefined, freq: 8 }),
  stopsAt: fc.option(fc.nat(4), { nil: undefined, freq: 8 }),
});

test("LoopTask keeps the order of its hooks, never runs two at a time and is finalized once, whatever they do", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record(
        Object.fromEntries(HOOKS.map((hook) => [hook, behaviour])) as Record<
          Hook,
          typeof behaviour
        >,
      ),
      fc.constantFrom(...Object.values(MissedLoopPolicy)),
      fc.array(fc.nat(60), { maxLength: 5 }),
      async (behaviours, policy, waits) => {
        let inside = 0;
        let most = 0;
        const failures: unknown[] = [];
        const hooks = HOOKS.map((hook) => {
          let count = 0;
          const act = async (task: HookedLoop): Promise<boolean> => {
            const { ms, hears, throwsAt, stopsAt } = behaviours[hook];
            most = Math.max(most, ++inside);
            try {
              if (count === stopsAt) task.stop();
              if (hears) await task.sleep(ms);
              else await sleep(ms, { clock: task.clock });
              if (count === throwsAt) {
                const failure = new Error(hook);
                failures.push(failure);
                throw failure;
              }
              return true;
            } finally {
              count++;
              inside--;
            }
          };
          return [hook, act];
        });
        const { rig, task, calls } = await loop(Object.fromEntries(hooks), {
          policy,
          period: 50,
        });
        task.start();
        for (const ms of waits) {
          await rig.clock.advance(ms);
          task.setSettings(ms);
        }
        const stop = watch(task.stop({ grace: Infinity }), rig.clock);
        await rig.clock.advance(1000);
        assertEquals(stop.outcome, { value: "stopped" });
        const order = calls.map((hook) => LETTERS[hook]).join("");
        // The hooks that a round ends with are left out when one throws.
        assertMatch(order, /^(P(S?IUB)*(S|S?IU?)?F)?$/);
        assert(most <= 1);
        assertEquals(inside, 0);
        const { exception } = task;
        if (failures.length === 0) assertEquals(exception, undefined);
        else if (failures.length === 1) {
          assertStrictEquals(exception?.cause, failures[0]);
        } else {
          const { error, suppressed } = exception?.cause as SuppressedError;
          assertEquals([suppressed, error], failures);
        }
        rig.assertNothingLeft();
      },
    ),
    { numRuns: 300 },
  );
});
