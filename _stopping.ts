// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type AbortFanout, fanoutOf } from "./_abort_fanout.ts";
import { checkNonNegative } from "./_arguments.ts";
import { LazySignal } from "./_lazy_signal.ts";
import { sleepWithin } from "./_sleep.ts";
import { sleep } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { TaskHost } from "./task.ts";

/** A host of this package, which needs no signal to tell of a stop. */
export interface QuietHost extends TaskHost {
  /** Aborts when the task is to stop. */
  readonly stopping: LazySignal;
}

function stoppingOf(host: TaskHost): LazySignal | undefined {
  const { stopping } = host as Partial<QuietHost>;
  return stopping instanceof LazySignal ? stopping : undefined;
}

/** Who is told when the task of a host is to stop. */
export function stopWaitersOf(host: TaskHost): AbortFanout {
  return stoppingOf(host)?.waiters ?? fanoutOf(host.signal);
}

/** Sleeps, at most until the task of a host is to stop. */
export function sleepOf(
  host: TaskHost,
  ms: number,
  clock: Clock,
): Promise<void> {
  const stopping = stoppingOf(host);
  if (stopping === undefined) return sleep(ms, { signal: host.signal, clock });
  try {
    checkNonNegative("sleep", "ms", ms);
  } catch (error) {
    return Promise.reject(error);
  }
  if (stopping.aborted) return Promise.reject(stopping.reason);
  return sleepWithin({ waiters: stopping.waiters, ms, clock });
}
