// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type AbortFanout, type AbortNode, fanoutOf } from "./_abort_fanout.ts";
import { Failure } from "./_failure.ts";
import { callHook } from "./_hooks.ts";
import { Latch } from "./_latch.ts";
import { Metronome, type Pace } from "./_metronome.ts";
import { isPromiseLike } from "./_promise_fanout.ts";
import { report } from "./_report.ts";
import { CancelScope, isCancellation, sleep } from "./cancellation.ts";
import type { Logger } from "./logger.ts";
import type { LoopFunction, LoopOutcome, LoopRound } from "./loop.ts";
import type { Deadline } from "./missed_loop_policy.ts";
import {
  type JoinOptions,
  RunState,
  type StopOptions,
  type StopOutcome,
} from "./run_state.ts";

/** What a loop does besides its rounds. Loops that say nothing share one. */
export interface LoopManners {
  readonly name: string;
  readonly grace: number;
  readonly logger: Logger;
  readonly onMissed: ((round: LoopRound) => unknown) | undefined;
  readonly onError: ((error: unknown) => unknown) | undefined;
  readonly onEnd: (() => unknown) | undefined;
}

/**
 * What a round is told. Its functions work without it, as those of an object
 * literal do, but cost nothing unless they are asked for.
 */
class Round implements LoopRound {
  readonly index: number;
  readonly scheduled: number;
  readonly late: number;
  readonly missed: number;
  readonly overrun: boolean;
  readonly round: number;
  readonly #loop: LoopCore;

  constructor(due: Deadline, late: number, round: number, loop: LoopCore) {
    this.index = due.index;
    this.scheduled = due.scheduled;
    this.late = late;
    this.missed = due.missed;
    this.overrun = due.overrun;
    this.round = round;
    this.#loop = loop;
  }

  get signal(): AbortSignal {
    return this.#loop.signal;
  }

  get sleep(): (ms: number) => Promise<void> {
    return (ms) => this.#loop.sleep(ms);
  }

  get stop(): (reason?: unknown) => void {
    return (reason) => this.#loop.abort(reason);
  }
}

/** What only loops have that somebody waits for, or that have failed. */
class Watched {
  readonly ended: Latch = new Latch();
  /** Opens when the loop has ended or was abandoned. */
  readonly over: Latch = new Latch();
  readonly failure: Failure = new Failure();
}

/**
 * The work behind a loop. It is its own node in the queue of timers, for its
 * next round or for its grace, and in its signal's list; what few loops need is
 * made when it is needed.
 */
export class LoopCore extends Metronome implements AbortNode {
  fanout: AbortFanout | undefined = undefined;
  previous: AbortNode | undefined = undefined;
  next: AbortNode | undefined = undefined;
  state: RunState = RunState.Starting;
  outcome: LoopOutcome | undefined = undefined;
  isAbandoned = false;
  rounds = 0;
  missed = 0;
  overruns = 0;
  worstLateness = 0;
  readonly #work: LoopFunction;
  readonly #manners: LoopManners;
  /** Whether a round is in flight. */
  #isBusy = false;
  #isAskedToStop = false;
  #scope: CancelScope | undefined = undefined;
  #reason: unknown = undefined;
  #watched: Watched | undefined = undefined;

