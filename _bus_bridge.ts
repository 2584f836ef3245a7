// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkFunction,
  checkOptions,
  checkSignal,
  checkType,
} from "./_arguments.ts";
import { type BusCore, coreOf, type Exit, type Stamp } from "./_bus_core.ts";
import { toErrorValue } from "./_bus_error.ts";
import { checkPatterns, isTopic } from "./_bus_topics.ts";
import { callHook } from "./_hooks.ts";
import { report } from "./_report.ts";
import { type Envelope, openEnvelope } from "./_thread_messages.ts";
import { onAbort } from "./cancellation.ts";
import type { BusEvent, BusReply, EventBus } from "./event_bus.ts";

/** A listener for the messages of a {@linkcode BusPort}. */
export type BusPortListener = (event: { readonly data: unknown }) => void;

/**
 * One end of a channel that copies messages: a `MessagePort`, a `Worker`, the
 * global scope of a worker, a `BroadcastChannel`.
 */
export interface BusPort {
  /** Sends a copy of a message. */
  postMessage(message: unknown): void;
  /** Begins to tell a listener of messages. */
  addEventListener(type: "message", listener: BusPortListener): void;
  /** Ends that. */
  removeEventListener(type: "message", listener: BusPortListener): void;
  /** Lets the messages come, where that is needed. */
  start?(): void;
}

/** The same in the way of Node: a `Worker` of `node:worker_threads`. */
export interface BusEmitterPort {
  /** Sends a copy of a message. */
  postMessage(message: unknown): void;
  /** Begins to tell a listener of messages. */
  on(type: "message", listener: (message: unknown) => void): unknown;
  /** Ends that. */
  off(type: "message", listener: (message: unknown) => void): unknown;
}

/** Options of {@linkcode bridge}. */
export interface BridgeOptions {
  /**
   * Which events cross the bridge, in both directions.
   *
   * @default {"*"}
   */
  patterns?: string | readonly string[];
  /** Which of them leave the first bus; all by default. */
  outgoing?: (event: BusEvent) => boolean;
  /** Which of them enter the first bus; all by default. */
  incoming?: (event: BusEvent) => boolean;
  /** Closes the bridge. */
  signal?: AbortSignal;
}

/** A way between two buses. */
export interface Bridge extends Disposable {
  /** Whether nothing crosses it any more. */
  readonly isClosed: boolean;
  /** Closes it. What is on its way through a port may still arrive there. */
  close(): void;
}

interface Message extends Omit<BusEvent, "requestId">, Stamp {
  readonly type: "busEvent";
  readonly requestId?: string | undefined;
}

function openMessage(envelope: unknown): Message | undefined {
  const message = openEnvelope<Partial<Message> | null>(envelope);
  if (typeof message !== "object" || message === null) return undefined;
  const { type, topic, source, time, requestId, origin, number } = message;
  const isEvent = type === "busEvent" && isTopic(topic) &&
    typeof source === "string" && Number.isFinite(time) &&
    (requestId === undefined || typeof requestId === "string") &&
    typeof origin === "string" && Number.isSafeInteger(number) &&
    (number ?? 0) > 0;
  return isEvent ? message as Message : undefined;
}

class TwoWay implements Bridge {
  readonly core: BusCore;
  readonly patterns: readonly string[];
  readonly #options: BridgeOptions;
  readonly #ends: (() => void)[] = [];
  #isClosed = false;

