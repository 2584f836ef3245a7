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
import { sleep } from "../cancellation.ts";
import type { Clock } from "../clock.ts";
import { Loop, loop, type LoopRound } from "../loop.ts";
import { MissedLoopPolicy } from "../missed_loop_policy.ts";
import { ManualClock } from "../testing.ts";
import { ticks } from "../ticks.ts";
import { CountingClock } from "./_counting_clock.ts";
import { GOLDEN } from "./_golden_rounds.ts";
import { CountingController } from "./_listeners.ts";
import { runProgram } from "./_process.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { turns, turnsLater } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";
import { until } from "./_until.ts";

const POLICIES = Object.values(MissedLoopPolicy);

/** A round that nobody can end but us. */
function deaf(): { round: () => Promise<void>; end: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { round: () => promise, end: resolve };
}

/** The tick that a round is told of. */
function tickOf({ index, scheduled, late, missed, overrun }: LoopRound) {
  return { index, scheduled, late, missed, overrun };
}

// The rounds.

for (const [name, work, golden] of GOLDEN) {
  for (const policy of POLICIES) {
    test(`loop() with the policy ${policy} begins when it should when a round ${name}`, async () => {
      const clock = new ManualClock();
      const starts: number[] = [];
      const late: number[] = [];
      const rounds = loop(async (round) => {
        starts.push(clock.now());
        if (round.overrun) late.push(round.late);
        const ms = work(round.round);
        if (ms > 0) await sleep(ms, { clock });
        if (starts.length === 7) round.stop();
      }, { period: 100, policy, clock });
      await clock.advance(10_000);
      assertEquals([starts, late], golden[policy]);
      assert(rounds.ended);
      assertEquals(clock.pending, []);
      const { overruns, worstLateness } = rounds.statistics;
      const isTerminated = rounds.outcome === "terminated";
      assertEquals(overruns, late.length + (isTerminated ? 1 : 0));
      assertEquals(worstLateness, Math.max(0, ...late));
    });
  }
}

test("loop() begins its first round soon after the call, not within it", async () => {
  let rounds = 0;
  const count = (): void => {
    rounds++;
  };
  const counting = loop(count, { period: 1000 });
  assertEquals(rounds, 0);
  assertEquals(counting.state, "starting");
  assert(counting.running);
  await undefined;
  assertEquals(rounds, 1);
  assertEquals(counting.state, "running");
  await counting.stop();
});

test("loop() begins after a delay when told so", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const late = loop(({ scheduled }) => {
    starts.push(clock.now());
    assertEquals(scheduled, clock.now());
  }, { period: 100, first: 30, clock });
  await clock.advance(29);
  assertEquals(late.state, "starting");
  await clock.advance(221);
  assertEquals(starts, [30, 130, 230]);
  await late.stop();
});

test("loop() says what was lost", async () => {
  const clock = new ManualClock();
  const seen: unknown[] = [];
  const slow = loop(async (round) => {
    seen.push({ ...tickOf(round), round: round.round });
    if (round.round === 1) await round.sleep(350);
  }, { period: 100, clock });
  await clock.advance(500);
  await slow.stop();
  const none = { late: 0, missed: 0, overrun: false };
  assertEquals(seen, [
    { index: 0, scheduled: 0, ...none, round: 0 },
    { index: 1, scheduled: 100, ...none, round: 1 },
    {
      index: 4,
      scheduled: 200,
      late: 250,
      missed: 2,
      overrun: true,
      round: 2,
    },
    { index: 5, scheduled: 500, ...none, round: 3 },
  ]);
  assertEquals(slow.statistics, {
    rounds: 4,
    missed: 2,
    overruns: 1,
    worstLateness: 250,
  });
});

test("loop() tells onMissed before the round that is late, which may stop it", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const told: unknown[] = [];
  const slow: Loop = loop(({ sleep, round }) => sleep(round * 150), {
    period: 100,
    name: "slow",
    clock,
    logger,
    onMissed: (round) => {
      told.push(tickOf(round), slow.statistics.rounds);
      if (told.length > 2) round.stop("too slow");
    },
  });
  await clock.advance(2000);
  assertEquals(told, [
    { index: 2, scheduled: 200, late: 50, missed: 0, overrun: true },
    2,
    { index: 5, scheduled: 300, late: 250, missed: 2, overrun: true },
    3,
  ]);
  assertEquals(slow.outcome, "stopped");
  assertEquals(slow.statistics.rounds, 3);
  assertEquals(logger.lines, ["debug Loop 'slow' missed 2 rounds"]);
  assertEquals(clock.pending, []);
});

test("loop() ends normally when the policy terminates it, and says so", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const outcomes: unknown[] = [];
  const slow = loop(({ sleep }) => sleep(150), {
    period: 100,
    policy: "terminate",
    name: "slow",
    clock,
    logger,
    onMissed: () => outcomes.push("missed"),
    onEnd: ({ outcome }) => outcomes.push(outcome),
  });
  const joined = slow.join();
  await clock.advance(149);
  assert(slow.running);
  await clock.advance(1);
  await joined;
  assertEquals(outcomes, ["terminated"]);
  assertEquals(slow.outcome, "terminated");
  assertEquals(slow.state, "stopped");
  assertEquals(slow.statistics.overruns, 1);
  assertEquals(await slow.stop(), "stopped");
  assertEquals(slow.outcome, "terminated");
  assertEquals(logger.lines, [
    "warn Loop 'slow' was terminated: it was 50 ms late",
  ]);
  assertEquals(clock.pending, []);
});

