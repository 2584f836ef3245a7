// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import * as fc from "fast-check";
import { BackgroundTask } from "../background_task.ts";
import { backoff } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import { ManualClock } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import { turns, turnsLater } from "./_turns.ts";
import { runProgram } from "./_process.ts";
import { RecordingLogger } from "./_recording_logger.ts";

/** Work that nobody can end but us. */
function deaf(): { action: () => Promise<void>; end: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { action: () => promise, end: resolve };
}

// The tests of the original.

test("BackgroundTask is stopped when it is new", () => {
  const task = new BackgroundTask(() => {});
  assertEquals(task.state, "stopped");
  assertFalse(task.running);
  assertFalse(task.errored);
  assertEquals(task.exception, undefined);
});

test("BackgroundTask.run() runs the action in the background", async () => {
  let ran = false;
  const task = new BackgroundTask(() => {
    ran = true;
  });
  task.run();
  assertFalse(ran);
  assert(task.running);
  await task.join();
  assert(ran);
  assertFalse(task.running);
});

test("BackgroundTask.run() while running does nothing", async () => {
  const clock = new ManualClock();
  let calls = 0;
  const task = new BackgroundTask(async ({ sleep }) => {
    calls++;
    await sleep(100);
  }, { clock });
  task.run();
  task.run();
  await clock.advance(50);
  task.run();
  await clock.advance(50);
  await task.join();
  assertEquals(calls, 1);
});

test("BackgroundTask.stop() on a running task stops it", async () => {
  const clock = new ManualClock();
  const task = new BackgroundTask(() => {}, { frequency: 1, clock });
  task.run();
  await clock.advance(500);
  assert(task.running);
  assertEquals(await task.stop(), "stopped");
  assertEquals(task.state, "stopped");
  assert(task.ended);
});

test("BackgroundTask.run() after the end throws", async () => {
  const task = new BackgroundTask(() => {}, { name: "pointing" });
  task.run();
  await task.join();
  assertThrows(
    () => task.run(),
    Error,
    "Cannot run 'pointing' as it has already ended",
  );
});

test("BackgroundTask without a frequency calls its action exactly once", async () => {
  const clock = new ManualClock();
  let calls = 0;
  const task = new BackgroundTask(() => {
    calls++;
  }, { clock });
  task.run();
  await clock.advance(10_000);
  await task.join();
  assertEquals(calls, 1);
  assertEquals(task.statistics.rounds, 1);
});

test("BackgroundTask with a frequency calls its action many times", async () => {
  const clock = new ManualClock();
  let calls = 0;
  const task = new BackgroundTask(() => {
    calls++;
  }, { frequency: 1000, clock });
  task.run();
  await clock.advance(10);
  await task.stop();
  assertEquals(calls, 11);
});

test("BackgroundTask whose action throws is errored with the same error", async () => {
  const error = new Error("no beam");
  const task = new BackgroundTask(() => {
    throw error;
  });
  task.run();
  assertStrictEquals(await assertRejects(() => task.join()), error);
  assertFalse(task.running);
  assert(task.errored);
  assertEquals(task.state, "errored");
  assertStrictEquals(task.exception, error);
});

// The defects of the original, absent.

test("BackgroundTask does not lose a stop before the first line of its action", async () => {
  let calls = 0;
  const task = new BackgroundTask(() => {
    calls++;
  }, { frequency: 1 });
  task.run();
  assertEquals(task.state, "starting");
  assertEquals(await task.stop(), "stopped");
  assertEquals(calls, 0);
  assertEquals(task.state, "stopped");
});

test("BackgroundTask can be stopped from inside its action, before and after an await", async () => {
  for (const hops of [0, 1, 5]) {
    const task: BackgroundTask = new BackgroundTask(async () => {
      for (let hop = 0; hop < hops; hop++) await undefined;
      task.stop();
    }, { frequency: 1 });
    task.run();
    await task.join();
    assertEquals(task.state, "stopped");
    assertEquals(task.statistics.rounds, 1);
  }
});

test("BackgroundTask action that awaits its own stop() is told that it was abandoned", async () => {
  const clock = new ManualClock();
  let outcome: string | undefined;
  const task: BackgroundTask = new BackgroundTask(async () => {
    outcome = await task.stop({ grace: 100 });
  }, { clock });
  task.run();
  await clock.advance(100);
  assertEquals(outcome, "abandoned");
  assertEquals(task.state, "stopped");
  assert(task.ended);
});

