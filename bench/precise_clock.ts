// Copyright 2026 the Longrun authors. MIT license.

/**
 * How well loops of 1 ms keep their rate, and what that costs: on the timers
 * of the platform, on a precise clock, and spinning.
 *
 * @module
 */

import process from "node:process";
import { setImmediate } from "node:timers";
import type { Clock } from "../clock.ts";
import { preciseClock } from "../precise_clock.ts";
import { ticks } from "../ticks.ts";
import {
  alternate,
  type Case,
  exit,
  type Measurement,
  percentile,
  report,
  settle,
} from "./_harness.ts";

const PERIOD = 1;
const DURATION = 5000;
const ROUNDS = 3;

type Stop = () => unknown;
/** A loop that calls with the number of the period in each of them. */
type Loop = (round: (index: number) => void) => Stop;

function loopOnTicks(makeClock?: () => Clock & AsyncDisposable): Loop {
  return (round) => {
    const clock = makeClock?.();
    const rounds = ticks(PERIOD, { clock, policy: "skip" });
    const loop = async () => {
      for await (const { index } of rounds) round(index);
    };
    const ended = loop();
    return async () => {
      await rounds.return();
      await ended;
      await clock?.[Symbol.asyncDispose]();
    };
  };
}

const loops: Record<string, Loop> = {
  "bare setInterval": (round) => {
    let index = 0;
    const timer = setInterval(() => round(index++), PERIOD);
    return () => clearInterval(timer);
  },
  "longrun ticks, system clock": loopOnTicks(),
  "longrun ticks, precise clock": loopOnTicks(preciseClock),
  "spinning": (round) => {
    let stopped = false;
    const loop = async () => {
      const begin = performance.now();
      let index = 0;
      while (!stopped) {
        const due = begin + index * PERIOD;
        while (performance.now() < due);
        round(index);
        index = Math.floor((performance.now() - begin) / PERIOD) + 1;
        // Otherwise nobody else would ever run.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    };
    const ended = loop();
    return () => {
      stopped = true;
      return ended;
    };
  },
};

const passed = (times: number[]): number =>
  (times.at(-1) ?? NaN) - (times[0] ?? NaN);

async function keepRate(loop: Loop): Promise<Measurement> {
  const times: number[] = [];
  const places: number[] = [];
  const stop = loop((index) => {
    times.push(performance.now());
    places.push(index * PERIOD);
  });
  // The first rounds also compile the code and start the helper.
  await settle(500);
  times.length = 0;
  places.length = 0;
  const before = process.cpuUsage();
  const began = performance.now();
  await settle(DURATION);
  const duration = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  await stop();
  const intervals = times.slice(1).map((time, index) =>
    time - (times[index] ?? NaN)
  );
  const deviations = intervals.map((interval) => Math.abs(interval - PERIOD));
  return {
    rounds: times.length / duration * DURATION,
    drift: passed(times) - passed(places),
    typical: percentile(deviations, 0.5),
    jitter: percentile(deviations, 0.99),
    load: (user + system) / 1000 / duration * 100,
  };
}

const cases: Case[] = Object.entries(loops).map(([name, loop]) => ({
  name,
  measure: () => keepRate(loop),
}));
for (const [name, { median }] of await alternate(cases, ROUNDS, 0)) {
  report("rate of 1 ms", name, median);
}
exit();
