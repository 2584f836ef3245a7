// Copyright 2026 the Longrun authors. MIT license.

/** So many events of a subscription are kept. */
const CAPACITY = 1_000;

/** An event, as a script sees it. */
export interface Event {
  readonly topic: string;
  readonly data: unknown;
  readonly source: string;
  readonly time: number;
}

type Result = IteratorResult<Event, undefined>;

/** Whether a pattern stands for a topic. */
export function matches(pattern: string, topic: string): boolean {
  return pattern === "*" || pattern === topic ||
    (pattern.endsWith(".*") && topic.startsWith(pattern.slice(0, -1)));
}

/** A subscription of the script. */
export class Subscription {
  readonly patterns: readonly string[];
  readonly #leave: (subscription: Subscription) => void;
  #events: Event[] = [];
  #waiting: ((result: Result) => void)[] = [];
  #dropped = 0;
  #isOpen = true;

  constructor(
    patterns: readonly string[],
    leave: (subscription: Subscription) => void,
  ) {
    this.patterns = patterns;
    this.#leave = leave;
  }

  get dropped(): number {
    return this.#dropped;
  }

  lose(count: number): void {
    this.#dropped += count;
  }

  push(event: Event): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      return waiting({ done: false, value: event });
    }
    if (this.#events.length >= CAPACITY) {
      this.#events.shift();
      this.#dropped++;
    }
    this.#events.push(event);
  }

  next(): Promise<Result> {
    const event = this.#events.shift();
    if (event !== undefined) {
      return Promise.resolve({ done: false, value: event });
    }
    if (!this.#isOpen) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<Result> {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#events = [];
      for (const waiting of this.#waiting.splice(0)) {
        waiting({ done: true, value: undefined });
      }
      this.#leave(this);
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