test("BackgroundTask context.stop() asks without waiting", async () => {
  const reasons: unknown[] = [];
  const task = new BackgroundTask(({ signal, stop }) => {
    stop("enough");
    reasons.push(signal.reason);
  }, { frequency: 1000 });
  task.run();
  await task.join();
  assertEquals(reasons, ["enough"]);
  assertEquals(task.state, "stopped");
});

test("BackgroundTask.stop() wakes a task that sleeps between rounds", async () => {
  const clock = new ManualClock();
  const task = new BackgroundTask(() => {}, { frequency: 0.001, clock });
  task.run();
  await clock.advance(1);
  assertEquals(await task.stop(), "stopped");
  assertEquals(clock.now(), 1);
  assertEquals(clock.pending, []);
});

test("BackgroundTask.stop() wakes an action that sleeps", async () => {
  const clock = new ManualClock();
  const task = new BackgroundTask(({ sleep }) => sleep(1e9), { clock });
  task.run();
  await clock.advance(1);
  assertEquals(await task.stop(), "stopped");
  assertEquals(task.state, "stopped");
  assertEquals(clock.pending, []);
});

test("BackgroundTask.stop() a second time waits for the same end", async () => {
  const clock = new ManualClock();
  const { action, end } = deaf();
  const task = new BackgroundTask(action, { clock });
  task.run();
  await clock.advance(1);
  const outcomes: string[] = [];
  task.stop().then((outcome) => outcomes.push(`first ${outcome}`));
  task.stop().then((outcome) => outcomes.push(`second ${outcome}`));
  await clock.advance(1);
  assertEquals(task.state, "stopping");
  assertEquals(outcomes, []);
  end();
  await clock.advance(0);
  assertEquals(outcomes, ["first stopped", "second stopped"]);
});

test("BackgroundTask.stop() of errored and ended tasks resolves and changes nothing", async () => {
  const failed = new BackgroundTask(() => Promise.reject(new Error("x")));
  failed.run();
  await assertRejects(() => failed.join());
  assertEquals(await failed.stop(), "stopped");
  assertEquals(failed.state, "errored");
  const done = new BackgroundTask(() => {});
  done.run();
  await done.join();
  assertEquals(await done.stop(), "stopped");
  assertEquals(done.state, "stopped");
});

// The rate.

test("BackgroundTask keeps its rate however long the action takes", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const task = new BackgroundTask(async ({ sleep }) => {
    starts.push(clock.now());
    await sleep(50);
  }, { frequency: 10, clock });
  task.run();
  await clock.advance(400);
  await task.stop();
  assertEquals(starts, [0, 100, 200, 300, 400]);
});

test("BackgroundTask with fixed delay waits a period after each round", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const task = new BackgroundTask(async ({ sleep }) => {
    starts.push(clock.now());
    await sleep(50);
  }, { frequency: 10, schedule: "fixed-delay", clock });
  task.run();
  await clock.advance(450);
  await task.stop();
  assertEquals(starts, [0, 150, 300, 450]);
});

test("BackgroundTask skips rounds that were missed and counts them", async () => {
  const clock = new ManualClock();
  const rounds: Record<string, number>[] = [];
  const task = new BackgroundTask(async ({ sleep, round, late, missed }) => {
    rounds.push({ at: clock.now(), round, late, missed });
    if (round === 1) await sleep(350);
  }, { frequency: 10, clock });
  task.run();
  await clock.advance(600);
  await task.stop();
  assertEquals(rounds, [
    { at: 0, round: 0, late: 0, missed: 0 },
    { at: 100, round: 1, late: 0, missed: 0 },
    { at: 450, round: 2, late: 250, missed: 2 },
    { at: 500, round: 3, late: 0, missed: 0 },
    { at: 600, round: 4, late: 0, missed: 0 },
  ]);
  assertEquals(task.statistics, {
    rounds: 5,
    missed: 2,
    worstLateness: 250,
    restarts: 0,
  });
});

