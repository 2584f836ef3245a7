// Copyright 2026 the Longrun authors. MIT license.

/**
 * What background tasks cost, and how well they keep their rate.
 *
 * Without arguments: creating, running and stopping ten thousand of them, and
 * the jobs of a processor. With `periodic`: loops of 10 ms.
 *
 * @module
 */

import { Effect, Fiber, Schedule } from "effect";
import pMap from "p-map";
import process from "node:process";
import { interval } from "rxjs";
import { BackgroundTask } from "../background_task.ts";
import { BackgroundTaskProcessor } from "../background_task_processor.ts";
import { driftOf } from "./_drift.ts";
import {
  alternate,
  type Case,
  exit,
  heapUsed,
  type Measurement,
  percentile,
  report,
  settle,
} from "./_harness.ts";

const COUNT = 10_000;
const ROUNDS = 9;
const HOUR = 3_600_000;

/** Tasks that run; how to stop one and wait for its end. */
type Stop = () => unknown;

/** A task that waits for an hour, made of a promise and a timer. */
function bareTask(isPeriodic: boolean): Stop {
  let stopped = false;
  let wake: (() => void) | undefined;
  const sleep = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const loop = async () => {
    do await sleep(HOUR); while (isPeriodic && !stopped);
  };
  const ended = loop();
  return () => {
    stopped = true;
    wake?.();
    return ended;
  };
}

function effectTask(effect: Effect.Effect<unknown>): Stop {
  const fiber = Effect.runFork(effect);
  return () => Effect.runPromise(Fiber.interrupt(fiber));
}

function longrunTask(task: BackgroundTask): Stop {
  task.run();
  return () => task.stop();
}

const { signal } = new AbortController();

const oneShot: Record<string, () => Stop> = {
  "bare async function and setTimeout": () => bareTask(false),
  "longrun BackgroundTask": () =>
    longrunTask(new BackgroundTask(({ sleep }) => sleep(HOUR))),
  "longrun BackgroundTask, all on one signal": () =>
    longrunTask(new BackgroundTask(({ sleep }) => sleep(HOUR), { signal })),
  "effect fiber": () => effectTask(Effect.sleep(HOUR)),
};

const periodic: Record<string, () => Stop> = {
  "bare async loop and setTimeout": () => bareTask(true),
  "bare setInterval": () => {
    const timer = setInterval(() => {}, HOUR);
    return () => clearInterval(timer);
  },
  "longrun BackgroundTask": () =>
    longrunTask(new BackgroundTask(() => {}, { frequency: 1000 / HOUR })),
  "longrun BackgroundTask, all on one signal": () =>
    longrunTask(
      new BackgroundTask(() => {}, { frequency: 1000 / HOUR, signal }),
    ),
  "rxjs interval": () => {
    const subscription = interval(HOUR).subscribe();
    return () => subscription.unsubscribe();
  },
  "effect repeat": () =>
    effectTask(Effect.repeat(Effect.void, Schedule.spaced(HOUR))),
};

async function runAndStop(start: () => Stop): Promise<Measurement> {
  const stops: Stop[] = new Array(COUNT);
  const began = performance.now();
  for (let index = 0; index < COUNT; index++) stops[index] = start();
  // Some begin their first round in a turn of its own.
  await settle();
  const running = performance.now();
  await Promise.all(stops.map((stop) => stop()));
  const ended = performance.now();
  return {
    run: (running - began) / COUNT * 1000,
    stop: (ended - running) / COUNT * 1000,
  };
}

async function weigh(start: () => Stop): Promise<number> {
  const stops: Stop[] = new Array(COUNT);
  const before = await heapUsed();
  for (let index = 0; index < COUNT; index++) stops[index] = start();
  await settle(20);
  const bytes = (await heapUsed() - before) / COUNT;
  await Promise.all(stops.map((stop) => stop()));
  return bytes;
}

