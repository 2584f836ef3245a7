// Copyright 2026 the Longrun authors. MIT license.

/**
 * What loops cost that wait for an hour, and how loops of 5 and 10 ms keep
 * their rate.
 *
 * Without arguments: what follows a stall, and the time to start and stop a
 * loop. With `rates`: the short periods. With `idle` and a name: making and
 * stopping ten thousand that wait, and the heap of each.
 *
 * @module
 */

import { Cron } from "croner";
import { clearDriftless, setDriftlessInterval } from "driftless";
import { Effect, Fiber, Schedule } from "effect";
import process from "node:process";
import { setInterval as nodeInterval } from "node:timers/promises";
import { interval, type Subscription } from "rxjs";
import {
  clearIntervalAsync,
  setIntervalAsync,
  type SetIntervalAsyncTimer,
} from "set-interval-async";
import { SimpleIntervalJob, Task } from "toad-scheduler";
import { type Loop, loop } from "../loop.ts";
import { MissedLoopPolicy } from "../missed_loop_policy.ts";
import { ticks } from "../ticks.ts";
import { driftOf } from "./_drift.ts";
import {
  alternate,
  type Case,
  exit,
  heapUsed,
  type Measurement,
  median,
  percentile,
  report,
  settle,
} from "./_harness.ts";

// ix has its operators below its main module; Deno finds them by the version
// that the import map gives it.
const mapped = import.meta.resolve("ix");
const ix = mapped.startsWith("npm:") ? mapped : "ix";
const { interval: ixInterval } = await import(`${ix}/asynciterable`);

const COUNT = 10_000;
const ROUNDS = 9;
const HOUR = 3_600_000;

type Round = () => unknown;

/** Some loops: starts one, stops all. */
interface Loops {
  start(round: Round, period: number): void;
  stop(): unknown;
}

/** Loops of which each has a handle. */
function handled<T>(
  start: (round: Round, period: number) => T,
  stop: (handle: T) => unknown,
): () => Loops {
  return () => {
    const handles: T[] = [];
    return {
      start: (round, period) => {
        handles.push(start(round, period));
      },
      stop: () => Promise.all(handles.map(stop)),
    };
  };
}

/** Loops that iterate over something that a signal ends. */
function iterated(
  iterate: (period: number, signal: AbortSignal) => AsyncIterable<unknown>,
): () => Loops {
  return handled((round, period) => {
    const controller = new AbortController();
    const run = async () => {
      try {
        for await (const _ of iterate(period, controller.signal)) await round();
      } catch (error) {
        if (!controller.signal.aborted) throw error;
      }
    };
    return { controller, ended: run() };
  }, ({ controller, ended }) => {
    controller.abort();
    return ended;
  });
}

const OURS = "longrun loop";

function loopsOfOneSignal(policy?: MissedLoopPolicy): Loops {
  const app = new AbortController();
  const { signal } = app;
  const all: Loop[] = [];
  return {
    start: (round, period) => {
      all.push(loop(round, { period, policy, signal }));
    },
    async stop() {
      app.abort();
      if (all.every(({ ended }) => ended)) return;
      await Promise.all(all.map((each) => each.join()));
    },
  };
}

let nextJob = 0;