test("BackgroundTask whose rounds all overrun leaves others their turn", async () => {
  let rounds = 0;
  const task = new BackgroundTask(() => {
    rounds++;
    const end = performance.now() + 2;
    while (performance.now() < end);
  }, { frequency: 1e6 });
  task.run();
  while (rounds < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(await task.stop(), "stopped");
});

test("BackgroundTask does not drift over a day", async () => {
  const clock = new ManualClock();
  let last = 0;
  const task = new BackgroundTask(() => {
    last = clock.now();
  }, { frequency: 1 / 30, clock });
  task.run();
  await clock.advance(24 * 3_600_000);
  await task.stop();
  assertEquals(task.statistics.rounds, 24 * 120 + 1);
  assert(Math.abs(last - 24 * 3_600_000) < 0.001, `${last}`);
});

// Stopping, aborting, abandoning.

test("BackgroundTask does not begin a round when the stop comes in the turn of its timer", async () => {
  const manual = new ManualClock();
  let isLast = false;
  const clock: Clock = {
    now: () => manual.now(),
    setTimer: (callback, delay) =>
      manual.setTimer(() => {
        callback();
        if (isLast) task.stop();
      }, delay),
  };
  const task = new BackgroundTask(() => {}, { frequency: 100, clock });
  task.run();
  await manual.advance(10);
  assertEquals(task.statistics.rounds, 2);
  isLast = true;
  await manual.advance(10);
  assertEquals(task.statistics.rounds, 2);
  assertEquals(task.state, "stopped");
});

test("BackgroundTask.stop() gives up after its grace, and says so", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const { action, end } = deaf();
  const ended: boolean[] = [];
  const task = new BackgroundTask(action, {
    name: "deaf",
    clock,
    logger,
    onEnd: (task) => ended.push(task.abandoned),
  });
  task.run();
  await clock.advance(1);
  let outcome: string | undefined;
  task.stop({ grace: 100 }).then((value) => outcome = value);
  const joined = task.join();
  await clock.advance(99);
  assertEquals(outcome, undefined);
  await clock.advance(1);
  assertEquals(outcome, "abandoned");
  assert(task.abandoned);
  assertFalse(task.ended);
  await joined;
  assertEquals(task.state, "stopping");
  assertEquals(ended, [true]);
  assertEquals(logger.lines, [
    "warn Task 'deaf' was abandoned: it did not end when stopped",
  ]);
  end();
  await clock.advance(0);
  assertEquals(task.state, "stopped");
  assertEquals(ended, [true]);
  assertEquals(clock.pending, []);
});

test("BackgroundTask has a grace of 5 s by default, also when disposed of", async () => {
  const clock = new ManualClock();
  const { action, end } = deaf();
  let disposed = false;
  const task = new BackgroundTask(action, { clock });
  task.run();
  await clock.advance(0);
  task[Symbol.asyncDispose]().then(() => disposed = true);
  await clock.advance(4999);
  assertFalse(disposed);
  await clock.advance(1);
  assert(disposed);
  end();
});

test("BackgroundTask.stop() with an infinite grace waits as long as it takes", async () => {
  const clock = new ManualClock();
  const { action, end } = deaf();
  const task = new BackgroundTask(action, { clock });
  task.run();
  await clock.advance(0);
  let outcome: string | undefined;
  task.stop({ grace: Infinity }).then((value) => outcome = value);
  await clock.advance(1e9);
  assertEquals(outcome, undefined);
  end();
  await clock.advance(0);
  assertEquals(outcome, "stopped");
});

test("BackgroundTask.stop() hands its reason to the action, the first one", async () => {
  const reasons: unknown[] = [];
  const task = new BackgroundTask(({ signal, sleep }) =>
    sleep(1e6).catch((reason) => {
      reasons.push(reason, signal.reason);
    })
  );
  task.run();
  await Promise.resolve();
  await Promise.all([task.stop({ reason: "a" }), task.stop({ reason: "b" })]);
  assertEquals(reasons, ["a", "a"]);
});

test("BackgroundTask that was stopped before it was run stays stopped", async () => {
  let calls = 0;
  const task = new BackgroundTask(() => {
    calls++;
  });
  assertEquals(await task.stop(), "stopped");
  assertThrows(() => task.run(), Error, "as it has already ended");
  await task.join();
  assertEquals(calls, 0);
});

test("BackgroundTask is stopped by its signal, and joins normally", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  let reason: unknown;
  const task = new BackgroundTask(async ({ sleep }) => {
    await sleep(1e6).catch((error) => {
      reason = error;
      throw error;
    });
  }, { signal: controller.signal, clock });
  task.run();
  await clock.advance(1);
  assertEquals(controller.listeners, 1);
  controller.abort("dawn");
  assertEquals(task.state, "stopping");
  await task.join();
  assertEquals(reason, "dawn");
  assertEquals(task.state, "stopped");
  assertEquals(controller.listeners, 0);
  assertEquals(clock.pending, []);
});