test("loop() runs no round while another is in flight", async () => {
  const clock = new ManualClock();
  let inside = 0;
  let most = 0;
  const busy = loop(async ({ sleep }) => {
    most = Math.max(most, ++inside);
    await sleep(35);
    inside--;
  }, { period: 10, clock });
  await clock.advance(1000);
  await busy.stop();
  assertEquals(most, 1);
});

test("loop() has one timer between rounds, none within one", async () => {
  const clock = new ManualClock();
  const timers = new CountingClock(clock);
  const within: number[] = [];
  const quiet = loop(() => {
    within.push(timers.timers);
  }, { period: 10, clock: timers });
  await clock.advance(95);
  assertEquals(within, new Array(10).fill(0));
  assertEquals(timers.most, 1);
  assertEquals(timers.set, 10);
  await quiet.stop();
  assertEquals(timers.timers, 0);
});

test("loop() whose rounds all overrun leaves others their turn", async () => {
  let rounds = 0;
  const greedy = loop(() => {
    rounds++;
    const end = performance.now() + 2;
    while (performance.now() < end);
  }, { period: 0.001 });
  await until(() => rounds > 1, "a second round");
  assertEquals(await greedy.stop(), "stopped");
});

test("loop() does not double a round when timers fire early", async () => {
  const manual = new ManualClock();
  const clock: Clock = {
    now: () => manual.now(),
    setTimer: (callback, delay) =>
      manual.setTimer(callback, Math.max(delay - 0.9, 0)),
  };
  const indices: number[] = [];
  const early = loop(({ index, late }) => {
    indices.push(index);
    assertEquals(late, 0);
  }, { period: 5, clock });
  await manual.advance(1000);
  await early.stop();
  assertEquals(indices, Array.from(indices, (_, index) => index));
  assert(indices.length >= 200);
});

test("loop() does not drift over a day", async () => {
  const clock = new ManualClock();
  let last = 0;
  const steady = loop(() => {
    last = clock.now();
  }, { period: 60_000 / 7, clock });
  await clock.advance(24 * 3_600_000);
  await steady.stop();
  assertEquals(steady.statistics.rounds, 24 * 60 * 7 + 1);
  assert(Math.abs(last - 24 * 3_600_000) < 0.001, `${last}`);
});

test("loop() keeps its rate on the clock of the platform", async () => {
  const began = performance.now();
  const times: number[] = [];
  const enough = Promise.withResolvers<void>();
  const steady = loop(() => {
    times.push(performance.now() - began);
    if (times.length === 8) enough.resolve();
  }, { period: 20 });
  await enough.promise;
  assertEquals(await steady.stop(), "stopped");
  // Late some of them may be, early none.
  assert(times.every((time, index) => time >= 20 * index), `${times}`);
  const { rounds } = steady.statistics;
  await new Promise((resolve) => setTimeout(resolve, 40));
  assertEquals(steady.statistics.rounds, rounds);
});

test("loop() hands out functions that work by themselves, and one signal", async () => {
  const clock = new ManualClock();
  const signals = new Set<AbortSignal>();
  const reasons: unknown[] = [];
  const free = loop(async ({ signal, sleep, stop, round }) => {
    signals.add(signal);
    await sleep(5);
    if (round < 2) return;
    stop("enough");
    reasons.push(signal.reason);
    await sleep(5).catch((reason) => reasons.push(reason));
  }, { period: 10, clock });
  await clock.advance(100);
  assertEquals(signals.size, 1);
  assertEquals(reasons, ["enough", "enough"]);
  assertEquals(free.outcome, "stopped");
  assertEquals(free.statistics.rounds, 3);
});

// The period.

test("loop().period changes the round in flight and keeps the phase", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const guide = loop(() => {
    starts.push(clock.now());
  }, { period: 100, clock });
  await clock.advance(150);
  guide.period = 80; // the round of 200 comes at 180
  await clock.advance(130);
  assertEquals(starts, [0, 100, 180, 260]);
  guide.period = 1000;
  await clock.advance(980);
  assertEquals(starts, [0, 100, 180, 260, 1260]);
  await clock.advance(500);
  guide.period = 200; // 1460 and 1660 have passed
  await clock.advance(200);
  assertEquals(starts.slice(5), [1760, 1860]);
  assertEquals(guide.period, 200);
  await guide.stop();
});

test("loop().period may be changed by a round, and before the first", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const guide: Loop = loop(({ round }) => {
    starts.push(clock.now());
    if (round === 1) guide.period = 50;
  }, { period: 1000, first: 10, clock });
  guide.period = 300;
  await clock.advance(5);
  guide.period = 100;
  await clock.advance(255);
  await guide.stop();
  assertEquals(starts, [10, 110, 160, 210, 260]);
});