async function idle(
  table: string,
  candidates: Record<string, () => Stop>,
): Promise<void> {
  const cases: Case[] = Object.entries(candidates).map(([name, start]) => ({
    name,
    measure: () => runAndStop(start),
  }));
  for (const [name, { median }] of await alternate(cases, ROUNDS)) {
    const start = candidates[name];
    if (start === undefined) continue;
    report(table, name, { ...median, bytes: await weigh(start) });
  }
}

const LIMIT = 10;

type RunJobs = (count: number, job: () => Promise<void>) => Promise<unknown>;

const crowds: Record<string, RunJobs> = {
  "10 bare workers on one index": (count, job) => {
    let next = 0;
    const work = async () => {
      while (next++ < count) await job();
    };
    return Promise.all(Array.from({ length: LIMIT }, work));
  },
  "longrun BackgroundTaskProcessor": async (count, job) => {
    const processor = new BackgroundTaskProcessor({ maxConcurrent: LIMIT });
    for (let index = 0; index < count; index++) processor.submit(job);
    await processor.idle();
  },
  "p-map": (count, job) =>
    pMap(Array.from({ length: count }), job, { concurrency: LIMIT }),
  "effect forEach": (count, job) =>
    Effect.runPromise(
      Effect.forEach(
        Array.from({ length: count }),
        () => Effect.promise(job),
        { concurrency: LIMIT, discard: true },
      ),
    ),
};

async function crowd(count: number, rounds: number): Promise<void> {
  const cases: Case[] = Object.entries(crowds).map(([name, run]) => ({
    name,
    async measure() {
      let done = 0;
      const start = performance.now();
      await run(count, async () => {
        await undefined;
        done++;
      });
      const duration = performance.now() - start;
      if (done !== count) throw new Error(`"${name}" lost jobs`);
      return { ns: duration / count * 1e6 };
    },
  }));
  for (const [name, { median }] of await alternate(cases, rounds)) {
    report(`crowd ${count}`, name, median);
  }
}

const PERIOD = 10;
const DURATION = 5000;

const loops: Record<string, (tick: () => void) => Stop> = {
  "bare setInterval": (tick) => {
    const timer = setInterval(tick, PERIOD);
    return () => clearInterval(timer);
  },
  "bare async loop and setTimeout": (tick) => {
    let stopped = false;
    const loop = async () => {
      while (!stopped) {
        tick();
        await settle(PERIOD);
      }
    };
    const ended = loop();
    return () => {
      stopped = true;
      return ended;
    };
  },
  "longrun BackgroundTask": (tick) =>
    longrunTask(new BackgroundTask(tick, { frequency: 1000 / PERIOD })),
  "rxjs interval": (tick) => {
    const subscription = interval(PERIOD).subscribe(tick);
    return () => subscription.unsubscribe();
  },
  "effect fixed": (tick) =>
    effectTask(Effect.repeat(Effect.sync(tick), Schedule.fixed(PERIOD))),
};

async function keepRate(start: (tick: () => void) => Stop) {
  const ticks: number[] = [];
  const stop = start(() => {
    ticks.push(performance.now());
  });
  // The first ticks also compile the code.
  await settle(500);
  ticks.length = 0;
  const before = process.cpuUsage();
  const began = performance.now();
  await settle(DURATION);
  const duration = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  await stop();
  const intervals = ticks.slice(1).map((time, index) =>
    time - (ticks[index] ?? NaN)
  );
  const deviations = intervals.map((interval) => Math.abs(interval - PERIOD));
  return {
    ticks: ticks.length / duration * DURATION,
    drift: driftOf(ticks, PERIOD),
    jitter: percentile(deviations, 0.99),
    cpu: (user + system) / 1000 / duration * 100,
  };
}

async function keepRates(): Promise<void> {
  const cases: Case[] = Object.entries(loops).map(([name, start]) => ({
    name,
    measure: () => keepRate(start),
  }));
  for (const [name, { median }] of await alternate(cases, 3, 0)) {
    report("rate", name, median);
  }
}

if (process.argv[2] === "periodic") {
  await keepRates();
} else {
  await idle("one-shot tasks", oneShot);
  await idle("periodic tasks", periodic);
  await crowd(COUNT, 2 * ROUNDS);
  await crowd(10 * COUNT, 3);
}
exit();