test("BackgroundTask with an aborted signal ends without calling its action", async () => {
  let calls = 0;
  const task = new BackgroundTask(() => {
    calls++;
  }, { signal: AbortSignal.abort("before") });
  task.run();
  await task.join();
  assertEquals(calls, 0);
  assertEquals(task.state, "stopped");
});

test("BackgroundTask leaves no listener and no timer behind, however it ends", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const { signal } = controller;
  const options = { signal, clock, frequency: 10, onError: () => {} };
  const ends: [() => void, (task: BackgroundTask) => void][] = [
    [() => {}, (task) => task.stop()],
    [() => {
      throw new Error("x");
    }, () => {}],
  ];
  for (const [action, end] of ends) {
    const task = new BackgroundTask(action, options);
    assertEquals(controller.listeners, 0);
    task.run();
    await clock.advance(250);
    end(task);
    await task.join().catch(() => {});
    assertEquals(controller.listeners, 0);
    assertEquals(clock.pending, []);
  }
});

test("BackgroundTask hundred on one signal have one listener", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const { signal } = controller;
  const tasks = Array.from({ length: 100 }, () => {
    const task = new BackgroundTask(() => {}, { frequency: 1, signal, clock });
    task.run();
    return task;
  });
  await clock.advance(1500);
  assertEquals(controller.most, 1);
  controller.abort();
  await Promise.all(tasks.map((task) => task.join()));
  assertEquals(controller.listeners, 0);
});

// Errors.

test("BackgroundTask error that nobody looked at is reported once", async () => {
  const logger = new RecordingLogger();
  const task = new BackgroundTask(() => Promise.reject(new Error("no beam")), {
    name: "beam 4",
    logger,
  });
  task.run();
  for await (const _ of task.states());
  await turns();
  assertEquals(logger.lines, ["error Task 'beam 4' failed: Error: no beam"]);
  await assertRejects(() => task.join(), Error, "no beam");
  assertEquals(logger.lines.length, 1);
});

test("BackgroundTask error that somebody waits for is not reported", async () => {
  const logger = new RecordingLogger();
  const task = new BackgroundTask(() => Promise.reject("mine"), { logger });
  task.run();
  assertEquals(await task.join().catch((error) => error), "mine");
  assertEquals(await task.join().catch((error) => error), "mine");
  await turns();
  assertEquals(logger.lines, []);
});

test("BackgroundTask error goes to the onError hook, which counts as a look", async () => {
  const logger = new RecordingLogger();
  const told: unknown[] = [];
  const task: BackgroundTask = new BackgroundTask(() => Promise.reject("x"), {
    logger,
    onError: (error, failure) => {
      told.push(error, failure.restartIn);
      assertStrictEquals(failure.task, task);
    },
  });
  task.run();
  for await (const _ of task.states());
  await turns();
  assertEquals(told, ["x", undefined]);
  assertEquals(logger.lines, []);
});

test("BackgroundTask survives hooks and loggers that throw", async () => {
  const throwing = () => {
    throw new Error("hook");
  };
  const logger = new RecordingLogger();
  const task = new BackgroundTask(() => Promise.reject("x"), {
    name: "t",
    logger,
    onError: throwing,
    onEnd: throwing,
  });
  task.run();
  assertEquals(await task.join().catch((error) => error), "x");
  assertEquals(logger.lines, [
    "error Task 't' has an onError hook that failed: Error: hook",
    "error Task 't' has an onEnd hook that failed: Error: hook",
  ]);
});

test("BackgroundTask can fail with anything", async () => {
  const things = [
    undefined,
    null,
    0,
    Symbol("s"),
    Object.create(null),
  ] as const;
  for (const thing of things) {
    const logger = new RecordingLogger();
    const task = new BackgroundTask(() => Promise.reject(thing), { logger });
    task.run();
    for await (const _ of task.states());
    await turns();
    assert(task.errored);
    assertStrictEquals(task.exception, thing);
    assertEquals(logger.of("error").length, 1);
  }
});

