// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Values published to whoever listens: what QMI calls a signal. Here that
 * word is taken by the `AbortSignal`.
 *
 * ```ts
 * import { Topic } from "@longrun/tasks/topic";
 * import { assertEquals } from "@std/assert";
 *
 * const temperature = new Topic<number>({ name: "temperature" });
 * const subscription = temperature.subscribe();
 * temperature.publish(20.5);
 * temperature.publish(21);
 * temperature.close();
 *
 * const seen: number[] = [];
 * for await (const { value } of subscription) seen.push(value);
 * assertEquals(seen, [20.5, 21]);
 * ```
 *
 * @module
 */

import {
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkOneOf,
  checkOptions,
  checkSignal,
} from "./_arguments.ts";
import { Callbacks } from "./_callbacks.ts";
import { report } from "./_report.ts";
import { Subscription } from "./_subscription.ts";
import { noteBirth } from "./_topic_births.ts";
import { defaultLogger, type Logger } from "./logger.ts";

/** Options of {@linkcode Topic}. */
export interface TopicOptions {
  /**
   * A name for messages.
   *
   * @default {"topic"}
   */
  name?: string;
  /**
   * Told of callbacks that fail.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

/**
 * What happens to a subscription whose buffer is full when one more value is
 * published.
 *
 * - `"drop-oldest"`: the value that has waited longest is dropped. Right for
 *   what is watched: the newest values count.
 * - `"drop-newest"`: the value that was published is dropped.
 * - `"error"`: the subscription gives what is buffered and then fails with a
 *   {@linkcode TopicOverflowError}. Right for what must be complete.
 */
export type TopicOverflow = "drop-oldest" | "drop-newest" | "error";

/** Options of {@linkcode Topic.subscribe}. */
export interface TopicSubscribeOptions {
  /** Ends the subscription with the signal's reason; the buffer is gone. */
  signal?: AbortSignal;
  /**
   * How many values are kept while the subscriber is busy.
   *
   * @default {10_000}
   */
  capacity?: number;
  /**
   * What happens when there are more.
   *
   * @default {"drop-oldest"}
   */
  overflow?: TopicOverflow;
}

/** Options of {@linkcode Topic.onPublish}. */
export interface TopicCallbackOptions {
  /** Ends the calls. */
  signal?: AbortSignal;
}

/** A published value as one subscriber sees it. */
export interface TopicItem<T> {
  /** The value itself, not a copy: all subscribers share it. */
  readonly value: T;
  /**
   * Its number, from 0, among all that was published since the subscription
   * began. What was dropped or cleared counts: a gap tells where it was lost.
   */
  readonly sequence: number;
  /** How many values this subscriber had lost when it was given this one. */
  readonly dropped: number;
}

/**
 * The values of a topic, from the moment of {@linkcode Topic.subscribe} on.
 *
 * **Gotchas.** A request that nobody waits for any more still takes a value: to
 * wait with a timeout, iterate over it through a `TimeoutIterator`. Leave the
 * loop, call `return()`, dispose of it or abort its signal when it is over, or
 * it fills its buffer and keeps it.
 */
export interface TopicSubscription<T>
  extends AsyncIterableIterator<TopicItem<T>, undefined>, AsyncDisposable {
  /** How many values wait in the buffer. */
  readonly length: number;
  /** How many values were lost because the buffer was full. */
  readonly dropped: number;
  /** Discards the values in the buffer. They do not count as dropped. */
  clear(): void;
  /**
   * Waits for the next value. Requests side by side are answered in order.
   *
   * @throws {AbortSignal["reason"]} If the signal aborts.
   * @throws {TopicOverflowError} If the buffer has overflown and the policy is
   * `"error"`.
   */
  next(): Promise<IteratorResult<TopicItem<T>, undefined>>;
  /** Ends the subscription and discards the buffer. */
  return(): Promise<IteratorResult<TopicItem<T>, undefined>>;
  /** The subscription itself. */
  [Symbol.asyncIterator](): TopicSubscription<T>;
}

/**
 * The error of a subscription that must not lose anything and whose subscriber
 * was too slow.
 *
 * @example Usage
 * ```ts
 * import { Topic, TopicOverflowError } from "@longrun/tasks/topic";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const frames = new Topic<string>({ name: "frames" });
 * const subscription = frames.subscribe({ capacity: 1, overflow: "error" });
 * frames.publish("dark");
 * frames.publish("flat");
 * assertEquals((await subscription.next()).value?.value, "dark");
 * await assertRejects(
 *   () => subscription.next(),
 *   TopicOverflowError,
 *   "Topic 'frames' was more than 1 values ahead of a subscriber",
 * );
 * ```
 */
export class TopicOverflowError extends Error {
  /** The name of the class. */
  override readonly name: string = "TopicOverflowError";
  /** How many values the subscription could keep. */
  readonly capacity: number;

