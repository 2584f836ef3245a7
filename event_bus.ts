// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Events by topic, for the parts of a service that should not know each other:
 * typed topics, subscriptions to prefixes, requests with replies, and bridges
 * to other threads.
 *
 * ```ts
 * import { EventBus } from "@longrun/tasks/event-bus";
 * import { assertEquals } from "@std/assert";
 *
 * interface Topics {
 *   "procedure.started": { id: number };
 *   "procedure.failed": { id: number; reason: string };
 *   "dome.moved": number;
 * }
 *
 * const bus = new EventBus<Topics>({ name: "night" });
 * const subscription = bus.subscribe("procedure.*");
 * bus.publish("procedure.started", { id: 1 });
 * bus.publish("dome.moved", 90);
 * bus.publish("procedure.failed", { id: 1, reason: "clouds" });
 * bus.close();
 *
 * const seen: string[] = [];
 * for await (const event of subscription) {
 *   if (event.topic === "procedure.failed") seen.push(event.data.reason);
 *   else seen.push(event.topic);
 * }
 * assertEquals(seen, ["procedure.started", "clouds"]);
 * ```
 *
 * @module
 */

import {
  checkCommon,
  checkCount,
  checkFiniteCount,
  checkFiniteNonNegative,
  checkFunction,
  checkNonNegative,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkType,
} from "./_arguments.ts";
import { BusCore, noteCore } from "./_bus_core.ts";
import type { BusErrorValue } from "./_bus_error.ts";
import { sendRequest } from "./_bus_request.ts";
import { Responder } from "./_bus_responder.ts";
import { checkPatterns, checkTopic } from "./_bus_topics.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";
import type { TopicCallbackOptions, TopicSubscribeOptions } from "./topic.ts";

export {
  type Bridge,
  bridge,
  type BridgeOptions,
  type BusEmitterPort,
  type BusPort,
  type BusPortListener,
} from "./_bus_bridge.ts";
export { type BusErrorValue, BusReplyError } from "./_bus_error.ts";

/**
 * One event. It is frozen: all subscribers share it, and its data, which they
 * must not change.
 *
 * @typeParam T The topic.
 * @typeParam D The type of the data.
 */
export interface BusEvent<T extends string = string, D = unknown> {
  /** What it is about. */
  readonly topic: T;
  /** What was published, not a copy. */
  readonly data: D;
  /** Who has published it: the name of the bus, by default. */
  readonly source: string;
  /** When, in milliseconds since 1970. */
  readonly time: number;
  /** What links a request and its reply. */
  readonly requestId?: string;
}

/**
 * The data of a reply: in the map of topics, the type of a reply topic.
 *
 * @typeParam R What {@linkcode EventBus.request} resolves with.
 */
export type BusReply<R> =
  | { readonly ok: true; readonly value: R }
  | { readonly ok: false; readonly error: BusErrorValue };

/** The topics of a map. */
export type BusTopic<Topics extends object> = keyof Topics & string;

/** The topics of a map whose data are replies. */
export type BusReplyTopic<Topics extends object> = {
  [T in BusTopic<Topics>]: unknown extends Topics[T] ? T
    : Topics[T] extends BusReply<unknown> ? T
    : never;
}[BusTopic<Topics>];

/** What a request resolves with whose reply is of this type. */
export type BusReplyValue<D> = unknown extends D ? unknown
  : D extends { readonly ok: true; readonly value: infer R } ? R
  : never;

/** The patterns that are prefixes of a topic. */
export type BusPrefix<T extends string> = T extends
  `${infer First}.${infer Rest}` ? `${First}.*` | `${First}.${BusPrefix<Rest>}`
  : never;

/**
 * What may be subscribed to: a topic; the first segments of one and a star,
 * `"dome.*"`, for all topics that have further segments; `"*"` for everything.
 */
export type BusPattern<Topics extends object> = string extends BusTopic<Topics>
  ? string
  : BusTopic<Topics> | BusPrefix<BusTopic<Topics>> | "*";