test("BackgroundTask that throws while it is stopped is errored", async () => {
  const error = new Error("could not park");
  const task = new BackgroundTask(async ({ sleep }) => {
    await sleep(1e6).catch(() => {
      throw error;
    });
  });
  task.run();
  await Promise.resolve();
  const joined = assertRejects(() => task.join(), Error, "could not park");
  assertEquals(await task.stop(), "stopped");
  assertEquals(task.state, "errored");
  await joined;
});

test("BackgroundTask that ends with the echo of its stop is stopped", async () => {
  const echoes = [
    (reason: unknown) => reason,
    (reason: unknown) => new Error("wrapped", { cause: reason }),
    () => new DOMException("aborted", "AbortError"),
  ];
  for (const echo of echoes) {
    const task = new BackgroundTask(async ({ sleep }) => {
      await sleep(1e6).catch((reason) => {
        throw echo(reason);
      });
    });
    task.run();
    await Promise.resolve();
    await task.stop({ reason: new Error("dawn") });
    await task.join();
    assertEquals(task.state, "stopped");
  }
});

test("BackgroundTask.join() ends early by its own signal, the task goes on", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const task = new BackgroundTask(() => {}, { frequency: 1, clock });
  task.run();
  const joined = task.join({ signal: controller.signal })
    .catch((reason) => reason);
  await clock.advance(0);
  controller.abort("impatient");
  assertEquals(await joined, "impatient");
  assertEquals(controller.listeners, 0);
  assert(task.running);
  await task.stop();
});

test("BackgroundTask.join() before run() waits for the end", async () => {
  let ended = false;
  const task = new BackgroundTask(() => {
    ended = true;
  });
  const joined = task.join();
  task.run();
  await joined;
  assert(ended);
});

// Restart.

test("BackgroundTask restarts by its policy until the policy gives up", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const delays: unknown[] = [];
  const task = new BackgroundTask(() => {
    starts.push(clock.now());
    throw new Error("x");
  }, {
    clock,
    restart: backoff({ limit: 3, initial: 100 }),
    onError: (_, { restartIn }) => delays.push(restartIn),
  });
  task.run();
  await clock.advance(10_000);
  assertEquals(starts, [0, 100, 300, 700]);
  assertEquals(delays, [100, 200, 400, undefined]);
  assertEquals(task.statistics.restarts, 3);
  assert(task.errored);
});

test("BackgroundTask counts failures from 1 again after it ran long enough", async () => {
  const clock = new ManualClock();
  const attempts: number[] = [];
  const task = new BackgroundTask(async ({ sleep, round }) => {
    await sleep(round === 2 ? 500 : 1);
    throw new Error("x");
  }, {
    clock,
    restart: {
      resetAfter: 500,
      delay: (attempt) => {
        attempts.push(attempt);
        return attempts.length < 5 ? 10 : undefined;
      },
    },
    onError: () => {},
  });
  task.run();
  await clock.advance(10_000);
  assertEquals(attempts, [1, 2, 1, 2, 3]);
});

test("BackgroundTask is stopped while it waits to restart", async () => {
  const clock = new ManualClock();
  const task = new BackgroundTask(() => Promise.reject(new Error("x")), {
    clock,
    restart: backoff({ initial: 1e6 }),
    onError: () => {},
  });
  task.run();
  await clock.advance(10);
  assertEquals(await task.stop(), "stopped");
  assertEquals(task.state, "stopped");
  assertEquals(clock.pending, []);
});

test("BackgroundTask keeps the error of its action when the policy fails", async () => {
  const logger = new RecordingLogger();
  for (
    const delay of [() => NaN, () => {
      throw new Error("policy");
    }]
  ) {
    const task = new BackgroundTask(() => Promise.reject("mine"), {
      restart: { delay },
      logger,
    });
    task.run();
    assertEquals(await task.join().catch((error) => error), "mine");
  }
  assertEquals(logger.of("error").length, 2);
});

// States.

test("BackgroundTask.states() gives the current state and every transition with its time", async () => {
  const clock = new ManualClock();
  const seen: [string, number][] = [];
  const task = new BackgroundTask(async ({ sleep }) => {
    await sleep(10).catch(() => {});
    await new Promise<void>((resolve) => clock.setTimer(resolve, 7));
  }, { clock });
  const following = (async () => {
    for await (const { state, time } of task.states()) seen.push([state, time]);
  })();
  await clock.advance(5);
  task.run();
  await clock.advance(3);
  task.stop();
  await clock.advance(7);
  await following;
  assertEquals(seen, [
    ["stopped", 0],
    ["starting", 5],
    ["running", 5],
    ["stopping", 8],
    ["stopped", 15],
  ]);
});

