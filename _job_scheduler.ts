// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { Group, Tree } from "./_job_groups.ts";
import type { Leaf } from "./_job_leaf.ts";
import { Line } from "./_job_line.ts";

/** A job that waits for its first place. */
export interface Waiting {
  /** Whether it stands in the queue. Written by the queue, as are the others. */
  isQueued: boolean;
  /** The one before it. */
  before: Waiting | undefined;
  /** The one after it. */
  after: Waiting | undefined;
  /** It is its turn. */
  begin(): Tree;
}

/**
 * Jobs in the order they came, which leave from anywhere. A `Set` would do, but
 * one whose iterator lives long keeps what was deleted.
 */
class Queue {
  first: Waiting | undefined = undefined;
  #last: Waiting | undefined = undefined;

  add(job: Waiting): void {
    job.isQueued = true;
    job.before = this.#last;
    if (this.#last === undefined) this.first = job;
    else this.#last.after = job;
    this.#last = job;
  }

  delete(job: Waiting): void {
    if (!job.isQueued) return;
    job.isQueued = false;
    const { before, after } = job;
    if (before === undefined) this.first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    job.before = undefined;
    job.after = undefined;
  }
}

/**
 * Gives places to calls: to those of the earliest tree first, and within a tree
 * to the first in its order. Only calls have places, and no call waits for
 * another: so there is always one that runs, or one that can start.
 */
export class Scheduler {
  readonly #limit: number;
  readonly #waiting: Queue = new Queue();
  /** Trees of which something has begun, and more may. */
  readonly #open: Line = new Line();
  #running = 0;
  /** Whether nothing can start before something else happens. */
  #isQuiet = true;
  #isFilling = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many calls run. */
  get running(): number {
    return this.#running;
  }

  /** Takes a job. Its calls start now, or when there are places. */
  enter(job: Waiting): void {
    this.#waiting.add(job);
    this.#isQuiet = false;
    this.fill();
  }

  /** Forgets a job that waits no more. */
  forget(job: Waiting): void {
    this.#waiting.delete(job);
  }

  /** Whether no other tree that has begun waits for a place. */
  isFirst(trunk: Group): boolean {
    if (this.#isQuiet) return true;
    const { first } = this.#open;
    return first === undefined || first === trunk;
  }

  /** Notes that a tree may have a call to start. */
  list(trunk: Group): void {
    this.#open.add(trunk);
    this.#isQuiet = false;
  }

  /** A call has given up its place. */
  release(): void {
    this.#running--;
  }

  /** Starts what can start. */
  fill(): void {
    if (this.#isQuiet || this.#isFilling) return;
    this.#isFilling = true;
    for (let leaf = this.#take(); leaf !== undefined; leaf = this.#take()) {
      this.#work(leaf);
    }
    this.#isFilling = false;
  }

  /** Starts a call that has a place already. */
  start(leaf: Leaf): void {
    this.#work(leaf);
  }

  /** Runs calls, one after the other, as long as there are any to start. */
  async #work(first: Leaf): Promise<void> {
    for (let leaf: Leaf | undefined = first; leaf !== undefined;) {
      const { tree, isAborted }: Group = leaf.parent;
      if (isAborted) {
        leaf = tree.skip(leaf) ?? this.#take();
        continue;
      }
      let isWell = true;
      let result: unknown;
      try {
        const promise = leaf.call();
        this.fill();
        result = await promise;
      } catch (error) {
        isWell = false;
        result = error;
      }
      leaf = tree.end(leaf, isWell, result) ?? this.#take();
    }
  }

  #take(): Leaf | undefined {
    if (this.#running >= this.#limit) return undefined;
    const open = this.#open;
    for (let trunk = open.first; trunk !== undefined; trunk = open.first) {
      const leaf = trunk.take();
      if (leaf !== undefined) return this.#count(leaf);
      open.shift();
      trunk.tree.settle();
    }
    const waiting = this.#waiting;
    for (let job = waiting.first; job !== undefined; job = waiting.first) {
      waiting.delete(job);
      const tree = job.begin();
      const leaf = tree.trunk.take();
      if (leaf !== undefined) {
        if (tree.trunk.isOpen) open.add(tree.trunk);
        return this.#count(leaf);
      }
      tree.settle();
    }
    this.#isQuiet = open.isEmpty;
    return undefined;
  }

  #count(leaf: Leaf): Leaf {
    this.#running++;
    // A group of no calls on the way may have been the last of one that failed.
    leaf.parent.tree.settle();
    return leaf;
  }
}
