// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { callHook } from "./_hooks.ts";
import { type JobFailure, placeOf } from "./_job_error.ts";
import { type Group, newGroup, type Tree } from "./_job_groups.ts";
import { Leaf } from "./_job_leaf.ts";
import type { Scheduler } from "./_job_scheduler.ts";
import { GroupValue, type JobValue, SEQUENTIAL } from "./_job_value.ts";
import type { LazySignal } from "./_lazy_signal.ts";
import { report } from "./_report.ts";
import { TURNS } from "./_run.ts";
import { isCancellation } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** How a tree behaves, and who is told. */
export interface TreeManner {
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long calls have to end when a job beside them has failed. */
  readonly grace: number;
  /** More is done than before. */
  readonly onProgress: (() => void) | undefined;
  /** Nothing runs any more but what was abandoned. */
  readonly onOver: () => void;
  /** Nothing runs any more. */
  readonly onEnd: () => void;
}

function* runningBelow(group: Group): Generator<Leaf> {
  for (const child of group.active()) {
    if (child instanceof Leaf) yield child;
    else yield* runningBelow(child);
  }
}

/**
 * One run of a job. Its nodes come to be as its parts begin.
 *
 * ```text
 * JobValue ---submit()---> Execution       what the user holds: stop, done
 *  made once                   |
 *                           JobTree        counts, failures, progress, grace
 *                              |
 *                            Group         what may begin next, how it ended
 *                            /   \
 *                         Leaf   Group     ...
 *                           |
 * JobExecutor ----------> Scheduler        places for the calls of all trees
 * ```
 */
export class JobTree implements Tree {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trunk: Group;
  readonly failures: JobFailure[] = [];
  listed = 0;
  readonly #manner: TreeManner;
  readonly #scheduler: Scheduler;
  readonly #size: number;
  /** How many calls have completed. */
  #completed = 0;
  /** How much those have done that have not. */
  #parts = 0;
  #progress = 0;
  /** How many abandoned calls have not ended. */
  #hanging = 0;
  #hasAbandoned = false;
  #isOver = false;
  /** What has to wait until the tree is in order. */
  #later: (() => void)[] = [];
  /** What ends the wait for calls that do not end when aborted. */
  #graces: Map<Group, () => void> | undefined = undefined;

  /**
   * Makes a tree, of which nothing runs yet.
   *
   * @param order Which tree it is of those of the scheduler.
   */
  constructor(
    job: JobValue,
    order: number,
    scope: LazySignal,
    scheduler: Scheduler,
    manner: TreeManner,
  ) {
    this.clock = manner.clock;
    this.logger = manner.logger;
    this.#manner = manner;
    this.#scheduler = scheduler;
    this.#size = job.size;
    const value = new GroupValue(SEQUENTIAL, [job]);
    this.trunk = newGroup(this, undefined, order, value, scope);
  }

  get isFirst(): boolean {
    const { trunk } = this;
    return this.listed === (trunk.isListed ? 1 : 0) &&
      this.#scheduler.isFirst(trunk);
  }

  /** Whether something in it was abandoned. */
  get hasAbandoned(): boolean {
    return this.#hasAbandoned;
  }

  /** Whether something goes on although nobody waits for it any more. */
  get isHanging(): boolean {
    return this.#hanging > 0;
  }