test("BackgroundTask.states() ends by its signal, and when nobody asks any more", async () => {
  const controller = new CountingController();
  const task = new BackgroundTask(({ sleep }) => sleep(1e6));
  const states = task.states({ signal: controller.signal });
  assertEquals((await states.next()).value.state, "stopped");
  const waiting = states.next().catch((reason) => reason);
  controller.abort("enough");
  assertEquals(await waiting, "enough");
  assertEquals(await states.next(), { done: true, value: undefined });
  assertEquals(controller.listeners, 0);
  for await (const { state } of task.states()) {
    assertEquals(state, "stopped");
    break;
  }
  task.run();
  await task.stop();
  const after: string[] = [];
  for await (const { state } of task.states()) after.push(state);
  assertEquals(after, ["stopped"]);
});

test("BackgroundTask.states() with an aborted signal rejects with its reason", async () => {
  const task = new BackgroundTask(() => {});
  const states = task.states({ signal: AbortSignal.abort("before") });
  assertEquals(await states.next().catch((reason) => reason), "before");
  assertEquals(await states.next(), { done: true, value: undefined });
  task.run();
  await task.join();
});

test("BackgroundTask that ends in the turn of its grace is never abandoned after its end", async () => {
  for (let turn = 0; turn <= 12; turn++) {
    const manual = new ManualClock();
    const endedBefore: boolean[] = [];
    const logger = new RecordingLogger();
    logger.warn = () => endedBefore.push(task.ended);
    const { action, end } = deaf();
    const clock = turnsLater(manual, end, turn);
    const task = new BackgroundTask(action, { clock, logger });
    task.run();
    await manual.advance(1);
    const stop = task.stop({ grace: 100 });
    await manual.advance(100);
    assert(task.ended);
    assertEquals(await stop, task.abandoned ? "abandoned" : "stopped");
    assertEquals(endedBefore, task.abandoned ? [false] : [], `turn ${turn}`);
  }
});

test("BackgroundTask that hangs is abandoned after its grace when its signal aborts", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const { action, end } = deaf();
  const task = new BackgroundTask(action, {
    signal: controller.signal,
    grace: 100,
    clock,
    logger: new RecordingLogger(),
  });
  task.run();
  await clock.advance(0);
  let hasJoined = false;
  task.join().then(() => hasJoined = true);
  controller.abort();
  // Nothing of a task that may never end is left on a signal that lives on.
  assertEquals(controller.listeners, 0);
  await clock.advance(99);
  assertFalse(hasJoined);
  await clock.advance(1);
  assert(hasJoined);
  assert(task.abandoned);
  // Disposing does not wait for a second time.
  await task[Symbol.asyncDispose]();
  assertEquals(clock.now(), 100);
  end();
  await clock.advance(0);
  assertEquals(clock.pending, []);
});

test("BackgroundTask that is stopped with any reason knows its echo", async () => {
  for (const reason of [NaN, null, 0, "", Symbol("dawn")]) {
    const task = new BackgroundTask(({ sleep }) => sleep(1e6));
    task.run();
    await Promise.resolve();
    assertEquals(await task.stop({ reason }), "stopped");
    await task.join();
    assertEquals(task.state, "stopped");
  }
});

test("BackgroundTask that fails with what cannot be looked at still ends", async () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const throwing = {
    get name(): string {
      throw new Error("getter");
    },
    get cause(): unknown {
      throw new Error("getter");
    },
    toString(): string {
      throw new Error("toString");
    },
  };
  for (const thing of [proxy, throwing]) {
    const logger = new RecordingLogger();
    const task = new BackgroundTask(
      ({ sleep }) => sleep(1e6).catch(() => Promise.reject(thing)),
      { logger, name: "odd" },
    );
    task.run();
    await Promise.resolve();
    assertEquals(await task.stop(), "stopped");
    await turns();
    assertEquals(task.state, "errored");
    assertEquals(logger.lines, [
      "error Task 'odd' failed: something that cannot be shown (object)",
    ]);
  }
});