  /**
   * Creates an error.
   *
   * @param topic The name of the topic.
   * @param capacity How many values the subscription could keep.
   */
  constructor(topic: string, capacity: number) {
    super(
      `Topic '${topic}' was more than ${capacity} values ahead of a subscriber`,
    );
    this.capacity = capacity;
  }
}

/** A topic, for those who listen and do not publish. */
export interface ReadableTopic<T> {
  /** The last published value, `undefined` before the first. */
  readonly last: T | undefined;
  /** How many values were published. */
  readonly published: number;
  /** How many subscriptions and callbacks there are. */
  readonly subscribers: number;
  /** Subscribes, from this moment on: see {@linkcode Topic.subscribe}. */
  subscribe(options?: TopicSubscribeOptions): TopicSubscription<T>;
  /** Calls back with every value: see {@linkcode Topic.onPublish}. */
  onPublish(
    callback: (value: T) => unknown,
    options?: TopicCallbackOptions,
  ): () => void;
}

interface Item<T> extends TopicItem<T> {
  dropped: number;
}

class Queue<T> extends Subscription<Item<T>> implements TopicSubscription<T> {
  #published = 0;

  publish(value: T): void {
    this.push({ value, sequence: this.#published++, dropped: 0 });
  }

  protected override deliver(item: Item<T>): IteratorYieldResult<Item<T>> {
    item.dropped = this.dropped;
    return super.deliver(item);
  }
}

/**
 * Values published to any number of subscribers, none of which can hold up the
 * publisher or another subscriber. QMI calls it a signal (`QMI_Signal`), and a
 * subscription a signal receiver.
 *
 * **When to use.** {@linkcode Topic.subscribe} for whoever works on the values
 * in his own time, {@linkcode Topic.onPublish} for whoever must know at once and
 * is done at once.
 *
 * **Gotchas.** The topic keeps the last value alive, for
 * {@linkcode Topic.last}, also when it is closed: publish large images by a
 * name or a handle, or something small after them. Values are handed on as
 * they are: do not change what you have published.
 *
 * @typeParam T The type of the values.
 *
 * @example A slow subscriber sees what it has lost
 * ```ts
 * import { Topic } from "@longrun/tasks/topic";
 * import { assertEquals } from "@std/assert";
 *
 * const position = new Topic<number>();
 * await using subscription = position.subscribe({ capacity: 2 });
 * for (const value of [10, 11, 12, 13]) position.publish(value);
 * assertEquals(await subscription.next(), {
 *   done: false,
 *   value: { value: 12, sequence: 2, dropped: 2 },
 * });
 * ```
 */
export class Topic<T> implements ReadableTopic<T>, Disposable {
  readonly #name: string;
  readonly #logger: Logger;
  // Made when first needed: most topics have no subscriber.
  #queues: Set<Queue<T>> | undefined = undefined;
  #callbacks: Callbacks<T> | undefined = undefined;
  #last: T | undefined = undefined;
  #published = 0;
  #isClosed = false;

  /**
   * Creates a topic without subscribers.
   *
   * @param options Its name, and where failures go.
   * @throws {TypeError} If an option is of the wrong type.
   */
  constructor(options: TopicOptions = {}) {
    checkOptions("create Topic", options);
    checkCommon("create Topic", options);
    const { name = "topic", logger = defaultLogger } = options;
    this.#name = name;
    this.#logger = logger;
    noteBirth(this);
  }

  /** The last published value, `undefined` before the first. */
  get last(): T | undefined {
    return this.#last;
  }

  /** How many values were published. */
  get published(): number {
    return this.#published;
  }

  /** How many subscriptions and callbacks there are. */
  get subscribers(): number {
    return (this.#queues?.size ?? 0) + (this.#callbacks?.size ?? 0);
  }

  /**
   * Gives a value to all subscribers: first into the buffers of the
   * subscriptions, then to the callbacks. Never throws and never waits. Does
   * nothing once the topic is closed.
   *
   * Of a callback that publishes in turn, all others hear after they have heard
   * of the value it was called with: everybody sees the same order. One that
   * always does never ends.
   *
   * @param value The value.
   */
  publish(value: T): void {
    if (this.#isClosed) return;
    this.#last = value;
    this.#published++;
    if (this.#queues !== undefined) {
      for (const queue of this.#queues) queue.publish(value);
    }
    this.#callbacks?.call(value);
  }

  /**
   * Subscribes, from this moment on.
   *
   * @param options What ends the subscription, and how much it keeps.
   * @returns An iterator. On a closed topic it has ended; with an aborted
   * signal its first `next()` rejects.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `capacity` is not an integer of at least 1.
   */
  subscribe(options: TopicSubscribeOptions = {}): TopicSubscription<T> {
    const doing = "subscribe";
    checkOptions(doing, options);
    const { signal, capacity = 10_000, overflow = "drop-oldest" } = options;
    checkSignal(doing, signal);
    checkFiniteCount(doing, "capacity", capacity, 1);
    checkOneOf(doing, "overflow", overflow, [
      "drop-oldest",
      "drop-newest",
      "error",
    ]);
    const queues = this.#queues ??= new Set();
    const queue: Queue<T> = new Queue({
      capacity,
      overflow: overflow === "error"
        ? () => new TopicOverflowError(this.#name, capacity)
        : overflow,
      onClose: () => queues.delete(queue),
    });
    queues.add(queue);
    if (signal !== undefined) queue.obey(signal);
    if (this.#isClosed) queue.end();
    return queue;
  }

  /**
   * Calls back with every value, within {@linkcode Topic.publish}, in the order
   * of registration. A callback that throws, or whose promise rejects, is
   * reported to the logger and called again with the next value.
   *
   * Callbacks may register and end others, and themselves: one that was ended
   * is not called any more, one that has come is called from the next published
   * value on. The same function registered twice is called twice.
   *
   * @param callback Called with the value. A promise it returns is not waited
   * for.
   * @param options What ends the calls.
   * @returns A function that ends the calls; calling it late or twice does
   * nothing.
   * @throws {TypeError} If an argument is of the wrong type.
   *
   * @example Usage
   * ```ts
   * import { Topic } from "@longrun/tasks/topic";
   * import { assertEquals } from "@std/assert";
   *
   * const dome = new Topic<"open" | "closed">();
   * const seen: string[] = [];
   * const end = dome.onPublish((state) => seen.push(state));
   * dome.publish("open");
   * end();
   * dome.publish("closed");
   * assertEquals(seen, ["open"]);
   * ```
   */
  onPublish(
    callback: (value: T) => unknown,
    options: TopicCallbackOptions = {},
  ): () => void {
    checkFunction("listen", "callback", callback);
    checkOptions("listen", options);
    const { signal } = options;
    checkSignal("listen", signal);
    if (this.#isClosed) return () => {};
    this.#callbacks ??= new Callbacks((error) => this.#reportError(error));
    return this.#callbacks.add(callback, signal);
  }

  /**
   * Ends all subscriptions after what they have buffered, and all callbacks
   * after what was published. Nothing can be published any more.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#queues !== undefined) {
      for (const queue of this.#queues) queue.end();
    }
    this.#callbacks?.close();
  }

  /** The same as {@linkcode Topic.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #reportError(error: unknown): void {
    const topic = this.#name;
    const sentence = `A callback of topic '${topic}' has failed`;
    report(this.#logger, "error", sentence, { topic, error });
  }
}
