// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Seen } from "./_bus_seen.ts";
import { type Indexed, PatternIndex } from "./_bus_topics.ts";
import { callHook } from "./_hooks.ts";
import { report } from "./_report.ts";
import { Subscription } from "./_subscription.ts";
import { onAbort } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { BusEvent, BusSubscription } from "./event_bus.ts";
import type { Logger } from "./logger.ts";
import {
  type TopicOverflow,
  TopicOverflowError,
  type TopicSubscribeOptions,
} from "./topic.ts";

/** The events that wait for one subscriber. */
class Queue extends Subscription<BusEvent>
  implements BusSubscription<BusEvent>, Indexed {
  readonly patterns: readonly string[];
  order = 0;

  constructor(
    patterns: readonly string[],
    capacity: number,
    overflow: TopicOverflow,
    index: PatternIndex<Queue>,
  ) {
    super({
      capacity,
      overflow: overflow === "error"
        ? () => new TopicOverflowError(patterns.join(", "), capacity)
        : overflow,
      onClose: () => index.delete(this),
    });
    this.patterns = patterns;
    index.add(this);
  }
}

interface Callback extends Indexed {
  readonly call: (event: BusEvent) => unknown;
  /** How many events there were before it came. */
  readonly since: number;
  forget: (() => void) | undefined;
}

interface Call {
  readonly event: BusEvent;
  /** How many events there were, with this one. */
  readonly count: number;
}

/** What tells an event from all others, on every bus it comes to. */
export interface Stamp {
  /** The bus on which it was published. */
  readonly origin: string;
  /** Its number there, from 1. */
  readonly number: number;
}

/** A way out of a bus, to another one. */
export interface Exit extends Indexed {
  /**
   * Hands an event on. Buses that have callbacks to call join `waiting`: they
   * do so when the event is on all buses.
   */
  readonly send: (event: BusEvent, stamp: Stamp, waiting: BusCore[]) => void;
}

/** Somebody who sees an event before any callback does, and does nothing yet. */
export interface Watcher extends Indexed {
  readonly see: (event: BusEvent) => void;
}

/** Somebody who waits for one reply. */
export interface ReplyWait {
  readonly replyTopic: string;
  take(data: unknown): void;
  fail(reason: unknown): void;
}

/** Settings of a {@linkcode BusCore}. */
export interface BusSettings {
  readonly name: string;
  readonly clock: Clock;
  readonly timeOrigin: number;
  readonly logger: Logger;
}

/** What a bus consists of, without its types and its checks. */
export class BusCore {
  readonly settings: BusSettings;
  readonly id: string = crypto.randomUUID();
  readonly #queues: PatternIndex<Queue> = new PatternIndex();
  readonly #callbacks: PatternIndex<Callback> = new PatternIndex();
  readonly #watchers: PatternIndex<Watcher> = new PatternIndex();
  readonly #exits: PatternIndex<Exit> = new PatternIndex();
  readonly #replies: Map<string, ReplyWait> = new Map();
  readonly #lastWords: Set<() => void> = new Set();
  readonly #closers: Set<() => void> = new Set();
  #seen: Seen | undefined = undefined;
  #published = 0;
  #delivered = 0;
  /** What the callbacks are told, and what comes after it. */
  #calls: Call[] = [];
  #isCalling = false;
  #isClosed = false;