test("ticks().period may be changed before the first", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const iterator = ticks(1000, { first: 10, clock });
  iterator.period = 300;
  (async () => {
    for await (const _ of iterator) starts.push(clock.now());
  })();
  await clock.advance(5);
  iterator.period = 100;
  await clock.advance(255);
  await iterator.return();
  assertEquals(starts, [10, 110, 210]);
});

test("loop().period terminates the loop when the new one has passed and the policy says so", async () => {
  const clock = new ManualClock();
  const guide = loop(() => {}, { period: 100, policy: "terminate", clock });
  await clock.advance(50);
  guide.period = 40;
  assertEquals(guide.outcome, "terminated");
  guide.period = 100;
  assertEquals(clock.pending, []);
});

test("loop().period and ticks().period that change while they are waited for delay nobody else", async () => {
  const guide = loop(() => {}, { period: 200 });
  await using iterator = ticks(200);
  await iterator.next();
  const next = iterator.next();
  const naps = [300, 250, 350, 300].map((ms) => sleep(ms));
  guide.period = 3_600_000;
  iterator.period = 3_600_000;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, 30_000, "late");
  });
  const slept = Promise.all(naps).then(() => "in time");
  assertEquals(await Promise.race([slept, late]), "in time");
  clearTimeout(timer);
  await guide.stop();
  await iterator.return();
  assertEquals(await next, { done: true, value: undefined });
});

// Stops.

test("loop().stop() between two rounds ends it within the call", async () => {
  const clock = new ManualClock();
  const ended: Loop[] = [];
  const idle = loop(() => {}, {
    period: 1e9,
    clock,
    onEnd: (loop) => ended.push(loop),
  });
  await clock.advance(1);
  const stopping = idle.stop({ reason: "dawn" });
  assertEquals(idle.state, "stopped");
  assertEquals(idle.outcome, "stopped");
  assert(idle.ended);
  assertFalse(idle.running);
  assertEquals(ended, [idle]);
  assertEquals(clock.pending, []);
  assertEquals(await stopping, "stopped");
  assertEquals(await idle.stop(), "stopped");
  await idle.join();
  assertEquals(ended, [idle]);
  assertEquals(clock.now(), 1);
});

test("loop().stop() before the first round is not lost", async () => {
  for (const first of [0, 50]) {
    const clock = new ManualClock();
    let rounds = 0;
    const count = (): void => {
      rounds++;
    };
    const early = loop(count, { period: 10, first, clock });
    assertEquals(await early.stop(), "stopped");
    await clock.advance(100);
    assertEquals(rounds, 0);
    assertEquals(early.outcome, "stopped");
  }
});

test("loop().stop() aborts the signal of the rounds, also between two", async () => {
  const signals: AbortSignal[] = [];
  const idle = loop(({ signal }) => {
    signals.push(signal);
  }, { period: 1e6 });
  await undefined;
  const states: unknown[] = [];
  signals[0]?.addEventListener("abort", () => {
    states.push(idle.state);
    idle.stop().then((outcome) => states.push(outcome));
  });
  await idle.stop({ reason: "dawn" });
  assertEquals(signals[0]?.reason, "dawn");
  await turns();
  assertEquals(states, ["stopping", "stopped"]);
});

test("loop() makes the signal of its rounds when somebody asks, also after the stop", async () => {
  const rounds: LoopRound[] = [];
  const idle = loop((round) => {
    rounds.push(round);
  }, { period: 1e6 });
  await undefined;
  await idle.stop({ reason: "dawn" });
  assertEquals(rounds[0]?.signal.reason, "dawn");
  assertEquals(await rounds[0]?.sleep(1).catch((reason) => reason), "dawn");
  rounds[0]?.stop("again");
  assertEquals(idle.outcome, "stopped");
});

test("loop().stop() waits for a round in flight", async () => {
  const clock = new ManualClock();
  const { round, end } = deaf();
  const busy = loop(round, { period: 10, clock });
  await clock.advance(1);
  const outcomes: string[] = [];
  busy.stop().then((outcome) => outcomes.push(`first ${outcome}`));
  busy.stop().then((outcome) => outcomes.push(`second ${outcome}`));
  await clock.advance(1);
  assertEquals(busy.state, "stopping");
  assertFalse(busy.running);
  assertEquals(outcomes, []);
  end();
  await clock.advance(0);
  assertEquals(outcomes, ["first stopped", "second stopped"]);
  assertEquals(busy.outcome, "stopped");
  assertEquals(clock.pending, []);
});

test("loop().stop() gives up after its grace, and says so", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const { round, end } = deaf();
  const ended: unknown[] = [];
  const hung = loop(round, {
    period: 10,
    name: "deaf",
    clock,
    logger,
    onEnd: ({ abandoned, outcome }) => ended.push(abandoned, outcome),
  });
  await clock.advance(1);
  let outcome: string | undefined;
  hung.stop({ grace: 100 }).then((value) => outcome = value);
  const joined = hung.join();
  await clock.advance(99);
  assertEquals(outcome, undefined);
  await clock.advance(1);
  assertEquals(outcome, "abandoned");
  assert(hung.abandoned);
  assertFalse(hung.ended);
  assertEquals(hung.outcome, undefined);
  await joined;
  await hung.join();
  assertEquals(hung.state, "stopping");
  assertEquals(ended, [true, undefined]);
  assertEquals(logger.lines, [
    "warn Loop 'deaf' was abandoned: it did not end when stopped",
  ]);
  await hung[Symbol.asyncDispose]();
  end();
  await clock.advance(0);
  assertEquals(hung.state, "stopped");
  assertEquals(hung.outcome, "stopped");
  assertEquals(ended.length, 2);
  assertEquals(hung.statistics.rounds, 1);
  assertEquals(clock.pending, []);
});