/** The topics that match a pattern. */
export type BusMatchingTopic<T extends string, P> = P extends "*" ? T
  : P extends `${infer Prefix}.*` ? string extends T ? `${Prefix}.${string}`
    : Extract<T, `${Prefix}.${string}`>
  : string extends T ? P & string
  : Extract<T, P>;

/** The event of a topic; of several, a union. */
export type BusTopicEvent<Topics extends object, T> = T extends BusTopic<Topics>
  ? BusEvent<T, Topics[T]>
  : never;

/** The events that match a pattern, a union to be told apart by `topic`. */
export type BusEventOf<
  Topics extends object,
  P extends string = "*",
> = BusTopicEvent<Topics, BusMatchingTopic<BusTopic<Topics>, P>>;

/** Options of {@linkcode EventBus}. */
export interface EventBusOptions {
  /**
   * A name for messages, and the source of events.
   *
   * @default {"bus"}
   */
  name?: string;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * What the zero of the clock is, in milliseconds since 1970.
   *
   * @default {Date.now() - clock.now()}
   */
  timeOrigin?: number;
  /**
   * Told of callbacks that fail, and of what could not cross a bridge.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

/** Options of {@linkcode EventBus.publish}. */
export interface BusPublishOptions {
  /**
   * Who publishes.
   *
   * @default {the name of the bus}
   */
  source?: string;
  /** What links a request and its reply. */
  requestId?: string;
}

/** Options of {@linkcode EventBus.request}. */
export interface BusRequestOptions {
  /**
   * How long to wait for the reply, in milliseconds; `Infinity` sets no limit.
   *
   * @default {30_000}
   */
  timeout?: number;
  /** Ends the wait. The request itself goes on. */
  signal?: AbortSignal;
  /**
   * Who asks.
   *
   * @default {the name of the bus}
   */
  source?: string;
}

/** Options of {@linkcode EventBus.respond}. */
export interface BusRespondOptions {
  /** Closes the responder. */
  signal?: AbortSignal;
  /**
   * How many requests are handled at a time; the others wait.
   *
   * @default {Infinity}
   */
  concurrency?: number;
  /**
   * How many may wait. What comes then is answered with a `RangeError`.
   *
   * @default {10_000}
   */
  capacity?: number;
}

/** What a handler of {@linkcode EventBus.respond} is given besides the data. */
export interface BusRequestContext<E extends BusEvent = BusEvent> {
  /** The request. */
  readonly event: E;
  /** Aborts when the responder closes: its reply has been sent then. */
  readonly signal: AbortSignal;
}

/** Something that answers requests, until it is closed. */
export interface BusResponder extends Disposable {
  /** How many requests are handled now. */
  readonly running: number;
  /** How many requests wait for their turn. */
  readonly waiting: number;
  /**
   * Takes no more requests, answers with an `AbortError` those that run or
   * wait, and aborts the signal of the handlers, which are not waited for.
   */
  close(): void;
}

/**
 * The events that match, from the moment of {@linkcode EventBus.subscribe} on.
 *
 * **Gotchas.** A request that nobody waits for any more still takes an event.
 * Leave the loop, call `return()`, dispose of it or abort its signal when it is
 * over, or it fills its buffer and keeps it.
 *
 * @typeParam E The events.
 */
export interface BusSubscription<E extends BusEvent>
  extends AsyncIterableIterator<E, undefined>, AsyncDisposable {
  /** How many events wait in the buffer. */
  readonly length: number;
  /** How many events were lost because the buffer was full. */
  readonly dropped: number;
  /** Discards the events in the buffer. They do not count as dropped. */
  clear(): void;
  /**
   * Waits for the next event. Requests side by side are answered in order.
   *
   * @throws {AbortSignal["reason"]} If the signal aborts.
   * @throws {TopicOverflowError} If the buffer has overflown and the policy is
   * `"error"`.
   */
  next(): Promise<IteratorResult<E, undefined>>;
  /** Ends the subscription and discards the buffer. */
  return(): Promise<IteratorResult<E, undefined>>;
  /** The subscription itself. */
  [Symbol.asyncIterator](): BusSubscription<E>;
}

/**
 * Events by topic, published to any number of subscribers, none of which can
 * hold up the publisher or another subscriber.
 *
 * **When to use.** For the parts of a service that should not know each other,
 * and for what crosses threads. What one object tells those who have it in
 * hand is a `Topic`.
 *
 * **Gotchas.** Nothing is kept: who comes late has missed it. Events are handed
 * on as they are: do not change the data that you have published.
 *
 * @typeParam Topics The types of the data, by topic.
 *
 * @example A request and its reply
 * ```ts
 * import { type BusReply, EventBus } from "@longrun/tasks/event-bus";
 * import { assertEquals } from "@std/assert";
 *
 * interface Topics {
 *   "request.procedure.create": { script: string };
 *   "procedure.created": BusReply<{ id: number }>;
 * }
 *
 * const bus = new EventBus<Topics>();
 * using _ = bus.respond(
 *   "request.procedure.create",
 *   "procedure.created",
 *   ({ script }) => ({ id: script.length }),
 * );
 * const { id } = await bus.request(
 *   "request.procedure.create",
 *   { script: "scan.ts" },
 *   "procedure.created",
 * );
 * assertEquals(id, 7);
 * ```
 */
export class EventBus<Topics extends object = Record<string, unknown>>
  implements Disposable {
  readonly #core: BusCore;

  /**
   * Creates a bus without subscribers.
   *
   * @param options Its name, its clock, and where failures go.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `timeOrigin` is negative or not finite.
   */
  constructor(options: EventBusOptions = {}) {
    const doing = "create EventBus";
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { name = "bus", clock = systemClock, logger = defaultLogger } =
      options;
    const { timeOrigin = Math.max(0, Date.now() - clock.now()) } = options;
    checkFiniteNonNegative(doing, "timeOrigin", timeOrigin);
    this.#core = new BusCore({ name, clock, timeOrigin, logger });
    noteCore(this, this.#core);
  }

  /** Its name, which is the source of its events. */
  get name(): string {
    return this.#core.settings.name;
  }

  /** How many subscriptions, callbacks and responders there are. */
  get subscribers(): number {
    return this.#core.subscribers;
  }

  /**
   * Gives an event to all subscribers: first into the buffers of the
   * subscriptions, here and on bridged buses, then to the callbacks. Never
   * waits. On a closed bus nobody gets it.
   *
   * What a callback publishes others hear of after they have heard of the event
   * it was called with: everybody sees the same order. A callback that always
   * publishes never ends.
   *
   * @typeParam T The topic.
   * @param topic What it is about: words separated by dots.
   * @param data What is told.
   * @param options Who publishes.
   * @returns The event.
   * @throws {TypeError} If an argument is of the wrong type, or the topic is
   * none.
   */
  publish<T extends BusTopic<Topics>>(
    topic: T,
    data: Topics[T],
    options: BusPublishOptions = {},
  ): BusEvent<T, Topics[T]> {
    const doing = "publish";
    if (!this.#core.knows(topic)) checkTopic(doing, "topic", topic);
    checkOptions(doing, options);
    const { source, requestId } = options;
    checkText(doing, "source", source);
    checkText(doing, "requestId", requestId);
    const event = this.#core.publish(topic, data, source, requestId);
    return event as BusEvent<T, Topics[T]>;
  }

  /**
   * Subscribes to all topics that match, from this moment on. An event that
   * several patterns match comes once.
   *
   * @typeParam P The patterns.
   * @param pattern A topic, a prefix such as `"dome.*"`, or `"*"`; or several.
   * @param options What ends the subscription, and how much it keeps.
   * @returns An iterator. On a closed bus it has ended; with an aborted signal
   * its first `next()` rejects.
   * @throws {TypeError} If an argument is of the wrong type, or a pattern is
   * none.
   * @throws {RangeError} If `capacity` is not an integer of at least 1.
   */
  subscribe<const P extends BusPattern<Topics>>(
    pattern: P | readonly P[],
    options: TopicSubscribeOptions = {},
  ): BusSubscription<BusEventOf<Topics, P>> {
    const doing = "subscribe";
    const patterns = checkPatterns(doing, "pattern", pattern);
    checkOptions(doing, options);
    const { signal, capacity = 10_000, overflow = "drop-oldest" } = options;
    checkSignal(doing, signal);
    checkFiniteCount(doing, "capacity", capacity, 1);
    checkOneOf(doing, "overflow", overflow, [
      "drop-oldest",
      "drop-newest",
      "error",
    ]);
    const queue: BusSubscription<BusEvent> = this.#core.subscribe(
      patterns,
      options,
    );
    return queue as BusSubscription<BusEventOf<Topics, P>>;
  }

  /**
   * Calls back with every event that matches, within
   * {@linkcode EventBus.publish}, in the order of registration. A callback that
   * throws, or whose promise rejects, is reported to the logger and called
   * again with the next event.
   *
   * Callbacks may register and end others, and themselves: one that was ended
   * is not called any more, one that has come is called from the next published
   * event on. The same function registered twice is called twice.
   *
   * @typeParam P The patterns.
   * @param pattern A topic, a prefix such as `"dome.*"`, or `"*"`; or several.
   * @param callback Called with the event. A promise it returns is not waited
   * for.
   * @param options What ends the calls.
   * @returns A function that ends the calls; calling it late or twice does
   * nothing.
   * @throws {TypeError} If an argument is of the wrong type, or a pattern is
   * none.
   *
   * @example Usage
   * ```ts
   * import { EventBus } from "@longrun/tasks/event-bus";
   * import { assertEquals } from "@std/assert";
   *
   * const bus = new EventBus<{ "dome.moved": number; "dome.closed": null }>();
   * const seen: string[] = [];
   * const end = bus.onEvent("dome.*", ({ topic }) => seen.push(topic));
   * bus.publish("dome.moved", 90);
   * end();
   * bus.publish("dome.closed", null);
   * assertEquals(seen, ["dome.moved"]);
   * ```
   */
  onEvent<const P extends BusPattern<Topics>>(
    pattern: P | readonly P[],
    callback: (event: BusEventOf<Topics, P>) => unknown,
    options: TopicCallbackOptions = {},
  ): () => void {
    const doing = "listen";
    const patterns = checkPatterns(doing, "pattern", pattern);
    checkFunction(doing, "callback", callback);
    checkOptions(doing, options);
    const { signal } = options;
    checkSignal(doing, signal);
    const call = callback as (event: BusEvent) => unknown;
    return this.#core.onEvent(patterns, call, signal);
  }

  /**
   * Publishes a request, and waits for its reply: the first event of the reply
   * topic with the same `requestId`, from here or over a bridge.
   *
   * ```text
   * request(a)  |--a-----------------b> value, or BusReplyError
   * respond        |---handler-------|
   * timeout     |------------------------x TimeoutError
   * ```
   *
   * @typeParam T The topic of the request.
   * @typeParam R The topic of the reply.
   * @param topic What is asked.
   * @param data What the request says.
   * @param replyTopic Where the reply is expected.
   * @param options How long to wait, and what ends the wait.
   * @returns A promise of the value of the reply.
   * @throws {TypeError} If an argument is of the wrong type, or what comes is
   * no {@linkcode BusReply}.
   * @throws {RangeError} If `timeout` is negative or `NaN`.
   * @throws {BusReplyError} If the request was answered with an error.
   * @throws {DOMException & { name: "TimeoutError" }} If no reply comes in
   * time.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   * @throws {Error} If the bus is closed first.
   */
  request<T extends BusTopic<Topics>, R extends BusReplyTopic<Topics>>(
    topic: T,
    data: Topics[T],
    replyTopic: R,
    options: BusRequestOptions = {},
  ): Promise<BusReplyValue<Topics[R]>> {
    try {
      const doing = "request";
      checkTopic(doing, "topic", topic);
      checkReplyTopic(doing, topic, replyTopic);
      checkOptions(doing, options);
      const { timeout = 30_000, signal, source } = options;
      checkNonNegative(doing, "timeout", timeout);
      checkSignal(doing, signal);
      checkText(doing, "source", source);
      const request = { topic, data, replyTopic, source, timeout, signal };
      const reply = sendRequest(this.#core, request);
      return reply as Promise<BusReplyValue<Topics[R]>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Answers the requests of a topic. Each gets exactly one reply: what the
   * handler returns, or what it throws, or an `AbortError` when the responder
   * or the bus closes first.
   *
   * Events of the topic that are no requests are ignored, with one warning.
   *
   * **Gotchas.** Of two responders for a topic both answer, and the first reply
   * counts. What crosses a bridge to another thread must be cloneable.
   *
   * @typeParam T The topic of the requests.
   * @typeParam R The topic of the replies.
   * @param topic What is asked.
   * @param replyTopic Where the replies go.
   * @param handler Called with the data of each request; returns the value of
   * the reply, or a promise of it.
   * @param options What closes the responder, and how much it does at a time.
   * @returns The responder.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `concurrency` or `capacity` is out of range.
   *
   * @example An error is a reply, too
   * ```ts
   * import { BusReplyError, EventBus } from "@longrun/tasks/event-bus";
   * import { assertRejects } from "@std/assert";
   *
   * const bus = new EventBus();
   * using _ = bus.respond("dome.open", "dome.opened", () => {
   *   throw new RangeError("Too windy");
   * });
   * await assertRejects(
   *   () => bus.request("dome.open", {}, "dome.opened"),
   *   BusReplyError,
   *   "Request 'dome.open' has failed: RangeError: Too windy",
   * );
   * ```
   */
  respond<T extends BusTopic<Topics>, R extends BusReplyTopic<Topics>>(
    topic: T,
    replyTopic: R,
    handler: (
      data: Topics[T],
      context: BusRequestContext<BusEvent<T, Topics[T]>>,
    ) => BusReplyValue<Topics[R]> | PromiseLike<BusReplyValue<Topics[R]>>,
    options: BusRespondOptions = {},
  ): BusResponder {
    const doing = "respond";
    checkTopic(doing, "topic", topic);
    checkReplyTopic(doing, topic, replyTopic);
    checkFunction(doing, "handler", handler);
    checkOptions(doing, options);
    const { signal, concurrency = Infinity, capacity = 10_000 } = options;
    checkSignal(doing, signal);
    checkCount(doing, "concurrency", concurrency, 1);
    checkCount(doing, "capacity", capacity, 0);
    return new Responder(this.#core, {
      topic,
      replyTopic,
      handler: handler as (
        data: unknown,
        context: BusRequestContext,
      ) => unknown,
      signal,
      concurrency,
      capacity,
    });
  }

  /**
   * Closes its responders and bridges, ends all subscriptions after what they
   * have buffered, and all callbacks after what was published. Requests that
   * wait for a reply reject. Nothing can be published any more.
   */
  close(): void {
    this.#core.close();
  }

  /** The same as {@linkcode EventBus.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function checkText(action: string, name: string, value: unknown): void {
  const holds = value === undefined || typeof value === "string";
  checkType(holds, action, name, "a string", value);
}

function checkReplyTopic(
  action: string,
  topic: string,
  replyTopic: unknown,
): void {
  checkTopic(action, "replyTopic", replyTopic);
  const must = "another topic than that of the request";
  checkType(replyTopic !== topic, action, "replyTopic", must, replyTopic);
}