test("BackgroundTask survives a clock that fails", async () => {
  const clock: Clock = {
    now: () => {
      if (isBroken) throw new Error("clock");
      return 0;
    },
    setTimer: () => () => {},
  };
  let isBroken = false;
  const task = new BackgroundTask(() => {}, { clock });
  isBroken = true;
  task.run();
  await assertRejects(() => task.join(), Error, "clock");
  assertEquals(task.state, "errored");
});

test("BackgroundTask hooks may be asynchronous, and fail", async () => {
  const logger = new RecordingLogger();
  const failing = () => Promise.reject(new Error("hook"));
  const task = new BackgroundTask(() => Promise.reject("x"), {
    name: "t",
    logger,
    onError: failing,
    onEnd: failing,
  });
  task.run();
  assertEquals(await task.join().catch((error) => error), "x");
  await turns();
  assertEquals(logger.lines, [
    "error Task 't' has an onError hook that failed: Error: hook",
    "error Task 't' has an onEnd hook that failed: Error: hook",
  ]);
});

test("BackgroundTask error is not reported when the stop and the join are awaited", async () => {
  const logger = new RecordingLogger();
  const task = new BackgroundTask(
    ({ sleep }) => sleep(1e6).catch(() => Promise.reject(new Error("x"))),
    { logger },
  );
  task.run();
  await Promise.resolve();
  await task.stop();
  await assertRejects(() => task.join(), Error, "x");
  await turns();
  assertEquals(logger.lines, []);
});

test("BackgroundTask takes actions that return anything, and inherited options", async () => {
  const items: number[] = [];
  const clock = new ManualClock();
  const options = Object.create({ frequency: 10, clock });
  const task = new BackgroundTask(() => items.push(1), options);
  task.run();
  await clock.advance(200);
  await task.stop();
  assertEquals(items, [1, 1, 1]);
});

// Arguments.

