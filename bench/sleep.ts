// Copyright 2026 the Longrun authors. MIT license.

/**
 * Ten thousand and a hundred thousand sleeps on one signal: what it costs to
 * begin them, to abort them all, and what each holds of the heap.
 *
 * @module
 */

import delay from "delay";
import { Effect, Fiber } from "effect";
import { run, sleep as effectionSleep, spawn, suspend } from "effection";
import process from "node:process";
import { setTimeout as nodeSleep } from "node:timers/promises";
import { sleep } from "../cancellation.ts";
import {
  alternate,
  type Case,
  collect,
  exit,
  heapUsed,
  type Measurement,
  report,
} from "./_harness.ts";

/** Longer than any round, so that nothing but the abort ends a sleep. */
const MS = 600_000;

/** Sleeps that have begun. */
interface Sleeps {
  /** Attaches handlers, for the abort to be nobody's unhandled rejection. */
  handle?(): void;
  /** Aborts them; resolves when all of them have settled. */
  abort(): void | Promise<void>;
}

interface Candidate {
  begin(count: number): Sleeps | Promise<Sleeps>;
  /** Whether a hundred thousand sleeps take a reasonable time. */
  isLinear: boolean;
}

/** Begins sleeps on one signal by calling a function for each. */
function onOneSignal(
  sleep: (signal: AbortSignal) => Promise<unknown>,
): (count: number) => Sleeps {
  return (count) => {
    const controller = new AbortController();
    const { signal } = controller;
    const sleeps: Promise<unknown>[] = new Array(count);
    for (let index = 0; index < count; index++) sleeps[index] = sleep(signal);
    let settled: Promise<PromiseSettledResult<unknown>[]> | undefined;
    return {
      handle() {
        settled = Promise.allSettled(sleeps);
      },
      async abort() {
        const reason = new Error("Enough");
        controller.abort(reason);
        const results = await settled;
        if (
          results?.length !== count ||
          results.some(({ status }) => status === "fulfilled")
        ) {
          throw new Error("A sleep was not aborted");
        }
      },
    };
  };
}

/** A listener on the signal and a timer for each sleep. */
function listenAndSleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}

interface StandardAsync {
  delay(ms: number, options: { signal: AbortSignal }): Promise<void>;
}

async function withStandard(): Promise<Record<string, Candidate>> {
  if (!process.argv.includes("--std")) return {};
  const { delay } = await import("@std/async") as unknown as StandardAsync;
  return {
    "@std/async delay": {
      begin: onOneSignal((signal) => delay(MS, { signal })),
      isLinear: false,
    },
  };
}

const candidates: Record<string, Candidate> = {
  "bare setTimeout promise, no signal": {
    begin(count) {
      const timers: ReturnType<typeof setTimeout>[] = new Array(count);
      const promises: Promise<void>[] = new Array(count);
      for (let index = 0; index < count; index++) {
        promises[index] = new Promise((resolve) => {
          timers[index] = setTimeout(resolve, MS);
        });
      }
      return {
        abort() {
          for (const timer of timers) clearTimeout(timer);
          promises.length = 0;
        },
      };
    },
    isLinear: true,
  },
  "longrun sleep": {
    begin: onOneSignal((signal) => sleep(MS, { signal })),
    isLinear: true,
  },
  "one listener a sleep (the technique of most peers)": {
    begin: onOneSignal((signal) => listenAndSleep(MS, signal)),
    isLinear: false,
  },
  ...await withStandard(),
  "delay": {
    begin: onOneSignal((signal) => delay(MS, { signal })),
    isLinear: false,
  },
  "node:timers/promises": {
    begin: onOneSignal((signal) => nodeSleep(MS, undefined, { signal })),
    isLinear: false,
  },
  "effect, a fiber a sleep": {
    begin(count) {
      const fibers: Fiber.Fiber<void>[] = new Array(count);
      for (let index = 0; index < count; index++) {
        fibers[index] = Effect.runFork(Effect.sleep(MS));
      }
      return {
        abort: () => Effect.runPromise(Fiber.interruptAll(fibers)),
      };
    },
    isLinear: true,
  },
  "effection, a task a sleep": {
    async begin(count) {
      const { promise: begun, resolve } = Promise.withResolvers<void>();
      const task = run(function* () {
        for (let index = 0; index < count; index++) {
          yield* spawn(() => effectionSleep(MS));
        }
        resolve();
        yield* suspend();
      });
      task.catch(() => {});
      await begun;
      return {
        async abort() {
          await task.halt();
        },
      };
    },
    isLinear: false,
  },
};

async function measure(
  { begin }: Candidate,
  count: number,
): Promise<Measurement> {
  const start = performance.now();
  const begun = begin(count);
  const sleeps = begun instanceof Promise ? await begun : begun;
  const create = performance.now() - start;
  sleeps.handle?.();
  const middle = performance.now();
  await sleeps.abort();
  const abort = performance.now() - middle;
  return { create: create / count * 1000, abort: abort / count * 1000 };
}

async function weigh({ begin }: Candidate, count: number): Promise<number> {
  const before = await heapUsed();
  const begun = begin(count);
  const sleeps = begun instanceof Promise ? await begun : begun;
  const bytes = (await heapUsed() - before) / count;
  sleeps.handle?.();
  await sleeps.abort();
  return bytes;
}

for (const [count, rounds] of [[10_000, 9], [100_000, 5]] as const) {
  const cases: Case[] = [];
  for (const [name, candidate] of Object.entries(candidates)) {
    if (count > 10_000 && !candidate.isLinear) continue;
    cases.push({ name, measure: () => measure(candidate, count) });
  }
  for (const [name, { median }] of await alternate(cases, rounds)) {
    const candidate = candidates[name];
    if (candidate === undefined) continue;
    collect();
    report(`sleep ${count}`, name, {
      create: median.create ?? NaN,
      abort: median.abort ?? NaN,
      ...count > 10_000 ? {} : { bytes: await weigh(candidate, count) },
    });
  }
}
exit();
