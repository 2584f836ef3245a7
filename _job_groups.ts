// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type JobOutcome, Leaf } from "./_job_leaf.ts";
import { Line } from "./_job_line.ts";
import { CallValue, GroupValue, type JobValue } from "./_job_value.ts";
import { LazySignal } from "./_lazy_signal.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

const badness = { completed: 0, stopped: 1, abandoned: 2, failed: 3 };

/** What the nodes of a tree, and those who run its calls, ask of it. */
export interface Tree {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trunk: Group;
  /** How many of its groups stand in a line. */
  listed: number;
  /** Whether no group of any tree waits that comes before its own. */
  readonly isFirst: boolean;
  /** Some more of a call that is going on is done. */
  advance(part: number): void;
  /** Aborts the scope when the tree is in order again. */
  abortLater(scope: LazySignal, reason: unknown): void;
  /** Aborts what a failure has made useless. */
  breakOff(group: Group): void;
  /** A call has ended. May give another call for its place. */
  end(leaf: Leaf, isWell: boolean, result: unknown): Leaf | undefined;
  /** A call was taken and not called, because it was aborted in between. */
  skip(leaf: Leaf): Leaf | undefined;
  /** Does what had to wait until the tree is in order. */
  settle(): void;
}

/**
 * One run of a group. It begins its jobs when somebody takes calls from it, and
 * holds nobody's place: only calls do.
 */
export abstract class Group {
  readonly tree: Tree;
  readonly parent: Group | undefined;
  readonly index: number;
  readonly job: GroupValue;
  /** The results of those of its jobs that have completed. */
  readonly values: unknown[];
  /** How many of its jobs have begun. */
  next = 0;
  /** How many calls below it run. */
  running = 0;
  /** Whether it stands in the line of its parent. */
  isListed = false;
  isAborted = false;
  /** Whether its parent knows that it is over. */
  isClosed = false;
  /** The first error below it. */
  error: unknown = undefined;
  /** Why it was aborted. */
  reason: unknown = undefined;
  protected worst: JobOutcome = "completed";
  #scope: LazySignal | undefined;

  constructor(
    tree: Tree,
    parent: Group | undefined,
    index: number,
    job: GroupValue,
    scope?: LazySignal,
  ) {
    this.tree = tree;
    this.parent = parent;
    this.index = index;
    this.job = job;
    this.values = new Array(job.length);
    this.#scope = scope;
  }

  /** Whether a failure in it aborts what is below it, and nothing else. */
  protected abstract get hasSignal(): boolean;

  /** Whether nothing below it runs or will run. */
  abstract get isOver(): boolean;

  /** Whether it has a call to start, as far as it knows. */
  abstract get isOpen(): boolean;

  /** A job of it that runs or has not completed. */
  abstract child(index: number): Leaf | Group | undefined;

  /** Its jobs that run. */
  abstract active(): (Leaf | Group)[];

  /** The first call that may start now, which counts as running then. */
  abstract take(): Leaf | undefined;

  /** Notes that a group below it may have a call to start. */
  abstract list(group: Group): void;

  /** Takes note of a call's result. May give another call for its place. */
  abstract complete(leaf: Leaf, value: unknown): Leaf | undefined;

  /** Takes note of a call that has not completed. */
  abstract miss(leaf: Leaf): void;

  /** Takes note of a group that is over. */
  protected abstract note(group: Group): void;

  /**
   * Begins the next job, if all it has to start is one call: for a place that
   * was just given up, when nobody waits who would come first.
   */
  abstract goOn(): Leaf | undefined;

  /** The group whose signal the calls right below it see. */
  get owner(): Group {
    const { parent } = this;
    return parent === undefined || this.hasSignal ? this : parent.owner;
  }

  /** How it has ended, once it is over. */
  get outcome(): JobOutcome {
    const isCut = this.worst === "completed" && this.next < this.job.length;
    return isCut ? "stopped" : this.worst;
  }

  /** Aborts when the group does. Made when it is asked for. */
  get signal(): AbortSignal {
    if (this.#scope === undefined) {
      this.#scope = new LazySignal();
      if (this.isAborted) this.#scope.abort(this.reason);
    }
    return this.#scope.signal;
  }

  /** Begins nothing any more, and tells those that run. */
  abort(reason: unknown): void {
    if (this.isAborted || this.isOver) return;
    this.isAborted = true;
    this.reason = reason;
    if (this.#scope !== undefined) this.tree.abortLater(this.#scope, reason);
    for (const child of this.active()) {
      if (child instanceof Leaf) continue;
      child.abort(reason);
      if (child.isOver) this.close(child);
    }
  }

  /** Takes note of a group that is over. Done once. */
  close(group: Group): void {
    group.isClosed = true;
    this.note(group);
  }

  protected begin(index: number): Leaf | Group {
    const job = this.job.at(index) as JobValue;
    return job instanceof CallValue
      ? new Leaf(this, index)
      : newGroup(this.tree, this, index, job as GroupValue);
  }

  protected takeFrom(group: Group): Leaf | undefined {
    const leaf = group.take();
    if (leaf !== undefined) this.running++;
    else if (group.isOver && !group.isClosed) this.close(group);
    return leaf;
  }

  protected remember(outcome: JobOutcome, error: unknown): void {
    if (badness[outcome] <= badness[this.worst]) return;
    this.worst = outcome;
    if (outcome === "failed") this.error = error;
  }
}

class Sequence extends Group {
  /** The job that runs, or that was the last. */
  #current: Leaf | Group | undefined = undefined;
  #isBusy = false;