  /** How much is done, from 0 to 1. Nothing is all of it only in the end. */
  get progress(): number {
    const isAll = this.#completed === this.#size &&
      (this.#size > 0 || (this.#isOver && this.trunk.outcome === "completed"));
    const share = isAll ? 1 : (this.#completed + this.#parts) / this.#size;
    // Sums of fractions may be off by a hair.
    this.#progress = Math.min(Math.max(this.#progress, share || 0), 1);
    return this.#progress;
  }

  advance(part: number): void {
    this.#parts += part;
    this.#manner.onProgress?.();
  }

  abortLater(scope: LazySignal, reason: unknown): void {
    this.#later.push(() => scope.abort(reason));
  }

  breakOff(group: Group): void {
    group.abort(group.error);
    const { grace } = this.#manner;
    if (group.isOver || grace === Infinity) return;
    callHook(
      () => {
        const cancel = this.clock.setTimer(
          () => this.#abandonSoon(group),
          grace,
        );
        (this.#graces ??= new Map()).set(group, cancel);
      },
      // A clock that fails leaves no time for grace.
      () => this.#later.push(() => this.abandon(group)),
    );
  }

  /** Aborts everything. */
  abort(reason: unknown): void {
    this.trunk.abort(reason);
    this.settle();
  }

  /** Waits no more for the calls that run, and gives their places to others. */
  abandon(group: Group): void {
    const freed: Leaf[] = [];
    for (const leaf of [...runningBelow(group)]) {
      if (leaf.outcome !== undefined) continue;
      leaf.outcome = "abandoned";
      this.#hasAbandoned = true;
      this.#hanging++;
      this.#log("warn", leaf, "was abandoned: it did not end when stopped");
      leaf.parent.miss(leaf);
      const next = this.#release(leaf.parent);
      if (next !== undefined) freed.push(next);
    }
    for (const leaf of freed) this.#scheduler.start(leaf);
    this.#scheduler.fill();
  }

  async #abandonSoon(group: Group): Promise<void> {
    // A timer that is late comes together with those that the calls wait for.
    for (let turn = 0; turn < TURNS && !group.isOver; turn++) await undefined;
    this.abandon(group);
  }

  end(leaf: Leaf, isWell: boolean, result: unknown): Leaf | undefined {
    if (leaf.outcome !== undefined) {
      this.#endLate(leaf, isWell, result);
      return undefined;
    }
    const { parent } = leaf;
    let next: Leaf | undefined;
    if (isWell) {
      leaf.outcome = "completed";
      this.#completed++;
      if (leaf.done > 0) this.#parts -= leaf.done;
      next = parent.complete(leaf, result);
    } else {
      this.#fail(leaf, result);
    }
    next ??= this.#release(parent);
    if (isWell) this.#manner.onProgress?.();
    return next;
  }

  skip(leaf: Leaf): Leaf | undefined {
    if (leaf.outcome !== undefined) {
      this.#endLate(leaf, true, undefined);
      return undefined;
    }
    leaf.outcome = "stopped";
    leaf.parent.miss(leaf);
    return this.#release(leaf.parent);
  }

  settle(): void {
    while (this.#later.length > 0) {
      const actions = this.#later;
      this.#later = [];
      for (const action of actions) action();
    }
    if (this.#isOver || !this.trunk.isOver) return;
    this.#isOver = true;
    this.#manner.onOver();
    if (!this.isHanging) this.#manner.onEnd();
  }

  #fail(leaf: Leaf, error: unknown): void {
    if (this.#isEcho(leaf, error)) {
      leaf.outcome = "stopped";
    } else {
      leaf.outcome = "failed";
      leaf.error = error;
      this.failures.push({ ...placeOf(leaf), error });
    }
    leaf.parent.miss(leaf);
  }

  #isEcho({ parent: { owner } }: Leaf, error: unknown): boolean {
    return owner.isAborted && isCancellation(error, owner.signal);
  }

  #endLate(leaf: Leaf, isWell: boolean, result: unknown): void {
    if (!isWell && !this.#isEcho(leaf, result)) {
      this.#log("error", leaf, "failed after it was abandoned", result);
    }
    this.#hanging--;
    if (this.#isOver && !this.isHanging) this.#manner.onEnd();
  }

  /**
   * A call right below the group runs no more. May give another one for its
   * place.
   */
  #release(group: Group): Leaf | undefined {
    for (let node = group;;) {
      node.running--;
      const { parent } = node;
      if (parent === undefined) break;
      if (node.isOver) {
        this.#forgetGrace(node);
        parent.close(node);
        const next = parent.goOn();
        if (next !== undefined) {
          this.settle();
          return next;
        }
      } else if (node.isOpen) parent.list(node);
      node = parent;
    }
    this.#scheduler.release();
    if (this.trunk.isOpen) this.#scheduler.list(this.trunk);
    this.settle();
    return undefined;
  }

  #forgetGrace(group: Group): void {
    const cancel = this.#graces?.get(group);
    if (cancel === undefined) return;
    this.#graces?.delete(group);
    callHook(cancel, () => {});
  }

  #log(
    level: "warn" | "error",
    leaf: Leaf,
    what: string,
    ...[error]: unknown[]
  ): void {
    const { name } = this.#manner;
    const { path, where } = placeOf(leaf);
    const call = where === "" ? "The call" : `Call ${where}`;
    const sentence = `${call} of job '${name}' ${what}`;
    const details = { job: name, path };
    report(
      this.logger,
      level,
      sentence,
      error === undefined ? details : { ...details, error },
    );
  }
}
