// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What a {@linkcode TimerQueue} runs: a node that is its own heap entry. */
export interface TimerNode {
  /** When it is due, on the queue's time scale. Written by the queue. */
  deadline: number;
  /** Its turn among equal deadlines, negative while it does not wait. */
  order: number;
  /** Called when it is due. */
  run(): void;
}

/** The one platform timer below a {@linkcode TimerQueue}. */
export interface TimerPlatform {
  /** The monotonic time in milliseconds. */
  now(): number;
  /** Starts a timer. The delay is within the platform's range. */
  start(callback: () => void, delay: number): unknown;
  /** Ends a timer that `start` returned. */
  end(timer: unknown): void;
}

/** Beyond this the platforms fire at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

function isBefore(a: TimerNode, b: TimerNode): boolean {
  return a.deadline < b.deadline ||
    (a.deadline === b.deadline && a.order < b.order);
}

/**
 * Any number of timers under one platform timer: a binary heap of deadlines.
 *
 * A timer never runs before its deadline. A cancelled timer stays in the heap
 * until it comes to the top or until half of the heap is cancelled, so that
 * cancelling is O(1) and the heap stays bounded. The platform timer is ended
 * the moment nobody waits.
 */
export class TimerQueue {
  readonly #platform: TimerPlatform;
  #heap: TimerNode[] = [];
  #waiting = 0;
  #nextOrder = 0;
  #timer: unknown;
  #armedFor = Infinity;
  #isArmed = false;
  #isRunning = false;

  constructor(platform: TimerPlatform) {
    this.#platform = platform;
  }

  /** How many timers wait. */
  get size(): number {
    return this.#waiting;
  }

  /** How many entries the heap has, cancelled ones included. */
  get length(): number {
    return this.#heap.length;
  }

  add(node: TimerNode, delay: number): void {
    const now = this.#platform.now();
    node.deadline = now + delay;
    node.order = this.#nextOrder++;
    this.#push(node);
    this.#waiting++;
    if (
      !this.#isRunning && (!this.#isArmed || node.deadline < this.#armedFor)
    ) {
      this.#arm(now);
    }
  }

  delete(node: TimerNode): void {
    if (node.order < 0) return;
    node.order = -1;
    this.#waiting--;
    if (this.#waiting === 0) {
      this.#heap = [];
      this.#disarm();
    } else if (
      this.#heap.length > 64 && this.#waiting * 2 < this.#heap.length
    ) {
      // Sorted by time is a valid heap.
      this.#heap = this.#heap.filter((node) => node.order >= 0)
        .sort((a, b) => isBefore(a, b) ? -1 : 1);
    }
  }

  /**
   * Deletes a node that is to be added again: left in the heap it would get
   * another deadline there, and the heap would be in disorder. This takes a
   * time in proportion to the heap.
   */
  remove(node: TimerNode): void {
    if (node.order < 0) return;
    node.deadline = -Infinity;
    this.#rise(node, this.#heap.indexOf(node));
    this.#pop();
    this.delete(node);
  }

  #arm(now: number): void {
    this.#disarm();
    this.#dropCancelled();
    const first = this.#heap[0];
    if (first === undefined) return;
    this.#isArmed = true;
    this.#armedFor = first.deadline;
    const delay = Math.ceil(first.deadline - now);
    this.#timer = this.#platform.start(
      this.#fire,
      Math.min(Math.max(delay, 0), LONGEST_DELAY),
    );
  }

  #disarm(): void {
    if (!this.#isArmed) return;
    this.#isArmed = false;
    this.#platform.end(this.#timer);
    this.#timer = undefined;
  }

  readonly #fire = (): void => {
    this.#isArmed = false;
    this.#timer = undefined;
    const now = this.#platform.now();
    // A timer added by a callback waits for the next turn, even with no delay:
    // it must not keep the others and the event loop from theirs.
    const turn = this.#nextOrder;
    const postponed: TimerNode[] = [];
    this.#isRunning = true;
    try {
      for (;;) {
        this.#dropCancelled();
        const first = this.#heap[0];
        if (first === undefined || first.deadline > now) break;
        this.#pop();
        if (first.order >= turn) {
          postponed.push(first);
          continue;
        }
        first.order = -1;
        this.#waiting--;
        first.run();
      }
    } finally {
      for (const node of postponed) this.#push(node);
      this.#isRunning = false;
      this.#arm(this.#platform.now());
    }
  };

  #dropCancelled(): void {
    for (
      let first = this.#heap[0];
      first !== undefined && first.order < 0;
      first = this.#heap[0]
    ) {
      this.#pop();
    }
  }

  #push(node: TimerNode): void {
    this.#heap.push(node);
    this.#rise(node, this.#heap.length - 1);
  }

  /** Finds the node at an index its place between there and the top. */
  #rise(node: TimerNode, index: number): void {
    const heap = this.#heap;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as TimerNode;
      if (!isBefore(node, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = node;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      let child = heap[below] as TimerNode;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, child)) {
        below++;
        child = right;
      }
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = last;
  }
}
