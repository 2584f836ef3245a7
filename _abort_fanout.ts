// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What waits for a signal: a node of the signal's list of waiters. */
export interface AbortNode {
  /** The list it stands in, `undefined` while it stands in none. */
  fanout: AbortFanout | undefined;
  /** The node before it. Written by the list. */
  previous: AbortNode | undefined;
  /** The node after it. Written by the list. */
  next: AbortNode | undefined;
  /** Called once when the signal aborts, after the node has left the list. */
  abort(reason: unknown): void;
}

/**
 * All waiters of one signal under one platform listener.
 *
 * Adding a listener to an `AbortSignal` takes a time in proportion to the
 * listeners it has, on every runtime: a hundred thousand sleeps on one signal
 * would cost half a minute. The list costs the same for the last as for the
 * first, and nothing at all once it is empty: the listener is removed then.
 */
export class AbortFanout {
  readonly #signal: AbortSignal | undefined;
  #first: AbortNode | undefined;
  #last: AbortNode | undefined;

  /**
   * Creates a list without waiters.
   *
   * @param signal The signal to listen to, unless somebody else tells the list.
   */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  add(node: AbortNode): void {
    node.fanout = this;
    const last = this.#last;
    node.previous = last;
    this.#last = node;
    if (last === undefined) {
      this.#first = node;
      this.#signal?.addEventListener("abort", this);
    } else {
      last.next = node;
    }
  }

  delete(node: AbortNode): void {
    if (node.fanout !== this) return;
    node.fanout = undefined;
    const { previous, next } = node;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    node.previous = undefined;
    node.next = undefined;
    if (this.#first === undefined) {
      this.#signal?.removeEventListener("abort", this);
    }
  }

  /** The platform's listener: makes this object an `EventListenerObject`. */
  handleEvent(): void {
    this.tell(this.#signal?.reason);
  }

  /** Tells all waiters of the abort. */
  tell(reason: unknown): void {
    // Always from the head, because a waiter may remove others.
    for (
      let node = this.#first;
      node !== undefined;
      node = this.#first
    ) {
      this.delete(node);
      try {
        node.abort(reason);
      } catch (error) {
        // As an event target does: the others are still told.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

const fanouts = new WeakMap<AbortSignal, AbortFanout>();

/** Makes a list the one of a signal. The owner of the signal tells it. */
export function adoptFanout(signal: AbortSignal, fanout: AbortFanout): void {
  fanouts.set(signal, fanout);
}

/** The list of the signal's waiters. */
export function fanoutOf(signal: AbortSignal): AbortFanout {
  let fanout = fanouts.get(signal);
  if (fanout === undefined) {
    fanout = new AbortFanout(signal);
    fanouts.set(signal, fanout);
  }
  return fanout;
}