const peers: Record<string, () => Loops> = {
  "bare setInterval": handled(
    (round, period) => setInterval(round, period),
    (timer) => clearInterval(timer),
  ),
  [OURS]: () => loopsOfOneSignal(),
  "longrun ticks": iterated((period, signal) => ticks(period, { signal })),
  "node:timers/promises": iterated((period, signal) =>
    nodeInterval(period, undefined, { signal })
  ),
  "set-interval-async": handled<SetIntervalAsyncTimer<[]>>(
    (round, period) =>
      setIntervalAsync(async () => {
        await round();
      }, period),
    (timer) => clearIntervalAsync(timer),
  ),
  "toad-scheduler": handled((round, period) => {
    const task = new Task(`task ${nextJob++}`, () => {
      round();
    });
    const job = new SimpleIntervalJob({ milliseconds: period }, task);
    job.start();
    return job;
  }, (job) => job.stop()),
  "driftless": handled<number>(
    (round, period) => setDriftlessInterval(round, period),
    (id) => clearDriftless(id),
  ),
  "rxjs interval": handled<Subscription>(
    (round, period) => interval(period).subscribe(round),
    (subscription) => subscription.unsubscribe(),
  ),
  "ix interval": handled((round, period) => {
    const iterator: AsyncIterator<number> = ixInterval(period)
      [Symbol.asyncIterator]();
    const run = async () => {
      while (!(await iterator.next()).done) await round();
    };
    run();
    return iterator;
    // It waits for its next tick before it ends.
  }, (iterator) => {
    iterator.return?.();
  }),
  "effect fixed": handled(
    (round, period) =>
      Effect.runFork(
        Effect.repeat(
          Effect.promise(async () => {
            await round();
          }),
          Schedule.fixed(period),
        ),
      ),
    (fiber) => Effect.runPromise(Fiber.interrupt(fiber)),
  ),
};

/** It is so heavy that fewer must do. */
const HEAVY = "croner";

const idlePeers: Record<string, () => Loops> = {
  ...peers,
  // It counts in whole seconds, and has no intervals below.
  [HEAVY]: handled<Cron>(
    (round) =>
      new Cron("0 0 * * * *", () => {
        round();
      }),
    (job) => job.stop(),
  ),
};

const nothing = () => {};

async function makeAndStop(
  make: () => Loops,
  count: number,
): Promise<Measurement> {
  const loops = make();
  const began = performance.now();
  for (let index = 0; index < count; index++) loops.start(nothing, HOUR);
  // Some begin their first round in a turn of its own.
  await settle();
  const made = performance.now();
  await loops.stop();
  const stopped = performance.now();
  return {
    create: (made - began) / count * 1000,
    stop: (stopped - made) / count * COUNT,
  };
}

async function weigh(make: () => Loops, count: number): Promise<number> {
  // What is made once, code among it, is made before.
  const few = make();
  for (let index = 0; index < 100; index++) few.start(nothing, HOUR);
  await settle(20);
  const loops = make();
  const before = await heapUsed();
  for (let index = 0; index < count; index++) loops.start(nothing, HOUR);
  await settle(20);
  const bytes = (await heapUsed() - before) / count;
  await few.stop();
  await loops.stop();
  return bytes;
}

/** In a process of its own: some leave behind what slows down the others. */
async function idle(name: string): Promise<void> {
  const make = idlePeers[name];
  if (make === undefined) throw new Error(`There is no "${name}"`);
  const count = name === HEAVY ? COUNT / 10 : COUNT;
  const bytes = await weigh(make, count);
  const measure = () => makeAndStop(make, count);
  for (const [, { median }] of await alternate([{ name, measure }], ROUNDS)) {
    report("idle loops", name, { ...median, bytes });
  }
}

const SECONDS = 5;
const LOAD_ROUNDS = 7;

async function keepRate(
  make: () => Loops,
  period: number,
): Promise<Measurement> {
  const times: number[] = [];
  const loops = make();
  loops.start(() => {
    times.push(performance.now());
  }, period);
  await settle(200);
  times.length = 0;
  const began = performance.now();
  await settle(SECONDS * 1000);
  const duration = performance.now() - began;
  await loops.stop();
  const intervals = times.slice(1).map((time, index) =>
    time - (times[index] ?? NaN)
  );
  const deviations = intervals.map((interval) => Math.abs(interval - period));
  return {
    rounds: times.length / duration * SECONDS * 1000,
    drift: driftOf(times, period),
    p50: percentile(deviations, 0.5),
    p99: percentile(deviations, 0.99),
  };
}