  constructor(core: BusCore, options: BridgeOptions) {
    this.core = core;
    this.#options = options;
    this.patterns = checkPatterns(
      "bridge",
      "patterns",
      options.patterns ?? "*",
    );
    this.endWith(core.onClose(() => this.close()));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Notes what is to be done at the end. */
  endWith(end: () => void): void {
    this.#ends.push(end);
  }

  /** Whether an event may cross. */
  admits(way: "outgoing" | "incoming", event: BusEvent): boolean {
    if (this.#isClosed) return false;
    const filter = this.#options[way];
    if (filter === undefined) return true;
    try {
      return filter(event);
    } catch (error) {
      this.report("error", `has a filter that has failed at '${event.topic}'`, {
        topic: event.topic,
        error,
      });
      return false;
    }
  }

  report(
    level: "warn" | "error",
    what: string,
    details: Record<string, unknown>,
  ): void {
    const { name, logger } = this.core.settings;
    const sentence = `A bridge of bus '${name}' ${what}`;
    report(logger, level, sentence, { bus: name, ...details });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const end of this.#ends) end();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function join(way: TwoWay, other: BusCore): void {
  const { core, patterns } = way;
  const out: Exit = {
    patterns,
    order: 0,
    send: (event, stamp, waiting) => {
      if (!way.admits("outgoing", event)) return;
      other.receive(event, stamp, back, waiting);
    },
  };
  const back: Exit = {
    patterns,
    order: 0,
    send: (event, stamp, waiting) => {
      if (!way.admits("incoming", event)) return;
      core.receive(event, stamp, out, waiting);
    },
  };
  way.endWith(other.onClose(() => way.close()));
  way.endWith(core.addExit(out));
  way.endWith(other.addExit(back));
}

/** The reply to tell of a value that cannot be copied. */
function replaceReply(data: unknown, error: unknown): BusReply<never> | void {
  const { ok } = (data ?? {}) as Partial<BusReply<unknown>>;
  if (ok === true) return { ok: false, error: toErrorValue(error) };
}

function joinPort(way: TwoWay, port: BusPort | BusEmitterPort): void {
  const { core, patterns } = way;
  const post = (event: BusEvent, stamp: Stamp): void => {
    const message: Message = { type: "busEvent", ...stamp, ...event };
    port.postMessage({ longrun: message } satisfies Envelope<Message>);
  };
  const out: Exit = {
    patterns,
    order: 0,
    send: (event, stamp) => {
      if (!way.admits("outgoing", event)) return;
      try {
        post(event, stamp);
      } catch (error) {
        const { topic, requestId } = event;
        way.report("error", `could not send an event of '${topic}'`, {
          topic,
          error,
        });
        if (requestId === undefined) return;
        // A reply with getters harms nobody.
        callHook(() => {
          const data = replaceReply(event.data, error);
          if (data) post({ ...event, data }, stamp);
        }, () => {});
      }
    },
  };
  let hasWarned = false;
  const take = (data: unknown): void => {
    const message = openMessage(data);
    if (message === undefined) {
      if (hasWarned) return;
      hasWarned = true;
      way.report("warn", "ignores messages that are no events", {});
      return;
    }
    if (!patterns.includes("*") && !wants(message.topic)) return;
    const { topic, source, time, requestId, origin, number } = message;
    const event: BusEvent = Object.freeze({
      topic,
      data: message.data,
      source,
      time,
      ...requestId !== undefined && { requestId },
    });
    if (!way.admits("incoming", event)) return;
    core.receiveAlone(event, { origin, number }, out);
  };
  const wants = (topic: string): boolean =>
    patterns.some((pattern) =>
      pattern === topic ||
      pattern.endsWith(".*") && topic.startsWith(pattern.slice(0, -1))
    );
  if ("addEventListener" in port) {
    const listener: BusPortListener = ({ data }) => take(data);
    port.addEventListener("message", listener);
    way.endWith(() => port.removeEventListener("message", listener));
    port.start?.();
  } else {
    port.on("message", take);
    way.endWith(() => port.off("message", take));
  }
  way.endWith(core.addExit(out));
}

function isPort(value: object): value is BusPort | BusEmitterPort {
  const has = (name: string): boolean =>
    typeof Reflect.get(value, name) === "function";
  return has("postMessage") && (
    has("addEventListener") && has("removeEventListener") ||
    has("on") && has("off")
  );
}

/**
 * Joins two buses, or a bus and one in another thread, process or page, to
 * which a port leads. What is published on one is an event on the other, once,
 * whatever ways there are between them: rings and diamonds of bridges echo
 * nothing.
 *
 * Through a port events are copied. One that cannot be copied is reported to
 * the logger of the bus, and does not cross; a reply that cannot be copied
 * crosses as an error. Messages that are no events are ignored, with one
 * warning.
 *
 * The bridge ends when one of its buses does. It does not close the port, whose
 * listener may keep the process alive until it is closed.
 *
 * **Gotchas.** Nothing is kept for a bus that is not bridged yet. Both sides
 * of a port need a bridge. A port is trusted to tell the truth about where its
 * events come from.
 *
 * @typeParam A The topics of the first bus.
 * @typeParam B The topics of the second bus.
 * @param a The first bus.
 * @param b The second bus, or a port.
 * @param options What crosses, and what closes the bridge.
 * @returns What closes the bridge.
 * @throws {TypeError} If an argument is of the wrong type, or `b` is `a`.
 *
 * @example Usage
 * ```ts
 * import { bridge, EventBus } from "@longrun/tasks/event-bus";
 * import { assertEquals } from "@std/assert";
 *
 * const service = new EventBus({ name: "service" });
 * const page = new EventBus({ name: "page" });
 * using _ = bridge(service, page, { patterns: "dome.*" });
 *
 * const seen: unknown[] = [];
 * page.onEvent("*", ({ topic, source }) => seen.push([topic, source]));
 * service.publish("dome.moved", 90);
 * service.publish("camera.exposed", 1);
 * assertEquals(seen, [["dome.moved", "service"]]);
 * ```
 */
export function bridge<A extends object, B extends object>(
  a: EventBus<A>,
  b: EventBus<B> | BusPort | BusEmitterPort,
  options: BridgeOptions = {},
): Bridge {
  const doing = "bridge";
  const isObject = (value: unknown): value is object =>
    typeof value === "object" && value !== null;
  const core = isObject(a) ? coreOf(a) : undefined;
  // The scope of a worker is an object, too, a function nowhere.
  const other = isObject(b) ? coreOf(b) : undefined;
  checkOptions(doing, options);
  const { signal, outgoing, incoming } = options;
  checkSignal(doing, signal);
  if (outgoing !== undefined) checkFunction(doing, "outgoing", outgoing);
  if (incoming !== undefined) checkFunction(doing, "incoming", incoming);
  if (core === undefined) {
    checkType(false, doing, "a", "an EventBus", a);
    throw new TypeError("unreachable");
  }
  checkType(
    isObject(b) && (other !== undefined ? other !== core : isPort(b)),
    doing,
    "b",
    "another EventBus or a port",
    b,
  );
  const way = new TwoWay(core, options);
  if (core.isClosed || other?.isClosed || signal?.aborted) way.close();
  else if (other !== undefined) join(way, other);
  else joinPort(way, b as BusPort | BusEmitterPort);
  if (!way.isClosed && signal !== undefined) {
    way.endWith(onAbort(signal, () => way.close()));
  }
  return way;
}
