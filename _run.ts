// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkNonNegative, checkOptions } from "./_arguments.ts";
import { Latch } from "./_latch.ts";
import { LazySignal } from "./_lazy_signal.ts";
import { isCancellation, onAbort } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { StopOptions, StopOutcome } from "./run_state.ts";

/** How long a stop waits for the work to end, in milliseconds. */
export const DEFAULT_GRACE = 5000;

/** Checks the options of a stop before anything is stopped. */
export function checkStopOptions(action: string, options: StopOptions): void {
  checkOptions(action, options);
  const { grace = DEFAULT_GRACE } = options;
  checkNonNegative(action, "grace", grace);
}

/** More turns of the microtask queue than an idle loop takes to end. */
export const TURNS = 12;

/** Waits for what needs no time, and tells whether the latch is open then. */
async function opensSoon(latch: Latch): Promise<boolean> {
  for (let turn = 0; turn < TURNS && !latch.isOpen; turn++) await undefined;
  return latch.isOpen;
}

/** Waits until a latch opens, and tells whether it has within the grace. */
async function opensWithin(
  grace: number,
  latch: Latch,
  clock: Clock,
): Promise<boolean> {
  if (grace === Infinity) return await latch.wait();
  // Whoever brings a clock may look for the timer on it.
  if (clock !== systemClock || grace === 0) {
    return await latch.wait({ ms: grace, clock });
  }
  // Most work ends at once: a timer would be half of what its stop costs.
  const deadline = clock.now() + grace;
  if (await opensSoon(latch)) return true;
  const ms = deadline - clock.now();
  // Time that is faked may have passed meanwhile, and stand still from now on.
  if (ms > 0 && await latch.wait({ ms, clock })) return true;
  // A timer that is late comes together with those that the work waits for.
  return await opensSoon(latch);
}

/** What the owner of a {@linkcode Run} is told. Each is called at most once. */
export interface RunHooks {
  /** The first line of the work is reached. */
  onStart: () => void;
  /** The work is asked to stop. */
  onStopping: (reason: unknown) => void;
  /** The work has ended, with an error unless it is `undefined`. */
  onEnd: (failure: { error: unknown } | undefined) => void;
  /** A stop has given up. */
  onAbandon: () => void;
}

/**
 * One execution of some work: started when it is made, stopped any number of
 * times, ended once.
 */
export class Run {
  readonly #stopping: LazySignal = new LazySignal();
  readonly #ended: Latch = new Latch();
  /** Opens when the work has ended or was abandoned. */
  readonly #over: Latch = new Latch();
  readonly #clock: Clock;
  readonly #hooks: RunHooks;
  readonly #grace: number;
  #forgetParents: (() => void)[] | undefined = undefined;
  #abandoned = false;
  #isStopping = false;

  constructor(
    work: (stopping: LazySignal) => unknown,
    parents: readonly (AbortSignal | undefined)[],
    grace: number | undefined,
    clock: Clock,
    hooks: RunHooks,
  ) {
    this.#grace = grace ?? DEFAULT_GRACE;
    this.#clock = clock;
    this.#hooks = hooks;
    // The work begins in a turn of its own: whoever starts it is never run
    // into, and a stop that comes first finds nothing to undo.
    queueMicrotask(() => this.#begin(work));
    for (const parent of parents) {
      if (parent === undefined) continue;
      const forget = onAbort(parent, (reason) => {
        this.#obey(reason);
      });
      (this.#forgetParents ??= []).push(forget);
    }
  }

  get hasEnded(): boolean {
    return this.#ended.isOpen;
  }

  get isAbandoned(): boolean {
    return this.#abandoned;
  }

  get isStopping(): boolean {
    return this.#stopping.aborted && !this.hasEnded;
  }

  async stop(options: StopOptions): Promise<StopOutcome> {
    const { reason, grace = this.#grace } = options;
    if (this.hasEnded) return "stopped";
    this.#abort(reason);
    if (await opensWithin(grace, this.#ended, this.#clock)) return "stopped";
    this.#abandon();
    return this.hasEnded ? "stopped" : "abandoned";
  }

  /** Stops because the signal says so: nobody waits, but the grace is kept. */
  async #obey(reason: unknown): Promise<void> {
    this.#abort(reason);
    // A clock that fails leaves no time for grace.
    const over = opensWithin(this.#grace, this.#over, this.#clock)
      .catch(() => false);
    if (!await over) this.#abandon();
  }

  /** Gives up, unless the work has ended just now. */
  #abandon(): void {
    if (this.#abandoned || this.hasEnded) return;
    this.#abandoned = true;
    this.#over.open();
    this.#hooks.onAbandon();
  }

  #abort(reason: unknown): void {
    if (this.#isStopping || this.hasEnded) return;
    this.#isStopping = true;
    this.#forget();
    this.#hooks.onStopping(reason);
    this.#stopping.abort(reason);
  }

  #forget(): void {
    const forgets = this.#forgetParents;
    this.#forgetParents = undefined;
    if (forgets !== undefined) { for (const forget of forgets) forget(); }
  }

  async #begin(work: (stopping: LazySignal) => unknown): Promise<void> {
    let failure: { error: unknown } | undefined;
    if (!this.#stopping.aborted) {
      try {
        this.#hooks.onStart();
        await work(this.#stopping);
      } catch (error) {
        if (!isCancellation(error, this.#stopping.signal)) failure = { error };
      }
    }
    this.#forget();
    this.#ended.open();
    this.#over.open();
    this.#hooks.onEnd(failure);
  }
}
