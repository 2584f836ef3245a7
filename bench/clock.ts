// Copyright 2026 the Longrun authors. MIT license.

/**
 * The timers of the system clock, which share one platform timer, beside
 * platform timers. With `memory` and a name: the heap of one that waits.
 *
 * @module
 */

import process from "node:process";
import { systemClock } from "../clock.ts";
import {
  alternate,
  type Case,
  exit,
  heapUsed,
  type Measurement,
  report,
} from "./_harness.ts";

const COUNT = 10_000;
const ROUNDS = 9;
/** Longer than any round. */
const MS = 600_000;

type Cancel = () => void;
type SetTimer = (callback: () => void, delay: number) => Cancel;

const candidates: Record<string, SetTimer> = {
  platform: (callback, delay) => {
    const timer = setTimeout(callback, delay);
    return () => clearTimeout(timer);
  },
  longrun: systemClock.setTimer,
};

const nothing = () => {};

// The same delays for all, in no order.
const delays = Array.from(
  { length: COUNT },
  (_, index) => (index * 7919) % COUNT,
);

/** Sets timers and cancels each at once, while `pending` others wait. */
function pair(setTimer: SetTimer, pending: number): Measurement {
  const others: Cancel[] = [];
  for (let index = 0; index < pending; index++) {
    others.push(setTimer(nothing, MS));
  }
  const start = performance.now();
  for (let index = 0; index < COUNT; index++) setTimer(nothing, MS + 1)();
  const ns = (performance.now() - start) / COUNT * 1e6;
  for (const cancel of others) cancel();
  return { [`set and cancel one, ${pending} others wait`]: ns };
}

/** Sets many timers, then cancels all of them. */
function crowd(
  setTimer: SetTimer,
  how: string,
  delay: (index: number) => number,
): Measurement {
  const cancels: Cancel[] = new Array(COUNT);
  const start = performance.now();
  for (let index = 0; index < COUNT; index++) {
    cancels[index] = setTimer(nothing, delay(index));
  }
  const middle = performance.now();
  for (const cancel of cancels) cancel();
  const end = performance.now();
  return {
    [`set 10000, ${how}`]: (middle - start) / COUNT * 1e6,
    [`cancel 10000, ${how}`]: (end - middle) / COUNT * 1e6,
  };
}

/** Timers that all fire; processor time, for most of the time is waiting. */
async function fire(setTimer: SetTimer): Promise<Measurement> {
  let fired = 0;
  const before = process.cpuUsage();
  await new Promise<void>((resolve) => {
    for (const delay of delays) {
      setTimer(() => {
        fired++;
        if (fired === COUNT) resolve();
      }, 1 + delay * 500 / COUNT);
    }
  });
  const { user, system } = process.cpuUsage(before);
  return {
    "set 10000 that fire within 500 ms": (user + system) / COUNT * 1000,
  };
}

async function compare(): Promise<void> {
  const cases: Case[] = Object.entries(candidates).map(([name, setTimer]) => ({
    name,
    measure: async () => ({
      ...pair(setTimer, 0),
      ...pair(setTimer, COUNT),
      ...crowd(setTimer, "one delay", () => MS),
      ...crowd(setTimer, "mixed delays", (index) => MS + (delays[index] ?? 0)),
      ...await fire(setTimer),
    }),
  }));
  for (const [name, { median }] of await alternate(cases, ROUNDS)) {
    for (const [row, ns] of Object.entries(median)) {
      report("clock", row, { [name]: ns });
    }
  }
}

async function weigh(name: string): Promise<void> {
  const setTimer = candidates[name];
  if (setTimer === undefined) throw new Error(`There is no "${name}"`);
  const cancels: Cancel[] = new Array(COUNT);
  const before = await heapUsed();
  for (let index = 0; index < COUNT; index++) {
    cancels[index] = setTimer(nothing, MS);
  }
  const bytes = (await heapUsed() - before) / COUNT;
  for (const cancel of cancels) cancel();
  report("clock", "heap of one that waits, bytes", { [name]: bytes });
}

const [mode, name = ""] = process.argv.slice(2);
if (mode === "memory") await weigh(name);
else await compare();
exit();