  constructor(settings: BusSettings) {
    this.settings = settings;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get subscribers(): number {
    return this.#queues.size + this.#callbacks.size;
  }

  /** Whether a topic was found to be one already. */
  knows(topic: string): boolean {
    return this.#queues.knows(topic) || this.#callbacks.knows(topic);
  }

  publish(
    topic: string,
    data: unknown,
    source: string = this.settings.name,
    requestId?: string,
  ): BusEvent {
    const { timeOrigin, clock } = this.settings;
    const time = timeOrigin + clock.now();
    const event: BusEvent = Object.freeze(
      requestId === undefined
        ? { topic, data, source, time }
        : { topic, data, source, time, requestId },
    );
    if (this.#isClosed) return event;
    const waiting: BusCore[] = [];
    this.#deliver(event, undefined, undefined, waiting);
    for (const core of waiting) core.#callAll();
    return event;
  }

  /**
   * Takes an event of another bus, unless it is here already.
   *
   * @param way Out of this bus to where it comes from: not to be taken.
   */
  receive(event: BusEvent, stamp: Stamp, way: Exit, waiting: BusCore[]): void {
    if (this.#isClosed || stamp.origin === this.id) return;
    this.#seen ??= new Seen();
    if (!this.#seen.take(stamp.origin, stamp.number)) return;
    this.#deliver(event, stamp, way, waiting);
  }

  /** The same, for what comes on its own. */
  receiveAlone(event: BusEvent, stamp: Stamp, way: Exit): void {
    const waiting: BusCore[] = [];
    this.receive(event, stamp, way, waiting);
    for (const core of waiting) core.#callAll();
  }

  subscribe(
    patterns: readonly string[],
    { signal, capacity = 10_000, overflow = "drop-oldest" }:
      TopicSubscribeOptions,
  ): Queue {
    const queue = new Queue(patterns, capacity, overflow, this.#queues);
    if (signal !== undefined) queue.obey(signal);
    if (this.#isClosed) queue.end();
    return queue;
  }

  onEvent(
    patterns: readonly string[],
    call: (event: BusEvent) => unknown,
    signal: AbortSignal | undefined,
  ): () => void {
    if (this.#isClosed) return () => {};
    const callback: Callback = {
      patterns,
      order: 0,
      call,
      since: this.#delivered,
      forget: undefined,
    };
    const leave = (): void => {
      this.#callbacks.delete(callback);
      callback.forget?.();
    };
    this.#callbacks.add(callback);
    if (signal !== undefined) callback.forget = onAbort(signal, leave);
    return leave;
  }

  /** Waits for the reply to a request; returns what ends that. */
  awaitReply(requestId: string, wait: ReplyWait): () => void {
    this.#replies.set(requestId, wait);
    return () => this.#replies.delete(requestId);
  }

  /** Begins to watch; returns what ends that. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Opens a way out; returns what closes it. */
  addExit(exit: Exit): () => void {
    this.#exits.add(exit);
    return () => this.#exits.delete(exit);
  }

  /** Calls back when there is a last chance to publish; returns what forgets that. */
  beforeClose(callback: () => void): () => void {
    this.#lastWords.add(callback);
    return () => this.#lastWords.delete(callback);
  }

  /** Calls back when the bus has closed; returns what forgets that. */
  onClose(callback: () => void): () => void {
    this.#closers.add(callback);
    return () => this.#closers.delete(callback);
  }

  close(): void {
    for (const callback of this.#lastWords) {
      this.#lastWords.delete(callback);
      callback();
    }
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const queue of this.#queues.items) queue.end();
    for (const wait of this.#replies.values()) {
      const error = new Error(`Bus '${this.settings.name}' was closed`);
      callHook(() => wait.fail(error), () => {});
    }
    this.#exits.clear();
    for (const callback of this.#closers) callback();
    this.#closers.clear();
    if (this.#calls.length === 0) this.#removeCallbacks();
  }

  #deliver(
    event: BusEvent,
    stamp: Stamp | undefined,
    way: Exit | undefined,
    waiting: BusCore[],
  ): void {
    const { topic, requestId } = event;
    const count = ++this.#delivered;
    const queues = this.#queues.match(topic);
    if (queues !== undefined) { for (const queue of queues) queue.push(event); }
    const watchers = this.#watchers.match(topic);
    if (watchers !== undefined) {
      for (const each of watchers) {
        each.see(event);
      }
    }
    if (requestId !== undefined && this.#replies.size > 0) {
      const wait = this.#replies.get(requestId);
      if (wait?.replyTopic === topic) {
        // A clock that cannot cancel, or a reply with getters, harms nobody.
        callHook(() => wait.take(event.data), (error) => wait.fail(error));
      }
    }
    if (this.#callbacks.match(topic) !== undefined) {
      this.#calls.push({ event, count });
      waiting.push(this);
    }
    const exits = this.#exits.match(topic);
    if (exits === undefined) return;
    const sent = stamp ?? { origin: this.id, number: ++this.#published };
    for (const exit of exits) {
      if (exit !== way) exit.send(event, sent, waiting);
    }
  }

  #callAll(): void {
    if (this.#isCalling || this.#calls.length === 0) return;
    this.#isCalling = true;
    try {
      for (const call of this.#calls) this.#call(call);
    } finally {
      this.#calls = [];
      this.#isCalling = false;
      if (this.#isClosed) this.#removeCallbacks();
    }
  }

  #call({ event, count }: Call): void {
    const callbacks = this.#callbacks.match(event.topic);
    if (callbacks === undefined) return;
    for (const callback of callbacks) {
      if (callback.since >= count || !this.#callbacks.has(callback)) continue;
      callHook(
        () => callback.call(event),
        (error) => this.#reportError(event.topic, error),
      );
    }
  }

  #removeCallbacks(): void {
    for (const { forget } of this.#callbacks.items) forget?.();
    this.#callbacks.clear();
  }

  #reportError(topic: string, error: unknown): void {
    const { logger, name } = this.settings;
    const sentence = `A callback of bus '${name}' has failed at '${topic}'`;
    report(logger, "error", sentence, { bus: name, topic, error });
  }
}

const cores: WeakMap<object, BusCore> = new WeakMap();

/** Notes what a bus consists of. */
export function noteCore(bus: object, core: BusCore): void {
  cores.set(bus, core);
}

/** What a bus consists of, `undefined` if it is something else. */
export function coreOf(bus: object): BusCore | undefined {
  return cores.get(bus);
}
