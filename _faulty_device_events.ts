// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { callHook } from "./_hooks.ts";
import { eventTimeout } from "./_lrc_device_errors.ts";
import { DEFAULT_EVENTS, DeviceEvents } from "./_lrc_device_events.ts";
import type { Clock } from "./clock.ts";
import {
  DeviceError,
  type DeviceEvent,
  type DeviceSubscription,
} from "./device_proxy.ts";

/** Whether something happens to an event. */
export type Verdict = (event: DeviceEvent, chance: number) => boolean;

/** What happens to events on their way. */
export interface EventFaults {
  readonly drop: Verdict;
  readonly malform: Verdict;
  readonly duplicate: number;
  readonly duplicateFirst: boolean;
  readonly delay: readonly [least: number, most: number];
  readonly reorder: boolean;
}

/** What has happened to events. */
export interface EventCounts {
  dropped: number;
  duplicated: number;
  malformed: number;
  lost: number;
}

/** What the events of an attribute need from the way they come by. */
export interface EventWay {
  readonly isDown: boolean;
  readonly clock: Clock;
  readonly faults: EventFaults;
  readonly counts: EventCounts;
  /** Reads the attribute. */
  read(): Promise<unknown>;
  /** They are not wanted any more. */
  leave(events: FaultyEvents): void;
}

/** A source of chance that can be repeated. */
export class Chance {
  #state: number;

  constructor(seed: number, stream: number) {
    const mixed = Math.imul(seed, 0x9e3779b1) ^
      Math.imul(stream + 1, 0x85ebca6b);
    this.#state = mixed === 0 ? 1 : mixed;
  }

  /** A number from 0, and below 1. */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return (state >>> 0) / 0x1_0000_0000;
  }
}

function cut(text: string): string {
  return text.slice(0, Math.floor(text.length / 2));
}

/** Cuts the last text of a value in half; what has none stays as it is. */
function malformed(value: unknown): unknown {
  if (typeof value === "string") return cut(value);
  const last: unknown = Array.isArray(value) ? value.at(-1) : undefined;
  return Array.isArray(value) && typeof last === "string"
    ? [...value.slice(0, -1), cut(last)]
    : value;
}

/** Events of an attribute that come by a way which is not to be trusted. */
export class FaultyEvents {
  /** What the subscriber gets. */
  readonly outer: DeviceEvents;
  readonly #attribute: string;
  readonly #inner: DeviceSubscription;
  readonly #way: EventWay;
  readonly #chance: Chance;
  readonly #timers: Set<() => void> = new Set();
  #rereading: Promise<void> | undefined = undefined;
  #lastDue = 0;
  #hasChanged = false;
  #hasEnded = false;

  constructor(
    attribute: string,
    inner: DeviceSubscription,
    way: EventWay,
    chance: Chance,
  ) {
    this.#attribute = attribute;
    this.#inner = inner;
    this.#way = way;
    this.#chance = chance;
    this.outer = new DeviceEvents(
      attribute,
      DEFAULT_EVENTS,
      () => this.#close(),
    );
    this.#pump();
  }

  /** The way has broken: what is on it is lost. */
  lose(): void {
    this.#way.counts.lost += this.#timers.size;
    this.#cancelTimers();
    this.#endIfDone();
  }

  /** The way is still broken. */
  tellTimeout(): void {
    const attribute = this.#attribute;
    this.outer.push({ attribute, errors: [eventTimeout(attribute)] });
  }

  /** The way is there again. */
  reread(): void {
    this.#rereading = this.#reread();
  }

  async #reread(): Promise<void> {
    const attribute = this.#attribute.toLowerCase();
    try {
      const value = await this.#way.read();
      this.outer.push({ attribute, value });
    } catch (error) {
      if (this.#way.isDown) return;
      if (!(error instanceof DeviceError)) this.outer.fail(error);
      else this.outer.push({ attribute, errors: error.errors });
    }
  }

  async #pump(): Promise<void> {
    try {
      for (let isInitial = true;; isInitial = false) {
        const result = await this.#inner.next();
        await this.#rereading;
        if (result.done) break;
        if (this.#way.isDown) this.#way.counts.lost++;
        else if (isInitial) this.outer.push(result.value);
        else this.#pass(result.value);
      }
      this.#hasEnded = true;
      this.#endIfDone();
    } catch (error) {
      this.outer.fail(error);
    }
  }

  #pass(event: DeviceEvent): void {
    const { faults, counts } = this.#way;
    const isFirst = !this.#hasChanged;
    this.#hasChanged = true;
    // As many numbers for each event, so that one fault more or less leaves
    // all the others as they are.
    const [drop = 0, malform = 0, duplicate = 0, delay = 0, delayOfCopy = 0] =
      Array.from({ length: 5 }, () => this.#chance.next());
    if (faults.drop(event, drop)) {
      counts.dropped++;
      return;
    }
    let sent = event;
    if (faults.malform(event, malform) && "value" in event) {
      counts.malformed++;
      sent = { ...event, value: malformed(event.value) };
    }
    this.#deliver(sent, delay);
    if ((isFirst && faults.duplicateFirst) || duplicate < faults.duplicate) {
      counts.duplicated++;
      this.#deliver(sent, delayOfCopy);
    }
  }

  #deliver(event: DeviceEvent, chance: number): void {
    const { faults: { delay: [least, most], reorder }, clock } = this.#way;
    if (most === 0) {
      this.outer.push(event);
      return;
    }
    const now = clock.now();
    const due = now + least + chance * (most - least);
    const time = reorder ? due : Math.max(due, this.#lastDue);
    this.#lastDue = time;
    const cancel = clock.setTimer(() => {
      this.#timers.delete(cancel);
      this.outer.push(event);
      this.#endIfDone();
    }, time - now);
    this.#timers.add(cancel);
  }

  #endIfDone(): void {
    if (this.#hasEnded && this.#timers.size === 0) this.outer.end();
  }

  #cancelTimers(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  #close(): void {
    this.#cancelTimers();
    this.#way.leave(this);
    callHook(() => this.#inner.return(), () => {});
  }
}
