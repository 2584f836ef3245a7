// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Subscription } from "./_subscription.ts";
import type { Clock } from "./clock.ts";
import { RunState, type StateChange } from "./run_state.ts";

/** How many transitions are kept for a slow consumer. */
const CAPACITY = 64;

/** The current state of a task, and those who follow it. */
export class StateLog {
  readonly #clock: Clock;
  #subscriptions: Set<Subscription<StateChange>> | undefined = undefined;
  #state: RunState = RunState.Stopped;
  #time: number;
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#time = clock.now();
  }

  get state(): RunState {
    return this.#state;
  }

  /** Enters a state, unless it is the current one. */
  enter(state: RunState): void {
    if (state === this.#state) return;
    this.#state = state;
    try {
      this.#time = this.#clock.now();
    } catch {
      // A clock that fails must not keep a task from ending.
    }
    if (this.#subscriptions === undefined) return;
    for (const subscription of this.#subscriptions) this.#tell(subscription);
  }

  /** Ends all iterations: no transition follows. */
  end(): void {
    this.#ended = true;
    if (this.#subscriptions === undefined) return;
    for (const subscription of this.#subscriptions) subscription.end();
  }

  /** The current state and every later one. */
  subscribe(signal?: AbortSignal): AsyncIterableIterator<StateChange> {
    const subscriptions = this.#subscriptions ??= new Set();
    const subscription: Subscription<StateChange> = new Subscription({
      capacity: CAPACITY,
      onClose: () => subscriptions.delete(subscription),
    });
    subscriptions.add(subscription);
    this.#tell(subscription);
    if (signal !== undefined) subscription.obey(signal);
    if (this.#ended) subscription.end();
    return subscription;
  }

  #tell(subscription: Subscription<StateChange>): void {
    const { dropped } = subscription;
    subscription.push({ state: this.#state, time: this.#time, dropped });
  }
}
