// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  type HttpDeviceClient,
  HttpDeviceError,
} from "./_http_device_client.ts";
import type { HttpDeviceSettings } from "./_http_device_options.ts";
import { Latch } from "./_latch.ts";
import { LazyTimer } from "./_lazy_timer.ts";
import { eventTimeout } from "./_lrc_device_errors.ts";
import { DeviceEvents } from "./_lrc_device_events.ts";
import { reasonsOf } from "./_lrc_errors.ts";
import { type SseEvent, SseParser } from "./_lrc_http_sse.ts";
import { EventKind, parseId, readEvent } from "./_lrc_http_wire.ts";
import { report } from "./_report.ts";
import { CancelScope, onAbort, sleep } from "./cancellation.ts";
import { DeviceError, type DeviceSubscription } from "./device_proxy.ts";

/** The longest advice that is heeded, as nothing is heard until then. */
const LONGEST_HINT = 60_000;

/** A stream of events that stands. */
interface Connection {
  /** Opens when it stands no more. */
  readonly ended: Latch;
  error: unknown;
}

/** The events of an attribute, by as many streams as it takes. */
export class HttpEvents {
  readonly outer: DeviceEvents;
  readonly #attribute: string;
  readonly #client: HttpDeviceClient;
  readonly #settings: HttpDeviceSettings;
  readonly #scope: CancelScope = new CancelScope();
  /** The id of the last event: where the next stream goes on. */
  #lastId = "";
  /** When the server wants to be asked again, in milliseconds. */
  #hint = 0;
  /** The subscriber was told that there is no stream. */
  #isOutageTold = false;
  /** Nothing was lost between the last stream and this one. */
  #isSeamless = false;

  constructor(
    attribute: string,
    client: HttpDeviceClient,
    settings: HttpDeviceSettings,
    onClose: () => void,
  ) {
    this.#attribute = attribute;
    this.#client = client;
    this.#settings = settings;
    this.outer = new DeviceEvents(attribute, settings.eventCapacity, () => {
      this.#scope.abort();
      onClose();
    });
  }

  /**
   * Opens the first stream.
   *
   * @throws {DeviceError} If it cannot be opened.
   */
  async begin(): Promise<DeviceSubscription> {
    try {
      this.#run(await this.#connect());
      return this.outer;
    } catch (error) {
      this.outer.end();
      throw error;
    }
  }