  protected override get hasSignal(): boolean {
    return false;
  }

  override get isOver(): boolean {
    return !this.#isBusy &&
      (this.next >= this.job.length || this.isAborted ||
        this.worst !== "completed");
  }

  override get isOpen(): boolean {
    return this.#isBusy ? this.#current instanceof Group : !this.isOver;
  }

  override child(index: number): Leaf | Group | undefined {
    return this.#current?.index === index ? this.#current : undefined;
  }

  override active(): (Leaf | Group)[] {
    return this.#isBusy && this.#current !== undefined ? [this.#current] : [];
  }

  override take(): Leaf | undefined {
    if (this.#isBusy) {
      if (!(this.#current instanceof Group)) return undefined;
      const leaf = this.takeFrom(this.#current);
      if (leaf !== undefined || this.#isBusy) return leaf;
    }
    while (!this.isOver) {
      const child = this.#current = this.begin(this.next++);
      this.#isBusy = true;
      if (child instanceof Leaf) {
        this.running++;
        return child;
      }
      const leaf = this.takeFrom(child);
      if (leaf !== undefined) return leaf;
    }
    return undefined;
  }

  override list(): void {}

  override complete(leaf: Leaf, value: unknown): Leaf | undefined {
    this.values[leaf.index] = value;
    if (this.next < this.job.length && !this.isAborted) {
      const job = this.job.at(this.next);
      if (job instanceof CallValue) {
        const next = new Leaf(this, this.next++);
        this.#current = next;
        return next;
      }
    }
    this.#current = undefined;
    this.#isBusy = false;
    return undefined;
  }

  override miss(leaf: Leaf): void {
    this.#isBusy = false;
    this.remember(leaf.outcome ?? "failed", leaf.error);
  }

  override goOn(): undefined {}

  protected override note(group: Group): void {
    this.#isBusy = false;
    const { index, outcome, values } = group;
    if (outcome === "completed") {
      this.values[index] = values;
      this.#current = undefined;
    } else {
      this.remember(outcome, group.error);
    }
  }
}

class Parallel extends Group {
  readonly #nodes: (Leaf | Group | undefined)[] = [];
  readonly #open: Line = new Line();
  #active = 0;

  protected override get hasSignal(): boolean {
    return this.job.manner.isFailFast;
  }

  override get isOver(): boolean {
    return this.#active === 0 &&
      (this.next >= this.job.length || this.isAborted);
  }

  override get isOpen(): boolean {
    return !this.isAborted && this.running < this.job.manner.limit &&
      (this.next < this.job.length || !this.#open.isEmpty);
  }

  override child(index: number): Leaf | Group | undefined {
    return this.#nodes[index];
  }

  override active(): (Leaf | Group)[] {
    return this.#nodes.filter((node) =>
      node instanceof Leaf
        ? node.outcome === undefined
        : node !== undefined && !node.isOver
    ) as (Leaf | Group)[];
  }

  override take(): Leaf | undefined {
    if (this.running >= this.job.manner.limit) return undefined;
    const open = this.#open;
    for (let first = open.first; first !== undefined; first = open.first) {
      const leaf = this.takeFrom(first);
      if (leaf !== undefined) return leaf;
      open.shift();
    }
    while (this.next < this.job.length && !this.isAborted) {
      const child = this.#nodes[this.next] = this.begin(this.next);
      this.next++;
      this.#active++;
      if (child instanceof Leaf) {
        this.running++;
        return child;
      }
      const leaf = this.takeFrom(child);
      if (leaf !== undefined) {
        if (child.isOpen) open.add(child);
        return leaf;
      }
    }
    return undefined;
  }

  override list(group: Group): void {
    this.#open.add(group);
  }

  override complete(leaf: Leaf, value: unknown): Leaf | undefined {
    this.values[leaf.index] = value;
    this.#nodes[leaf.index] = undefined;
    this.#active--;
    return this.goOn();
  }

  override miss(leaf: Leaf): void {
    this.#active--;
    this.#judge(leaf.outcome ?? "failed", leaf.error);
  }

  protected override note(group: Group): void {
    this.#active--;
    const { index, outcome, values } = group;
    if (outcome === "completed") {
      this.values[index] = values;
      this.#nodes[index] = undefined;
    } else {
      this.#judge(outcome, group.error);
    }
  }

  override goOn(): Leaf | undefined {
    const { next } = this;
    if (next >= this.job.length || this.isAborted || !this.tree.isFirst) {
      return undefined;
    }
    const job = this.job.at(next);
    const isOne = job instanceof CallValue || (job instanceof GroupValue &&
      job.kind === "sequential" && job.at(0) instanceof CallValue);
    if (!isOne) return undefined;
    const child = this.#nodes[next] = this.begin(next);
    this.next++;
    this.#active++;
    return child instanceof Leaf ? child : child.take();
  }

  #judge(outcome: JobOutcome, error: unknown): void {
    this.remember(outcome, error);
    if (outcome !== "failed" || !this.job.manner.isFailFast) return;
    if (!this.isAborted) this.tree.breakOff(this);
  }
}

/** Begins a run of a group. */
export function newGroup(
  tree: Tree,
  parent: Group | undefined,
  index: number,
  job: GroupValue,
  scope?: LazySignal,
): Group {
  const Kind = job.manner.kind === "sequential" ? Sequence : Parallel;
  return new Kind(tree, parent, index, job, scope);
}
