// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type AbortFanout, type AbortNode, fanoutOf } from "./_abort_fanout.ts";
import { Metronome, type Pace } from "./_metronome.ts";
import type { Deadline } from "./missed_loop_policy.ts";
import type { Tick } from "./ticks.ts";

type TickResult = IteratorResult<Tick, undefined>;

/** The answer after the last tick. */
export const END: TickResult = Object.freeze({ done: true, value: undefined });

/** Answers requests with beats, one at a time: the work behind `ticks()`. */
export class Ticker extends Metronome implements AbortNode {
  fanout: AbortFanout | undefined = undefined;
  previous: AbortNode | undefined = undefined;
  next: AbortNode | undefined = undefined;
  readonly #first: number;
  readonly #signal: AbortSignal | undefined;
  #request: PromiseWithResolvers<TickResult> | undefined = undefined;
  #failure: { reason: unknown } | undefined = undefined;
  #isOver = false;
  #isTerminated = false;

  constructor(
    period: number,
    pace: Pace,
    first: number,
    signal?: AbortSignal,
  ) {
    super(period, pace);
    this.#first = first;
    this.#signal = signal;
  }

  get isTerminated(): boolean {
    return this.#isTerminated;
  }

  request(): Promise<TickResult> {
    if (this.#request !== undefined) {
      return this.#request.promise.then(() => this.request());
    }
    if (this.#failure !== undefined) {
      const { reason } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(reason);
    }
    if (this.#isOver) return Promise.resolve(END);
    const request = this.#request = Promise.withResolvers<TickResult>();
    if (!this.hasBegun) this.#watchSignal();
    if (!this.#isOver) this.awaitBeat(this.#first);
    return request.promise;
  }

  close(): void {
    this.#failure = undefined;
    this.#end()?.resolve(END);
  }

  /** The signal's call. */
  abort(reason: unknown): void {
    const request = this.#end();
    if (request === undefined) this.#failure = { reason };
    else request.reject(reason);
  }

  protected override beat(due: Deadline, late: number): void {
    const request = this.#request;
    if (request === undefined) return;
    this.#request = undefined;
    const { index, scheduled, missed, overrun } = due;
    const value: Tick = { index, scheduled, late, missed, overrun };
    request.resolve({ done: false, value });
  }

  protected override terminate(): void {
    this.#isTerminated = true;
    this.close();
  }

  #watchSignal(): void {
    const signal = this.#signal;
    if (signal?.aborted) this.abort(signal.reason);
    else if (signal !== undefined) fanoutOf(signal).add(this);
  }

  /** Ends the ticks. Returns the request that waits, if there is one. */
  #end(): PromiseWithResolvers<TickResult> | undefined {
    const request = this.#request;
    this.#isOver = true;
    this.#request = undefined;
    this.cancel();
    this.fanout?.delete(this);
    return request;
  }
}
