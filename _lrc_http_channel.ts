// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Closing } from "./_closing.ts";
import { reasonsOf } from "./_lrc_errors.ts";
import { encodeJson, EventKind, formatId } from "./_lrc_http_wire.ts";
import { formatEvent } from "./_lrc_http_sse.ts";
import { PATIENCE } from "./_lrc_repair.ts";
import { report } from "./_report.ts";
import { DEFAULT_GRACE } from "./_run.ts";
import { CancelScope, timeout } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type {
  DeviceEvent,
  DeviceProxy,
  DeviceSubscription,
} from "./device_proxy.ts";
import type { Logger } from "./logger.ts";

/** An event as it is sent, and its number among all events of the handler. */
export interface Entry {
  readonly sequence: number;
  readonly text: string;
}

/** Numbers the events of a handler, of all devices and attributes. */
export interface Counter {
  readonly epoch: string;
  sequence: number;
}

/** What limits the events that are kept, and what measures the time. */
export interface ChannelSettings {
  readonly replay: number;
  readonly replayBytes: number;
  readonly linger: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Told that there is something new. */
export type Wake = () => void;

/** An event as text. What JSON cannot carry becomes an error. */
export function eventText(
  kind: string,
  event: DeviceEvent,
  id: string | undefined,
): string {
  try {
    return formatEvent(kind, encodeJson(event), id);
  } catch (error) {
    const { attribute } = event;
    const errors = reasonsOf(error);
    return formatEvent(kind, encodeJson({ attribute, errors }), id);
  }
}

/**
 * The events of an attribute, subscribed to once for any number of streams. The
 * last of them are kept, so that a stream is nothing but a place among them.
 */
export class Channel {
  readonly device: DeviceProxy;
  readonly attribute: string;
  /** Resolves when the subscription stands. */
  readonly opened: Promise<void>;
  readonly #counter: Counter;
  readonly #settings: ChannelSettings;
  readonly #onClose: () => void;
  readonly #scope: CancelScope = new CancelScope();
  readonly #wakes: Set<Wake> = new Set();
  readonly #entries: Entry[] = [];
  #length = 0;
  #floor: number;
  #end: string | undefined = undefined;
  #subscription: DeviceSubscription | undefined = undefined;
  #cancelLinger: (() => void) | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  constructor(
    device: DeviceProxy,
    attribute: string,
    counter: Counter,
    settings: ChannelSettings,
    onClose: () => void,
  ) {
    this.device = device;
    this.attribute = attribute;
    this.#counter = counter;
    this.#floor = counter.sequence;
    this.#settings = settings;
    this.#onClose = onClose;
    this.opened = this.#open();
    // Whoever waits for it hears of a failure.
    this.opened.catch(() => {});
  }

  /** What was lost has this number or a lower one. */
  get floor(): number {
    return this.#floor;
  }

  /** The event that says that there are no more, once there are no more. */
  get end(): string | undefined {
    return this.#end;
  }

  /** The first event after a number. */
  after(sequence: number): Entry | undefined {
    const entries = this.#entries;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = entries[middle];
      if (entry !== undefined && entry.sequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return entries[low];
  }

  /** Takes part. */
  join(wake: Wake): void {
    this.#cancelLinger?.();
    this.#cancelLinger = undefined;
    this.#wakes.add(wake);
  }

  /** Leaves. The last but one to leave is the time. */
  leave(wake: Wake): void {
    if (!this.#wakes.delete(wake) || this.#wakes.size > 0) return;
    if (this.#closing !== undefined) return;
    const { clock, linger } = this.#settings;
    const close = (): void => void this.close();
    if (linger === 0) close();
    else if (linger < Infinity) {
      this.#cancelLinger = clock.setTimer(close, linger, { ref: false });
    }
  }

  /** Leaves the device. Resolves when that is done, or took too long. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #open(): Promise<void> {
    const { signal } = this.#scope;
    try {
      const { device, attribute } = this;
      const limits = { signal, clock: this.#settings.clock };
      // Never fails at once: this channel has to be known before it is closed.
      const subscribe = async (): Promise<DeviceSubscription> =>
        await device.subscribe(attribute, { signal });
      // One that comes when nobody waits for it any more is left at once.
      const coming = subscribe().then((subscription) => {
        if (signal.aborted) this.#leave(subscription);
        else this.#subscription = subscription;
        return subscription;
      });
      const subscription = await timeout(coming, PATIENCE, limits);
      // The value at the moment: each stream reads its own.
      const first = await timeout(subscription.next(), PATIENCE, limits);
      // A number of its own: whoever was here before may have missed something.
      this.#floor = ++this.#counter.sequence;
      if (first.done) this.#finish(undefined);
      else this.#pump(subscription);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #pump(subscription: DeviceSubscription): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await subscription.next();
        if (this.#scope.aborted) return;
        if (done) break;
        this.#add(value);
      }
      this.#finish(undefined);
    } catch (error) {
      if (!this.#scope.aborted) this.#finish(error);
    }
  }

  #add(event: DeviceEvent): void {
    const { epoch } = this.#counter;
    const sequence = ++this.#counter.sequence;
    const id = formatId({ epoch, sequence });
    const text = eventText(EventKind.CHANGE, event, id);
    const entries = this.#entries;
    entries.push({ sequence, text });
    this.#length += text.length;
    const { replay, replayBytes } = this.#settings;
    while (
      entries.length > replay ||
      (this.#length > replayBytes && entries.length > 1)
    ) {
      const lost = entries.shift();
      if (lost === undefined) break;
      this.#floor = lost.sequence;
      this.#length -= lost.text.length;
    }
    this.#wakeAll();
  }

  #finish(error: unknown): void {
    const { attribute } = this;
    const event = error === undefined
      ? { attribute, value: undefined }
      : { attribute, errors: reasonsOf(error) };
    this.#end = eventText(EventKind.END, event, undefined);
    this.close();
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of this.#wakes) wake();
  }

  async #close(): Promise<void> {
    this.#cancelLinger?.();
    this.#scope.abort();
    this.#onClose();
    const subscription = this.#subscription;
    if (subscription !== undefined) await this.#leave(subscription);
  }

  async #leave(subscription: DeviceSubscription): Promise<void> {
    const { clock } = this.#settings;
    const onFailure = (error: unknown): void =>
      this.#warn("a subscription failed while it was left", error);
    const closing = new Closing(() => subscription.return(), onFailure);
    try {
      if (await closing.wait(DEFAULT_GRACE, clock)) return;
      this.#warn("a subscription could not be left", undefined);
    } catch (error) {
      onFailure(error);
    }
  }

  #warn(what: string, error: unknown): void {
    const { device: { name: device }, attribute } = this;
    const sentence = `Attribute '${attribute}' of '${device}': ${what}`;
    report(this.#settings.logger, "warn", sentence, {
      device,
      attribute,
      ...(error === undefined ? {} : { error }),
    });
  }
}