test("loop() that ends in the turn of its grace was stopped, or abandoned before", async () => {
  for (let turn = 0; turn <= 6; turn++) {
    const manual = new ManualClock();
    const { round, end } = deaf();
    const clock = turnsLater(manual, end, turn);
    const logger = new RecordingLogger();
    const busy = loop(round, { period: 1000, clock, logger });
    await manual.advance(1);
    const stop = busy.stop({ grace: 100 });
    await manual.advance(100);
    assert(busy.ended);
    const outcome = busy.abandoned ? "abandoned" : "stopped";
    assertEquals(await stop, outcome, `turn ${turn}`);
  }
});

test("loop() has a grace of 5 s by default, or its own, however it is stopped", async () => {
  const stops: ((
    loop: Loop,
    round: LoopRound,
    app: AbortController,
  ) => unknown)[] = [
    (loop) => loop.stop(),
    (loop) => loop[Symbol.asyncDispose](),
    (_, round) => round.stop(),
    (_, __, app) => app.abort(),
  ];
  for (const stop of stops) {
    for (const grace of [undefined, 70]) {
      const clock = new ManualClock();
      const app = new CountingController();
      const logger = new RecordingLogger();
      const { round, end } = deaf();
      const rounds: LoopRound[] = [];
      const hung = loop((context) => {
        rounds.push(context);
        return round();
      }, { period: 10, clock, logger, signal: app.signal, grace });
      await clock.advance(0);
      const [context] = rounds;
      assert(context !== undefined);
      let hasJoined = false;
      hung.join().then(() => hasJoined = true);
      stop(hung, context, app);
      // Nothing of a loop that may never end is left on a signal that lives.
      assertEquals(app.listeners, 0);
      await clock.advance((grace ?? 5000) - 1);
      assertFalse(hung.abandoned);
      await clock.advance(1);
      assert(hung.abandoned && hasJoined);
      assertEquals(clock.pending, []);
      assertEquals(logger.of("warn").length, 1);
      end();
      await clock.advance(0);
      assertEquals(hung.outcome, "stopped");
    }
  }
});

test("loop() with an infinite grace waits as long as it takes", async () => {
  const clock = new ManualClock();
  const { round, end } = deaf();
  const app = new AbortController();
  const { signal } = app;
  const slow = loop(round, { period: 10, clock, signal, grace: Infinity });
  await clock.advance(0);
  app.abort();
  let outcome: string | undefined;
  slow.stop().then((value) => outcome = value);
  await clock.advance(1e9);
  assertEquals(outcome, undefined);
  assertFalse(slow.abandoned);
  assertEquals(clock.pending, []);
  end();
  await clock.advance(0);
  assertEquals(outcome, "stopped");
});

test("loop() asked to stop in many ways has one timer for its grace, and is abandoned once", async () => {
  const clock = new ManualClock();
  const timers = new CountingClock(clock);
  const app = new AbortController();
  const logger = new RecordingLogger();
  const { round, end } = deaf();
  const rounds: LoopRound[] = [];
  const hung = loop((context) => {
    rounds.push(context);
    return round();
  }, { period: 10, clock: timers, logger, signal: app.signal, grace: 100 });
  await clock.advance(0);
  app.abort("dawn");
  await clock.advance(10);
  for (const { stop } of rounds) for (let time = 0; time < 3; time++) stop();
  assertEquals(timers.most, 1);
  const stopping = hung.stop({ grace: 20 });
  await clock.advance(20);
  assertEquals(await stopping, "abandoned");
  assertEquals(clock.pending, []);
  for (const { stop } of rounds) stop();
  assertEquals(clock.pending, []);
  end();
  await clock.advance(1000);
  assertEquals(rounds.length, 1);
  assertEquals(rounds[0]?.signal.reason, "dawn");
  assertEquals(logger.of("warn").length, 1);
});

test("loop() round that awaits its own stop() is told that it was abandoned", async () => {
  const clock = new ManualClock();
  let outcome: string | undefined;
  const own: Loop = loop(async () => {
    outcome = await own.stop({ grace: 100 });
  }, { period: 10, clock, logger: new RecordingLogger() });
  await clock.advance(100);
  assertEquals(outcome, "abandoned");
  assertEquals(own.outcome, "stopped");
  assertEquals(own.statistics.rounds, 1);
});

test("loop() can be stopped by its round, before and after an await", async () => {
  const hops: (() => unknown)[] = [
    () => {},
    () => Promise.resolve(),
    () => turns(5),
  ];
  for (const hop of hops) {
    const clock = new ManualClock();
    const own: Loop = loop(() => {
      own.stop();
      assertEquals(own.state, "stopping");
      return hop();
    }, { period: 10, clock });
    await clock.advance(50);
    await own.join();
    assertEquals(own.statistics.rounds, 1);
    assertEquals(clock.pending, []);
  }
});

