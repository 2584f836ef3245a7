// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { BusCore } from "./_bus_core.ts";
import { toErrorValue } from "./_bus_error.ts";
import { followPromise, isPromiseLike } from "./_promise_fanout.ts";
import { report } from "./_report.ts";
import { Line } from "./_subscription.ts";
import { CancelScope, onAbort } from "./cancellation.ts";
import type { BusEvent, BusReply, BusResponder } from "./event_bus.ts";

/** A request, with the id that its reply bears. */
type Request = BusEvent & { readonly requestId: string };

const isRequest = (event: BusEvent): event is Request =>
  event.requestId !== undefined;

/** Settings of a {@linkcode Responder}. */
export interface ResponderSettings {
  readonly topic: string;
  readonly replyTopic: string;
  readonly handler: (
    data: unknown,
    context: { readonly event: BusEvent; readonly signal: AbortSignal },
  ) => unknown;
  readonly signal: AbortSignal | undefined;
  readonly concurrency: number;
  readonly capacity: number;
}

/** Answers the requests of a topic: each once, however that ends. */
export class Responder implements BusResponder {
  readonly #core: BusCore;
  readonly #settings: ResponderSettings;
  readonly #scope: CancelScope = new CancelScope();
  /** What was published, but is not told yet, as others are told before. */
  readonly #arriving: Line<Request> = new Line();
  readonly #waiting: Line<Request> = new Line();
  /** The requests that are handled, with what lets go of their promises. */
  readonly #running: Map<Request, (() => void) | undefined> = new Map();
  readonly #ends: (() => void)[] = [];
  #hasWarned = false;
  #isStarting = false;
  #isClosed = false;

  constructor(core: BusCore, settings: ResponderSettings) {
    this.#core = core;
    this.#settings = settings;
    const { topic, signal } = settings;
    if (core.isClosed || signal?.aborted) {
      this.#isClosed = true;
      return;
    }
    this.#ends.push(
      core.watch({
        patterns: [topic],
        order: 0,
        see: (event) => isRequest(event) && this.#arriving.push(event),
      }),
      core.onEvent([topic], (event) => this.#take(event), undefined),
      core.beforeClose(() => this.close()),
    );
    if (signal !== undefined) {
      this.#ends.push(onAbort(signal, (reason) => this.#close(reason)));
    }
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  close(): void {
    const what = `The responder of '${this.#settings.topic}' was closed`;
    this.#close(new DOMException(what, "AbortError"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #close(reason: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const end of this.#ends) end();
    const running = [...this.#running];
    this.#running.clear();
    for (const [request, forget] of running) {
      forget?.();
      this.#refuse(request, reason);
    }
    for (const line of [this.#waiting, this.#arriving]) {
      for (
        let request = line.shift();
        request !== undefined;
        request = line.shift()
      ) this.#refuse(request, reason);
    }
    this.#scope.abort(reason);
  }

  #take(event: BusEvent): void {
    if (!isRequest(event)) {
      this.#warn();
      return;
    }
    this.#arriving.shift();
    const { topic, capacity } = this.#settings;
    if (this.#hasRoom || this.#waiting.length < capacity) {
      this.#waiting.push(event);
      this.#startAll();
    } else {
      const message =
        `The responder of '${topic}' has ${capacity} requests waiting`;
      this.#refuse(event, new RangeError(message));
    }
  }

  get #hasRoom(): boolean {
    return this.#running.size < this.#settings.concurrency;
  }

  #warn(): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const { logger, name } = this.#core.settings;
    const { topic } = this.#settings;
    const sentence =
      `A responder of bus '${name}' ignores events of '${topic}' that are no requests`;
    report(logger, "warn", sentence, { bus: name, topic });
  }

  /** Starts as many as may run. Those that end at once make room for others. */
  #startAll(): void {
    if (this.#isStarting) return;
    this.#isStarting = true;
    while (this.#hasRoom) {
      const request = this.#waiting.shift();
      if (request === undefined) break;
      this.#start(request);
    }
    this.#isStarting = false;
  }

  #start(event: Request): void {
    this.#running.set(event, undefined);
    try {
      const { signal } = this.#scope;
      const result = this.#settings.handler(event.data, { event, signal });
      if (!isPromiseLike(result)) {
        this.#end(event, { ok: true, value: result });
        return;
      }
      const forget = followPromise(
        result,
        (value) => this.#end(event, { ok: true, value }),
        (error) => this.#end(event, { ok: false, error: toErrorValue(error) }),
      );
      if (this.#running.has(event)) this.#running.set(event, forget);
      else forget();
    } catch (error) {
      this.#end(event, { ok: false, error: toErrorValue(error) });
    }
  }

  #end(request: Request, reply: BusReply<unknown>): void {
    if (!this.#running.delete(request)) return;
    this.#reply(request, reply);
    this.#startAll();
  }

  #refuse(request: Request, reason: unknown): void {
    this.#reply(request, { ok: false, error: toErrorValue(reason) });
  }

  #reply({ requestId }: Request, reply: BusReply<unknown>): void {
    const { replyTopic } = this.#settings;
    this.#core.publish(replyTopic, Object.freeze(reply), undefined, requestId);
  }
}