/** The load of one processor in a second, in percent. */
async function weighLoad(
  make: () => Loops,
  period: number,
): Promise<Measurement> {
  const loops = make();
  loops.start(nothing, period);
  await settle(200);
  const before = process.cpuUsage();
  const began = performance.now();
  await settle(1000);
  const elapsed = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  await loops.stop();
  return { cpu: (user + system) / 1000 / elapsed * 100 };
}

/** Has the code of all compiled, which takes more than the loops themselves. */
async function warmUp(): Promise<void> {
  for (const make of Object.values(peers)) {
    const loops = make();
    for (let index = 0; index < 100; index++) {
      loops.start(() => performance.now(), 10);
    }
    await settle(1500);
    await loops.stop();
  }
}

async function keepRates(): Promise<void> {
  await warmUp();
  for (const period of [5, 10]) {
    const each = (measure: typeof keepRate): Case[] =>
      Object.entries(peers).map(([name, make]) => ({
        name,
        measure: () => measure(make, period),
        aftermath: 50,
      }));
    const rates = await alternate(each(keepRate), 1, 0);
    // How fast a machine wakes up changes within seconds: all of them in turn.
    const loads = await alternate(each(weighLoad), LOAD_ROUNDS, 1);
    for (const [name, { median }] of rates) {
      const load = loads.get(name)?.median;
      report(`loops of ${period} ms`, name, { ...median, ...load });
    }
  }
}

const STALL = 110;

/** When the rounds after one that takes 110 ms begin, in a loop of 20 ms. */
async function stall(make: () => Loops): Promise<string> {
  const times: number[] = [];
  let isStalled = false;
  let overlaps = 0;
  const loops = make();
  loops.start(async () => {
    times.push(performance.now());
    if (isStalled) overlaps++;
    if (times.length !== 5) return;
    isStalled = true;
    await settle(STALL);
    isStalled = false;
  }, 20);
  await settle(450);
  await loops.stop();
  if (overlaps > 0) return "overlaps";
  const began = times[4] ?? NaN;
  return times.slice(5, 12).map((time) => (time - began).toFixed(0)).join(" ");
}

async function stallAll(): Promise<void> {
  for (const [name, make] of Object.entries(peers)) {
    if (name !== OURS) report("stall", name, { rounds: await stall(make) });
  }
  for (const policy of Object.values(MissedLoopPolicy)) {
    const rounds = await stall(() => loopsOfOneSignal(policy));
    report("stall", `${OURS}, ${policy}`, { rounds: rounds || "ends" });
  }
}

async function startAndStop(): Promise<Measurement> {
  const asked = performance.now();
  let began = NaN;
  await using own = loop(() => {
    began = performance.now();
  }, { period: HOUR });
  await settle();
  const stopping = performance.now();
  await own.stop();
  await own.join();
  const joined = performance.now();
  return { start: (began - asked) * 1000, stop: (joined - stopping) * 1000 };
}

async function startAndStopOnes(): Promise<void> {
  const all: Measurement[] = [];
  for (let time = -100; time < 500; time++) {
    const measurement = await startAndStop();
    if (time >= 0) all.push(measurement);
  }
  const of = (column: string) => median(all.map((each) => each[column] ?? NaN));
  const thousands: number[] = [];
  for (let time = 0; time < ROUNDS; time++) {
    const loops = Array.from(
      { length: 1000 },
      () => loop(nothing, { period: HOUR }),
    );
    await settle(10);
    const stopping = performance.now();
    await Promise.all(loops.map((each) => each.stop()));
    await Promise.all(loops.map((each) => each.join()));
    thousands.push(performance.now() - stopping);
  }
  const values = { start: of("start"), stop: of("stop") };
  report("one loop", OURS, { ...values, stopAll: median(thousands) });
}

const [mode, name = ""] = process.argv.slice(2);
if (mode === "idle") await idle(name);
else if (mode === "rates") await keepRates();
else {
  await stallAll();
  await startAndStopOnes();
}
exit();