test("loop() is stopped by its signal, between rounds at once", async () => {
  const clock = new ManualClock();
  const app = new CountingController();
  const seen: AbortSignal[] = [];
  const idle = loop(({ signal }) => {
    seen.push(signal);
  }, { period: 100, signal: app.signal, clock });
  await clock.advance(150);
  assertEquals(app.listeners, 1);
  app.abort("dawn");
  assertEquals(idle.outcome, "stopped");
  assertEquals(seen[0]?.reason, "dawn");
  await idle.join();
  assertEquals(app.listeners, 0);
  assertEquals(clock.pending, []);
});

test("loop() on an aborted signal ends without a round, and not within the call", async () => {
  let calls = 0;
  const call = (): void => {
    calls++;
  };
  const signal = AbortSignal.abort("before");
  const never = loop(call, { period: 1, signal, onEnd: call });
  assertEquals(never.state, "stopping");
  assertEquals(calls, 0);
  const stopping = never.stop();
  await never.join();
  assertEquals(await stopping, "stopped");
  assertEquals(calls, 1);
  assertEquals(never.statistics.rounds, 0);
  assertEquals(never.outcome, "stopped");
});

test("loop() a hundred on one signal have one listener, and stop together", async () => {
  const clock = new ManualClock();
  const app = new CountingController();
  const { signal } = app;
  const loops = Array.from(
    { length: 100 },
    () => loop(() => {}, { period: 100, signal, clock }),
  );
  await clock.advance(150);
  assertEquals(app.most, 1);
  app.abort();
  assert(loops.every(({ outcome }) => outcome === "stopped"));
  assertEquals(app.listeners, 0);
  assertEquals(clock.pending, []);
});

test("loop() does not begin a round when the stop comes in the turn of its timer", async () => {
  const manual = new ManualClock();
  let isLast = false;
  const clock: Clock = {
    now: () => manual.now(),
    setTimer: (callback, delay) =>
      manual.setTimer(() => {
        if (isLast) last.stop();
        callback();
      }, delay),
  };
  const last = loop(() => {}, { period: 10, clock });
  await manual.advance(10);
  assertEquals(last.statistics.rounds, 2);
  isLast = true;
  await manual.advance(10);
  assertEquals(last.statistics.rounds, 2);
  assertEquals(last.outcome, "stopped");
});

test("loop() is disposed of by stopping it", async () => {
  const clock = new ManualClock();
  const own = loop(() => {}, { period: 10, clock });
  await clock.advance(25);
  await own[Symbol.asyncDispose]();
  assertEquals(own.outcome, "stopped");
  assertEquals(own.statistics.rounds, 3);
  assertEquals(clock.pending, []);
});

test("loop() leaves no listener and no timer behind, however it ends", async () => {
  const app = new CountingController();
  const { signal } = app;
  const clock = new ManualClock();
  const options = { signal, clock, period: 10, onError: () => {} };
  const loops = [
    loop(() => {
      throw new Error("x");
    }, options),
    loop(() => Promise.reject(new Error("x")), options),
    loop(({ sleep }) => sleep(20), { ...options, policy: "terminate" }),
    loop(({ stop }) => stop(), options),
    loop(({ sleep, stop }) => sleep(5).then(() => stop()), options),
  ];
  await clock.advance(100);
  assert(loops.every(({ ended }) => ended));
  assertEquals(app.listeners, 0);
  assertEquals(clock.pending, []);
});

test("loop().join() ends early by its own signal, the loop goes on", async () => {
  const app = new CountingController();
  const idle = loop(() => {}, { period: 1e6 });
  const joined = idle.join({ signal: app.signal }).catch((reason) => reason);
  app.abort("impatient");
  assertEquals(await joined, "impatient");
  assertEquals(app.listeners, 0);
  assert(idle.running);
  await idle.stop();
});

// Errors.

test("loop() ends when a round throws, and join() rejects with the same error", async () => {
  const cause = new Error("no light");
  const error = new Error("no image", { cause });
  const failures: (() => unknown)[] = [
    () => {
      throw error;
    },
    () => Promise.reject(error),
    async () => {
      await undefined;
      throw error;
    },
  ];
  for (const fail of failures) {
    const clock = new ManualClock();
    const logger = new RecordingLogger();
    const camera = loop(
      ({ round }) => round === 2 ? fail() : undefined,
      { period: 100, clock, logger },
    );
    const joined = camera.join().catch((error) => error);
    await clock.advance(1000);
    assertStrictEquals(await joined, error);
    assertStrictEquals(error.cause, cause);
    assertStrictEquals(camera.exception, error);
    assertEquals(camera.outcome, "failed");
    assertEquals(camera.state, "errored");
    assertEquals(camera.statistics.rounds, 3);
    assertEquals(await camera.stop(), "stopped");
    assertEquals(camera.outcome, "failed");
    assertEquals(clock.pending, []);
    await turns();
    assertEquals(logger.lines, []);
  }
});

