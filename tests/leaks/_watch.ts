// Copyright 2026 the Longrun authors. MIT license.

import process from "node:process";
import { setTimeout as setNodeTimeout } from "node:timers";

interface Collectors {
  gc?: () => void;
  Bun?: { gc(force: boolean): void };
}

/** One turn of the event loop, without a timer. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

/** The bytes on the heap after everything that can go has gone. */
export async function heap(): Promise<number> {
  const { gc, Bun } = globalThis as Collectors;
  for (let time = 0; time < 3; time++) {
    await turn();
    if (Bun !== undefined) Bun.gc(true);
    else if (gc !== undefined) gc();
    else throw new Error("Cannot collect garbage: run with --expose-gc");
  }
  return process.memoryUsage().heapUsed;
}

/** Prints how a check went; a failed one fails the process. */
export function check(name: string, holds: boolean, figures: string): void {
  console.log(`${holds ? "ok" : "FAILED"} ${name}: ${figures}`);
  if (!holds) process.exitCode = 1;
}

/** Checks that nothing is left. */
export function checkNone(name: string, left: number): void {
  check(name, left === 0, `${left} left`);
}

/**
 * Makes checks that do something in rounds and look whether the heap grows.
 * The first round is not counted: what is made once is made in it. Of the
 * others the middle one counts: tables that double and engines that compile let
 * the heap step up or down now and then, a leak lets it grow always.
 *
 * @param count How many things a round makes.
 * @param allowed How many bytes a thing may leave: what the heap wavers by.
 */
export function inRounds(
  count: number,
  allowed: number,
): (name: string, round: () => Promise<void>) => Promise<void> {
  return async (name, round) => {
    await round();
    const growths: number[] = [];
    let before = await heap();
    for (let time = 0; time < 3; time++) {
      await round();
      const after = await heap();
      growths.push((after - before) / count);
      before = after;
    }
    const each = growths.toSorted((a, b) => a - b)[1] ?? NaN;
    const figures = growths.map((growth) => growth.toFixed(2)).join(", ");
    check(name, each <= allowed, `${figures} bytes each`);
  };
}

/**
 * Checks, when everything else is over, that the process ends: a timer that
 * does not count comes to pass only if something else keeps the process. It
 * takes many, one after the other: a process that is held up for long is late
 * for one of them, and one that is kept comes to the last.
 */
export function checkEnd(): void {
  let left = 50;
  const wait = (): void => {
    const timer = setNodeTimeout(() => {
      if (--left > 0) return wait();
      check("the process ends by itself", false, "kept for half a second");
      process.exit(1);
    }, 10);
    timer.unref();
  };
  wait();
  process.once("exit", (code) => {
    if (code === 0) check("the process ends by itself", true, "at once");
  });
}