  constructor(
    work: LoopFunction,
    period: number,
    first: number,
    signal: AbortSignal | undefined,
    pace: Pace,
    manners: LoopManners,
  ) {
    super(period, pace);
    this.#work = work;
    this.#manners = manners;
    if (signal?.aborted) this.#enterStopping(signal.reason);
    else if (signal !== undefined) fanoutOf(signal).add(this);
    // In a turn of its own: whoever starts a loop is never run into.
    queueMicrotask(() => this.#start(first));
  }

  get name(): string {
    return this.#manners.name;
  }

  get exception(): unknown {
    return this.outcome === "failed"
      ? this.#watched?.failure.look()
      : undefined;
  }

  get hasEnded(): boolean {
    return this.outcome !== undefined;
  }

  /** The signal of the rounds, made when somebody looks at it. */
  get signal(): AbortSignal {
    if (this.#scope === undefined) {
      this.#scope = new CancelScope();
      if (this.#isAskedToStop) this.#scope.abort(this.#reason);
    }
    return this.#scope.signal;
  }

  sleep(ms: number): Promise<void> {
    const { clock, ref } = this.pace;
    return sleep(ms, { signal: this.signal, clock, ref });
  }

  async stop(options: StopOptions): Promise<StopOutcome> {
    const { reason, grace = this.#manners.grace } = options;
    this.#askToStop(reason);
    if (this.hasEnded) return "stopped";
    const { clock } = this.pace;
    const ms = grace === Infinity ? undefined : grace;
    this.#watched ??= new Watched();
    if (await this.#watched.ended.wait({ ms, clock })) return "stopped";
    this.#abandon();
    return this.hasEnded ? "stopped" : "abandoned";
  }

  async join({ signal }: JoinOptions): Promise<void> {
    if (!this.hasEnded && !this.isAbandoned) {
      this.#watched ??= new Watched();
      await this.#watched.over.wait({ signal });
    }
    this.#watched?.failure.throwIfAny();
  }

  /** Asks to stop, as a signal does: nobody waits, but the grace is kept. */
  abort(reason: unknown): void {
    this.#askToStop(reason);
    if (this.hasEnded || this.isAbandoned || this.isWaiting) return;
    const { grace } = this.#manners;
    if (grace < Infinity) this.startTimer(grace, true);
  }

  override run(): void {
    if (this.#isAskedToStop) {
      this.#abandon();
      return;
    }
    try {
      super.run();
    } catch (error) {
      this.#fail(error);
    }
  }

  protected override beat(due: Deadline, late: number): void {
    const round = new Round(due, late, this.rounds, this);
    if (due.overrun) {
      this.#tellOverrun(round);
      if (this.hasEnded) return;
    }
    this.rounds++;
    this.missed += due.missed;
    this.worstLateness = Math.max(this.worstLateness, late);
    this.state = RunState.Running;
    this.#isBusy = true;
    const result = this.#work(round);
    if (isPromiseLike(result)) {
      Promise.resolve(result).then(
        () => this.#leaveRound(),
        (error) => this.#fail(error),
      );
    } else {
      this.#leaveRound();
    }
  }

  protected override terminate(late: number): void {
    this.overruns++;
    this.#log("warn", `was terminated: it was ${late} ms late`, { late });
    this.#end("terminated");
  }

  #start(first: number): void {
    if (this.hasEnded) return;
    if (this.#isAskedToStop) this.#end("stopped");
    else this.#proceed(first);
  }

  #leaveRound(): void {
    this.#isBusy = false;
    if (this.#isAskedToStop) this.#end("stopped");
    else this.#proceed();
  }

  #proceed(first?: number): void {
    try {
      this.awaitBeat(first);
    } catch (error) {
      this.#fail(error);
    }
  }

  #tellOverrun(round: Round): void {
    this.overruns++;
    const { late, missed } = round;
    if (missed > 0) this.#log("debug", `missed ${missed} rounds`, { late });
    const { onMissed } = this.#manners;
    if (onMissed !== undefined) {
      this.#callHook("onMissed", () => onMissed(round));
    }
  }

  #askToStop(reason: unknown): void {
    if (this.hasEnded || this.#isAskedToStop) return;
    this.#enterStopping(reason);
    this.#scope?.abort(reason);
    if (!this.#isBusy) this.#end("stopped");
  }

  #enterStopping(reason: unknown): void {
    this.cancel();
    this.fanout?.delete(this);
    this.state = RunState.Stopping;
    this.#isAskedToStop = true;
    this.#reason = reason;
  }

  #abandon(): void {
    if (this.hasEnded || this.isAbandoned) return;
    this.isAbandoned = true;
    this.cancel();
    this.#log("warn", "was abandoned: it did not end when stopped", {});
    this.#tellOver();
  }

  #fail(error: unknown): void {
    if (isCancellation(error, this.signal)) {
      this.#end("stopped");
      return;
    }
    this.#settle("failed");
    const { failure } = this.#watched ??= new Watched();
    const { onError } = this.#manners;
    if (onError !== undefined) {
      failure.see();
      this.#callHook("onError", () => onError(error));
    }
    failure.record(
      { error },
      (error) => this.#log("error", "failed", { error }),
    );
    if (!this.isAbandoned) this.#tellOver();
  }

  #end(outcome: LoopOutcome): void {
    this.#settle(outcome);
    if (!this.isAbandoned) this.#tellOver();
  }

  #settle(outcome: LoopOutcome): void {
    this.#isBusy = false;
    this.cancel();
    this.fanout?.delete(this);
    this.outcome = outcome;
    this.state = outcome === "failed" ? RunState.Errored : RunState.Stopped;
    this.#watched?.ended.open();
  }

  #tellOver(): void {
    this.#watched?.over.open();
    const { onEnd } = this.#manners;
    if (onEnd !== undefined) this.#callHook("onEnd", onEnd);
  }

  #callHook(name: string, hook: () => unknown): void {
    callHook(
      hook,
      (error) =>
        this.#log("error", `has an ${name} hook that failed`, { error }),
    );
  }

  #log(
    level: "debug" | "warn" | "error",
    what: string,
    details: Record<string, unknown>,
  ): void {
    const { name, logger } = this.#manners;
    report(logger, level, `Loop '${name}' ${what}`, { loop: name, ...details });
  }
}