test("loop() error that nobody looked at is reported once", async () => {
  const logger = new RecordingLogger();
  const camera = loop(() => Promise.reject(new Error("no image")), {
    period: 1,
    name: "camera 4",
    logger,
  });
  await turns();
  assertEquals(logger.lines, [
    "error Loop 'camera 4' failed: Error: no image",
  ]);
  await assertRejects(() => camera.join(), Error, "no image");
  assertEquals(logger.lines.length, 1);
});

test("loop() error goes to onError, which counts as a look, before onEnd", async () => {
  const logger = new RecordingLogger();
  const told: unknown[] = [];
  const camera: Loop = loop(() => Promise.reject("x"), {
    period: 1,
    logger,
    onError: (error, loop) => {
      told.push(error, loop.state);
      assertStrictEquals(loop, camera);
    },
    onEnd: ({ outcome }) => told.push(outcome),
  });
  await turns();
  assertEquals(told, ["x", "errored", "failed"]);
  assertEquals(logger.lines, []);
});

test("loop() that throws while it is stopped has failed", async () => {
  const camera = loop(
    ({ sleep }) =>
      sleep(1e6).catch(() => {
        throw new Error("could not park");
      }),
    { period: 10 },
  );
  await undefined;
  const joined = assertRejects(() => camera.join(), Error, "could not park");
  assertEquals(await camera.stop(), "stopped");
  assertEquals(camera.outcome, "failed");
  await joined;
});

test("loop() that ends with the echo of its stop was stopped", async () => {
  const echoes = [
    (reason: unknown) => reason,
    (reason: unknown) => new Error("wrapped", { cause: reason }),
    () => new DOMException("aborted", "AbortError"),
  ];
  for (const reason of [new Error("dawn"), NaN, null, undefined]) {
    for (const echo of echoes) {
      const camera = loop(
        ({ sleep }) =>
          sleep(1e6).catch((reason) => Promise.reject(echo(reason))),
        { period: 10 },
      );
      await undefined;
      await camera.stop({ reason });
      await camera.join();
      assertEquals(camera.outcome, "stopped");
    }
  }
});

test("loop() can fail with anything", async () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const things = [undefined, null, 0, Symbol("s"), Object.create(null), proxy];
  for (const thing of things) {
    const logger = new RecordingLogger();
    const odd = loop(() => Promise.reject(thing), { period: 1, logger });
    await turns();
    assertEquals(odd.outcome, "failed");
    assertEquals(logger.of("error").length, 1);
    assert(Object.is(odd.exception, thing));
  }
});

test("loop() survives hooks and loggers that fail, at once or later", async () => {
  const failures = [() => {
    throw new Error("hook");
  }, () => Promise.reject(new Error("hook"))];
  for (const hook of failures) {
    const clock = new ManualClock();
    const logger = new RecordingLogger();
    const slow = loop(async ({ round, sleep }) => {
      await sleep(15);
      if (round === 1) throw new Error("x");
    }, {
      period: 10,
      name: "t",
      clock,
      logger,
      onMissed: hook,
      onError: hook,
      onEnd: hook,
    });
    const unhandled = await unhandledDuring(() => clock.advance(100));
    assertEquals(unhandled, []);
    assertEquals(slow.outcome, "failed");
    assertEquals(logger.lines, [
      "error Loop 't' has an onMissed hook that failed: Error: hook",
      "error Loop 't' has an onError hook that failed: Error: hook",
      "error Loop 't' has an onEnd hook that failed: Error: hook",
    ]);
  }
});

test("loop() survives a clock that fails", async () => {
  for (const broken of ["now", "setTimer"]) {
    for (const isAsync of [true, false]) {
      const manual = new ManualClock();
      let isBroken = false;
      const fail = (what: string): void => {
        if (isBroken && what === broken) throw new Error("clock");
      };
      const clock: Clock = {
        now: () => {
          fail("now");
          return manual.now();
        },
        setTimer: (callback, delay) => {
          fail("setTimer");
          return manual.setTimer(callback, delay);
        },
      };
      const poor = loop(
        () => isAsync ? Promise.resolve() : undefined,
        { period: 10, clock, onError: () => {} },
      );
      await manual.advance(15);
      isBroken = true;
      await manual.advance(10);
      await assertRejects(() => poor.join(), Error, "clock");
      assertEquals(poor.outcome, "failed");
    }
  }
});

test("loop() waits for anything with a then, and survives one that fails", async () => {
  const clock = new ManualClock();
  const thenables: unknown[] = [
    { then: (resolve: () => void) => clock.setTimer(resolve, 25) },
    {
      then: (resolve: () => void, reject: (reason: unknown) => void) => {
        resolve();
        resolve();
        reject("late");
      },
    },
  ];
  for (const thenable of thenables) {
    const waiting = loop(
      ({ round }) => round === 0 ? thenable : undefined,
      { period: 10, clock },
    );
    await clock.advance(30);
    assertEquals(await waiting.stop(), "stopped");
    assert(waiting.statistics.rounds > 1);
  }
  const bad = [
    {
      get then(): unknown {
        throw new Error("then");
      },
    },
    {
      then(): void {
        throw new Error("then");
      },
    },
  ];
  for (const thenable of bad) {
    const failing = loop(() => thenable, { period: 10, clock });
    const joined = failing.join().catch((error) => error);
    await clock.advance(30);
    assertEquals((await joined).message, "then");
  }
});

