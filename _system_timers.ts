// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type TimerNode, TimerQueue } from "./_timer_queue.ts";

type SetTimeout = (callback: () => void, delay: number) => unknown;

// Whoever fakes time replaces these globals, mostly after this module was
// loaded. They are read again at each use and compared with the genuine ones.
const genuineSetTimeout = globalThis.setTimeout;
const genuineNow = performance.now.bind(performance);
const GenuineDate = globalThis.Date;

// A whole number, so that a faked `Date` gives whole milliseconds and a timer
// is due exactly when the fake says so.
const origin = Math.floor(performance.timeOrigin);

/** The time of the system clock in milliseconds. */
export function systemNow(): number {
  // `FakeTime` of @std/testing fakes `Date` and timers, not `performance.now`.
  if (
    globalThis.setTimeout !== genuineSetTimeout &&
    globalThis.Date !== GenuineDate
  ) {
    return Date.now() - origin;
  }
  return genuineNow();
}

/** Lets the process end although the timer waits, where there is a process. */
function unref(timer: unknown): void {
  if (typeof timer === "object" && timer !== null) {
    (timer as { unref?: () => void }).unref?.();
  } else {
    // Deno before 2.9 has numeric timers.
    const { Deno } = globalThis as {
      Deno?: { unrefTimer?: (timer: unknown) => void };
    };
    Deno?.unrefTimer?.(timer);
  }
}

let coarseDate = NaN;
let coarseTime = 0;

/**
 * The time of the system clock or up to a millisecond more: what is counted
 * from it comes never early. On Deno this costs half of the exact time, which
 * matters where it is read for every item.
 */
export function coarseSystemNow(): number {
  if (globalThis.setTimeout !== genuineSetTimeout) return systemNow();
  const date = Date.now();
  if (date !== coarseDate) {
    coarseDate = date;
    coarseTime = genuineNow() + 1;
  }
  return coarseTime;
}

/** The queues of one pair of timer globals: the genuine or a faked one. */
class TimerWorld {
  readonly setTimeout: typeof globalThis.setTimeout;
  readonly keepingAlive: TimerQueue;
  readonly unreferenced: TimerQueue;

  constructor(now: () => number) {
    const { setTimeout, clearTimeout } = globalThis;
    this.setTimeout = setTimeout;
    const start = setTimeout as unknown as SetTimeout;
    const end = clearTimeout as unknown as (timer: unknown) => void;
    this.keepingAlive = new TimerQueue({
      now,
      start: (callback, delay) => start(callback, delay),
      end: (timer) => end(timer),
    });
    this.unreferenced = new TimerQueue({
      now,
      start: (callback, delay) => {
        const timer = start(callback, delay);
        unref(timer);
        return timer;
      },
      end: (timer) => end(timer),
    });
  }
}

// Kept for ever: its timers go on in genuine time while time is faked.
const genuineWorld = new TimerWorld(genuineNow);

function currentWorld(): TimerWorld {
  // A faked timer gets a queue of its own. A shared one would wait for ever
  // once its platform timer has gone with the fake, and the next fake may well
  // install the same functions.
  return globalThis.setTimeout === genuineWorld.setTimeout
    ? genuineWorld
    : new TimerWorld(systemNow);
}

/** Starts a node on the system clock. Returns the queue to delete it from. */
export function startSystemTimer(
  node: TimerNode,
  delay: number,
  ref: boolean,
): TimerQueue {
  const world = currentWorld();
  const queue = ref ? world.keepingAlive : world.unreferenced;
  queue.add(node, delay);
  return queue;
}