  /** Reads streams, one after the other. Never rejects. */
  async #run(first: Connection): Promise<void> {
    const { signal } = this.#scope;
    const { clock, restart: { resetAfter = Infinity } } = this.#settings;
    let connection = first;
    let attempt = 0;
    try {
      for (;;) {
        const since = clock.now();
        await connection.ended.wait({ signal });
        if (signal.aborted) return;
        this.#log("has broken", connection.error);
        if (clock.now() - since >= resetAfter) attempt = 0;
        let next: Connection | undefined;
        let error = connection.error;
        while (next === undefined) {
          await this.#pause(++attempt, error);
          try {
            next = await this.#connect();
          } catch (failure) {
            if (signal.aborted) return;
            this.#log("could not be opened again", error = failure);
            this.#tellOutage(error);
          }
        }
        connection = next;
      }
    } catch (error) {
      this.outer.fail(error);
    }
  }

  async #pause(attempt: number, error: unknown): Promise<void> {
    const { restart, clock } = this.#settings;
    const delay = restart.delay(attempt, error);
    if (delay === undefined) throw error;
    const hint = Math.min(this.#hint, LONGEST_HINT);
    this.#hint = 0;
    await sleep(hint + delay, { signal: this.#scope.signal, clock });
  }

  #tellOutage(error: unknown): void {
    if (error instanceof HttpDeviceError) {
      if (error.isFinal) throw error;
      this.#hint = error.retryAfter;
    }
    if (this.#isOutageTold) return;
    this.#isOutageTold = true;
    const attribute = this.#attribute;
    const errors = [eventTimeout(attribute), ...reasonsOf(error)];
    this.outer.push({ attribute, errors });
  }

  /** Opens a stream; resolves with its first event. */
  async #connect(): Promise<Connection> {
    const { clock, timeout } = this.#settings;
    const { signal } = this.#scope;
    const scope = new CancelScope(signal);
    const connection: Connection = { ended: new Latch(), error: undefined };
    const first = new Latch();
    this.#isSeamless = this.#lastId !== "" && !this.#isOutageTold;
    this.#read(scope, () => first.open()).then((error) => {
      scope.dispose();
      connection.error = error;
      connection.ended.open();
      first.pulse();
    });
    const ms = timeout === Infinity ? undefined : timeout;
    const isInTime = await first.wait({ signal, ms, clock });
    if (!isInTime) {
      const error = new DeviceError([{
        ...eventTimeout(this.#attribute),
        desc: `No event within ${timeout} ms`,
      }]);
      scope.abort(error);
      throw error;
    }
    if (first.isOpen) return connection;
    const { error } = connection;
    if (error instanceof DeviceError || signal.aborted) throw error;
    throw new DeviceError(reasonsOf(error), { cause: error });
  }

  /** Reads a stream to its end; returns why it has ended. */
  async #read(scope: CancelScope, onFirst: () => void): Promise<unknown> {
    const { clock, silence, maxBody } = this.#settings;
    const { signal } = scope;
    const parser = new SseParser(maxBody, (event) => {
      this.#receive(event);
      onFirst();
    });
    const decoder = new TextDecoder();
    const timer = new LazyTimer(clock, () => {
      const error = eventTimeout(this.#attribute);
      scope.abort(new DeviceError([error]));
    });
    let forget = (): void => {};
    try {
      const reader = (await this.#open(signal)).getReader();
      // A read that is under way ends with this, whatever becomes of the way.
      forget = onAbort(signal, (reason) => {
        reader.cancel(reason).catch(() => {});
      });
      for (;;) {
        timer.set(clock.now() + silence);
        const { done, value } = await reader.read();
        signal.throwIfAborted();
        if (done) throw new Error("The stream of events has ended");
        parser.push(decoder.decode(value, { stream: true }));
      }
    } catch (error) {
      if (parser.retry !== undefined) this.#hint = parser.retry;
      scope.abort(error);
      return error;
    } finally {
      timer.cancel();
      forget();
    }
  }

  #open(signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const attribute = encodeURIComponent(this.#attribute);
    const lastId = this.#lastId;
    return this.#client.open({
      method: "GET",
      path: `/events?attribute=${attribute}`,
      headers: lastId === "" ? {} : { "last-event-id": lastId },
      signal,
    });
  }

  #receive({ event: kind, data, id }: SseEvent): void {
    // What is no id of a handler may not even fit into a header.
    this.#lastId = parseId(id) === undefined ? "" : id;
    const attribute = this.#attribute;
    const event = readEvent(data, attribute) ?? {
      attribute,
      errors: [{
        reason: "LRC_MalformedEvent",
        desc: "An event is not JSON",
        severity: "ERR",
        origin: "http",
      }],
    };
    switch (kind) {
      case EventKind.PRESENT:
        if (!this.#isSeamless || "errors" in event) this.outer.push(event);
        this.#isOutageTold = false;
        break;
      case EventKind.GAP:
        this.#isSeamless = false;
        this.outer.push(event);
        break;
      case EventKind.CHANGE:
        this.outer.push(event);
        break;
      case EventKind.END:
        if ("errors" in event) this.outer.fail(new DeviceError(event.errors));
        else this.outer.end();
    }
  }

  #log(what: string, error: unknown): void {
    const { name: device, logger } = this.#settings;
    const attribute = this.#attribute;
    const sentence =
      `Device '${device}': the stream of events of '${attribute}' ${what}`;
    report(logger, "debug", sentence, { device, attribute, error });
  }
}