test("loop() causes no unhandled rejection, however it ends", async () => {
  const logger = new RecordingLogger();
  const reasons = await unhandledDuring(async () => {
    const { round, end } = deaf();
    const clock = new ManualClock();
    const options = { period: 10, clock, logger, grace: 20 };
    const app = new AbortController();
    loop(() => Promise.reject(new Error("async")), options);
    loop(() => {
      throw new Error("sync");
    }, options);
    const hung = loop(
      () => round().then(() => Promise.reject(new Error("late"))),
      { ...options, signal: app.signal },
    );
    loop(({ sleep }) => sleep(1e6), { ...options, signal: app.signal });
    await clock.advance(5);
    app.abort(new Error("dawn"));
    await clock.advance(100);
    assert(hung.abandoned);
    end();
    await clock.advance(0);
    assertEquals(hung.outcome, "failed");
    await turns();
  });
  assertEquals(reasons, []);
  assertEquals(logger.of("error").length, 3);
});

// Arguments and surroundings.

test("loop() refuses bad arguments by name before anything starts", () => {
  const create = (options: Record<string, unknown>) => () =>
    loop(() => {}, { period: 10, ...options } as never);
  for (const period of [0, -1, NaN, Infinity]) {
    assertThrows(
      create({ period }),
      RangeError,
      `Cannot create loop as 'period' must be a positive finite number: current value is ${period}`,
    );
  }
  const wrong: [Record<string, unknown>, string][] = [
    [{ period: "10" }, "'period' must be a positive finite number"],
    [{ period: undefined }, "'period' must be a positive finite number"],
    [{ policy: "late" }, `'policy' must be "immediate" or "skip"`],
    [{ signal: new AbortController() }, "'signal' must be an AbortSignal"],
    [{ clock: {} }, "'clock' must be a Clock"],
    [{ logger: {} }, "'logger' must be a Logger"],
    [{ ref: 1 }, "'ref' must be a boolean"],
    [{ name: 5 }, "'name' must be a string"],
    [{ grace: "1" }, "'grace' must be a non-negative number"],
    [{ first: "1" }, "'first' must be a non-negative finite number"],
    [{ onMissed: 1 }, "'onMissed' must be a function"],
    [{ onError: "log" }, "'onError' must be a function"],
    [{ onEnd: 1 }, "'onEnd' must be a function"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(create(options), TypeError, message);
  }
  assertThrows(create({ first: -1 }), RangeError, "'first'");
  assertThrows(create({ first: Infinity }), RangeError, "'first'");
  assertThrows(create({ grace: NaN }), RangeError, "'grace'");
  assertThrows(
    () => loop("fn" as never, { period: 10 }),
    TypeError,
    `Cannot create loop as 'fn' must be a function: current value is "fn"`,
  );
  for (const options of [undefined, null, 10]) {
    assertThrows(
      () => loop(() => {}, options as never),
      TypeError,
      "'options'",
    );
  }
});

test("loop() refuses bad arguments of its methods and goes on", async () => {
  const idle = loop(() => {}, { period: 1e6 });
  await assertRejects(() => idle.stop({ grace: -1 }), RangeError, "'grace'");
  await assertRejects(() => idle.stop(5 as never), TypeError, "'options'");
  await assertRejects(
    () => idle.join({ signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  for (const period of [0, NaN, Infinity]) {
    assertThrows(() => idle.period = period, RangeError, "'period'");
  }
  assertThrows(() => idle.period = "1" as never, TypeError, "'period'");
  assertEquals(idle.period, 1e6);
  assert(idle.running);
  assertEquals(await idle.stop(), "stopped");
});

test("loop() does not see later changes of its options, and takes inherited ones", async () => {
  const clock = new ManualClock();
  const options = Object.create({ period: 10, clock, name: "before" });
  const calm = new Loop(() => {}, options);
  options.period = NaN;
  options.name = "after";
  options.clock = undefined;
  await clock.advance(100);
  assertEquals(calm.name, "before");
  assertEquals(calm.period, 10);
  assertEquals(calm.statistics.rounds, 11);
  await calm.stop();
  const unnamed = loop(() => {}, { period: 10, clock });
  assertEquals(unnamed.name, "loop");
  await unnamed.stop();
});

test("loop() with ref: false does not keep the process alive", async () => {
  const clock = new ManualClock();
  const options = { period: 10, clock, ref: false };
  const idle = loop(() => {}, options);
  const busy = loop(({ sleep }) => sleep(50), options);
  await clock.advance(1);
  assertEquals(clock.pending.map(({ ref }) => ref), [false, false]);
  await Promise.all([idle.stop(), busy.stop()]);
  const { code, stdout } = await runProgram(`
    import { loop } from "ROOT/loop.ts";
    const idle = loop(() => {}, { period: 1e9, ref: false });
    const busy = loop(({ sleep }) => sleep(1e9), { period: 5, ref: false });
    setTimeout(() => console.log(idle.state, busy.state), 20);
  `);
  assertEquals(stdout, "running running\n");
  assertEquals(code, 0);
});

test("loop() keeps the process alive until it is stopped", async () => {
  const { code, stdout } = await runProgram(`
    import { loop } from "ROOT/loop.ts";
    loop(({ round, stop }) => {
      if (round === 3) stop();
    }, { period: 5, onEnd: (loop) => console.log(loop.statistics.rounds) });
  `);
  assertEquals(stdout, "4\n");
  assertEquals(code, 0);
});

test("loop() works under FakeTime", async () => {
  // Not every runtime of the tests knows `using`.
  const time = new FakeTime();
  try {
    const faked = loop(() => {}, { period: 100 });
    await time.tickAsync(0);
    time.tick(250);
    assertEquals(faked.statistics.rounds, 3);
    assertEquals(await faked.stop(), "stopped");
    time.tick(1000);
    assertEquals(faked.statistics.rounds, 3);
  } finally {
    time.restore();
  }
});

// A model: whatever the rounds take and whoever calls what.

type Step =
  | { kind: "stop" | "join" | "abort" | "turn" | "stopInside" }
  | { kind: "advance"; ms: number }
  | { kind: "period"; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      ms: fc.nat(120),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("period" as const),
      ms: fc.integer({ min: 1, max: 50 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      { kind: "stop" },
      { kind: "join" },
      { kind: "abort" },
      { kind: "turn" },
      { kind: "stopInside" },
    ),
  },
);

const behaviour = fc.record({
  policy: fc.constantFrom(...POLICIES),
  period: fc.integer({ min: 1, max: 40 }),
  first: fc.constantFrom(0, 0, 7),
  // A round that takes no time is synchronous.
  work: fc.array(fc.oneof(fc.constant(0), fc.nat(120)), {
    minLength: 1,
    maxLength: 8,
  }),
  hears: fc.boolean(),
  failsInRound: fc.constantFrom(undefined, undefined, 0, 3),
});

test("loop() begins no round early, counts all and loses no stop, in any order of calls", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 16 }),
      behaviour,
      async (steps, { policy, period, first, work, hears, failsInRound }) => {
        const clock = new ManualClock();
        const app = new CountingController();
        const failure = new Error("by design");
        let isStopInside = false;
        let inside = 0;
        let hasStopped = false;
        let waiting = 0;
        let overruns = 0;
        let missed = 0;
        let worst = 0;
        let last: LoopRound | undefined;
        let ends = 0;
        const wait = (promise: Promise<unknown>): void => {
          waiting++;
          promise.catch(() => {}).then(() => waiting--);
        };
        const own: Loop = loop((round) => {
          assertFalse(hasStopped, "a round has begun after a stop");
          assertEquals(inside, 0, "rounds overlap");
          assert(round.scheduled <= clock.now(), "a round has begun early");
          assertEquals(round.late, clock.now() - round.scheduled);
          assertEquals(round.round, last === undefined ? 0 : last.round + 1);
          const step = policy === "immediate" ? 1 : 1 + round.missed;
          assertEquals(round.index, last === undefined ? 0 : last.index + step);
          if (last !== undefined) assert(round.scheduled > last.scheduled);
          last = round;
          overruns += round.overrun ? 1 : 0;
          missed += round.missed;
          worst = Math.max(worst, round.late);
          const end = (): void => {
            inside--;
            if (round.round === failsInRound) throw failure;
          };
          inside++;
          if (isStopInside) {
            hasStopped = true;
            wait(own.stop());
          }
          const ms = work[round.round % work.length] ?? 0;
          if (ms === 0) return end();
          return hears
            ? round.sleep(ms).finally(end)
            : sleep(ms, { clock }).finally(end);
        }, {
          period,
          policy,
          first,
          clock,
          signal: app.signal,
          logger: new RecordingLogger(),
          onEnd: () => ends++,
          onError: (error) => assertStrictEquals(error, failure),
        });
        for (const step of steps) {
          if (step.kind === "stop") {
            hasStopped = true;
            wait(own.stop());
          } else if (step.kind === "join") {
            wait(own.join());
          } else if (step.kind === "abort") {
            hasStopped = true;
            app.abort();
          } else if (step.kind === "stopInside") {
            isStopInside = true;
          } else if (step.kind === "advance") {
            await clock.advance(step.ms);
          } else if (step.kind === "period") {
            own.period = step.ms;
          } else {
            await undefined;
          }
        }
        // Whatever was called before: one more stop ends it, within its grace.
        let outcome: string | undefined;
        hasStopped = true;
        wait(own.stop().then((value) => outcome = value));
        await clock.advance(120);
        assertEquals(outcome, "stopped");
        assertEquals(waiting, 0);
        assert(own.ended);
        assertEquals(ends, 1);
        assertEquals(inside, 0);
        assertEquals(clock.pending, []);
        assertEquals(app.listeners, 0);
        const isTerminated = own.outcome === "terminated";
        assert(own.outcome !== "failed" || own.exception === failure);
        assert(!isTerminated || policy === "terminate");
        assertEquals(own.statistics, {
          rounds: last === undefined ? 0 : last.round + 1,
          missed,
          overruns: overruns + (isTerminated ? 1 : 0),
          worstLateness: worst,
        });
        await clock.advance(200);
      },
    ),
    { numRuns: 500 },
  );
});