test("BackgroundTask refuses bad arguments by name before anything starts", () => {
  const create = (options: Record<string, unknown>) => () =>
    new BackgroundTask(() => {}, options as never);
  for (const frequency of [0, -1, NaN, Infinity]) {
    assertThrows(
      create({ frequency }),
      RangeError,
      `Cannot create BackgroundTask as 'frequency' must be a positive finite number: current value is ${frequency}`,
    );
  }
  const wrong: [Record<string, unknown>, string][] = [
    [{ frequency: "10" }, "'frequency' must be a positive finite number"],
    [{ schedule: "cron" }, `'schedule' must be "fixed-rate" or "fixed-delay"`],
    [{ signal: new AbortController() }, "'signal' must be an AbortSignal"],
    [{ clock: {} }, "'clock' must be a Clock"],
    [{ logger: {} }, "'logger' must be a Logger"],
    [{ logger: () => {} }, "'logger' must be a Logger"],
    [{ ref: 1 }, "'ref' must be a boolean"],
    [{ name: 5 }, "'name' must be a string"],
    [{ restart: {} }, "'restart' must be a RestartPolicy"],
    [{ onError: "log" }, "'onError' must be a function"],
    [{ onEnd: 1 }, "'onEnd' must be a function"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(create(options), TypeError, message);
  }
  assertThrows(
    () => new BackgroundTask("action" as never),
    TypeError,
    `Cannot create BackgroundTask as 'action' must be a function: current value is "action"`,
  );
  assertThrows(
    () => new BackgroundTask(() => {}, null as never),
    TypeError,
    "'options'",
  );
});

test("BackgroundTask.stop() refuses bad arguments and stops nothing", async () => {
  const task = new BackgroundTask(({ sleep }) => sleep(1e6));
  task.run();
  await assertRejects(() => task.stop({ grace: -1 }), RangeError, "'grace'");
  await assertRejects(() => task.stop({ grace: NaN }), RangeError, "'grace'");
  await assertRejects(
    () => task.stop({ grace: "1" as never }),
    TypeError,
    "'grace'",
  );
  await assertRejects(
    () => task.join({ signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  assertThrows(() => task.states({ signal: 1 as never }), TypeError);
  assert(task.running);
  assertEquals(await task.stop(), "stopped");
});

test("BackgroundTask does not see later changes of its options", async () => {
  const options = { name: "before", frequency: 1 };
  const clock = new ManualClock();
  const task = new BackgroundTask(() => {}, { ...options, clock });
  options.frequency = NaN;
  options.name = "after";
  task.run();
  await clock.advance(2000);
  assertEquals(task.name, "before");
  assertEquals(task.statistics.rounds, 3);
  await task.stop();
});

test("BackgroundTask with ref: false does not keep the process alive", async () => {
  const { code, stdout } = await runProgram(`
    import { BackgroundTask } from "ROOT/background_task.ts";
    let rounds = 0;
    const task = new BackgroundTask(() => { rounds++; }, {
      frequency: 0.05,
      ref: false,
    });
    task.run();
    setTimeout(() => console.log(rounds, task.state), 20);
  `);
  assertEquals(stdout, "1 running\n");
  assertEquals(code, 0);
});

test("BackgroundTask works under FakeTime", async () => {
  using time = new FakeTime();
  const task = new BackgroundTask(() => {}, { frequency: 10 });
  task.run();
  // Promises settle between the steps only.
  for (let step = 0; step < 5; step++) await time.tickAsync(50);
  await time.tickAsync(0);
  assertEquals(task.statistics.rounds, 3);
  assertEquals(await task.stop(), "stopped");
});

// No order of calls loses a stop or hangs.

type Step =
  | { kind: "run" | "stop" | "join" | "abort" | "turn" | "stopInside" }
  | { kind: "advance"; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom<Step>(
    { kind: "run" },
    { kind: "stop" },
    { kind: "join" },
    { kind: "abort" },
    { kind: "turn" },
    { kind: "stopInside" },
  ),
  fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(30) }),
);

const behaviour = fc.record({
  frequency: fc.constantFrom(undefined, 100, 1000),
  schedule: fc.constantFrom("fixed-rate" as const, "fixed-delay" as const),
  work: fc.nat(15),
  hears: fc.boolean(),
  failsInRound: fc.constantFrom(undefined, 0, 2),
});

test("BackgroundTask loses no stop and never hangs, in any order of calls", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 12 }),
      behaviour,
      async (steps, { frequency, schedule, work, hears, failsInRound }) => {
        const clock = new ManualClock();
        const controller = new CountingController();
        const failure = new Error("by design");
        let isStopInside = false;
        let inside = 0;
        let startedAfterStop = 0;
        let hasStopped = false;
        let waiting = 0;
        const wait = (promise: Promise<unknown>): void => {
          waiting++;
          promise.catch(() => {}).then(() => waiting--);
        };
        const task: BackgroundTask = new BackgroundTask(
          async ({ round, sleep }) => {
            if (hasStopped) startedAfterStop++;
            inside++;
            try {
              if (isStopInside) {
                hasStopped = true;
                wait(task.stop());
              }
              if (hears) await sleep(work);
              else {
                await new Promise<void>((resolve) =>
                  clock.setTimer(resolve, work)
                );
              }
              if (round === failsInRound) throw failure;
            } finally {
              inside--;
            }
          },
          {
            frequency,
            schedule,
            clock,
            signal: controller.signal,
            onError: () => {},
          },
        );
        let hasRun = false;
        for (const step of steps) {
          if (step.kind === "run") {
            const wasOver = task.ended;
            try {
              task.run();
              hasRun = true;
              assertFalse(wasOver);
            } catch {
              assert(wasOver);
            }
          } else if (step.kind === "stop") {
            hasStopped = true;
            wait(task.stop());
          } else if (step.kind === "join") {
            wait(task.join().catch((error) => error));
          } else if (step.kind === "abort") {
            controller.abort();
            hasStopped = true;
          } else if (step.kind === "stopInside") {
            isStopInside = true;
          } else if (step.kind === "advance") {
            await clock.advance(step.ms);
          } else {
            await undefined;
          }
        }
        // Whatever was called before: one more stop ends it, within its grace.
        let outcome: string | undefined;
        hasStopped = true;
        wait(task.stop().then((value) => outcome = value));
        await clock.advance(20);
        assertEquals(outcome, "stopped");
        assertEquals(waiting, 0);
        assert(task.ended);
        assertEquals(inside, 0);
        assertEquals(startedAfterStop, 0);
        assertEquals(clock.pending, []);
        assertEquals(controller.listeners, 0);
        if (!hasRun) assertEquals(task.statistics.rounds, 0);
        assert(task.state === "stopped" || task.exception === failure);
        const rounds = task.statistics.rounds;
        await clock.advance(100);
        assertEquals(task.statistics.rounds, rounds);
      },
    ),
    { numRuns: 500 },
  );
});
