// Copyright 2026 the Longrun authors. MIT license.

import { readingOf } from "./_attribute_value.ts";
import { devError } from "./_device_failure.ts";
import {
  EVENT_NAMES,
  readDataReady,
  readEvent,
  readInterfaceChange,
} from "./_event_message.ts";
import type { EventQueue } from "./_event_queue.ts";
import { readDevErrors, readReading } from "./_idl.ts";
import { withNumbers } from "./_int64.ts";
import type { EventType, TangoEvent } from "./device_event.ts";
import type { AttributeReading } from "./tango_types.ts";

/** The version of the interface whose events are asked for. */
const INTERFACE_VERSION = "5";

function equals(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  return a.every((byte, index) => byte === b[index]);
}

/** What was read of an attribute, as an event. */
export function readingEvent(
  attribute: string,
  reading: AttributeReading,
): TangoEvent {
  return { attribute, value: reading.value, reading };
}

/** Somebody who wants to know. */
export interface Listener {
  readonly queue: EventQueue;
  /** Reads the value at the moment. */
  readonly read: () => Promise<TangoEvent | undefined>;
  readonly int64: "bigint" | "number";
  /** What has come before the value at the beginning. */
  early: TangoEvent[] | undefined;
}

/** The events of one kind of one attribute. */
export class EventFeed {
  /** What the device that looks after the server is asked for. */
  readonly request: readonly string[];
  readonly listeners: Set<Listener> = new Set();
  /** By which its messages are known, once that is known. */
  topic: string | undefined = undefined;
  readonly #attribute: string;
  readonly #type: EventType;
  #last: readonly Uint8Array[] | undefined = undefined;
  #counter = 0;

  constructor(device: string, attribute: string, type: EventType) {
    this.#attribute = attribute;
    this.#type = type;
    this.request = [
      device,
      attribute,
      "subscribe",
      EVENT_NAMES[type],
      INTERFACE_VERSION,
    ];
  }

  /** Forgets what came before: from now on it comes from somewhere else. */
  restart(topic: string): void {
    this.topic = topic;
    this.#counter = 0;
    this.#last = undefined;
  }

  /**
   * Tells all listeners of a message.
   *
   * @throws {MarshalError} If it is none.
   */
  take(frames: readonly Uint8Array[]): void {
    const { counter, isFailure, data } = readEvent(frames);
    if (this.#isRepeated(frames)) return;
    this.#checkGap(counter);
    const attribute = this.#attribute.toLowerCase();
    if (isFailure) {
      this.tell({ attribute, errors: readDevErrors(data) });
      return;
    }
    switch (this.#type) {
      case "data-ready":
        this.tell({ attribute, value: readDataReady(data) });
        return;
      case "interface-change":
        this.tell({ attribute, value: readInterfaceChange(data) });
        return;
      default: {
        const raw = readReading(data);
        this.tell(
          raw.errors.length > 0
            ? { attribute, errors: raw.errors }
            : readingEvent(attribute, readingOf(raw)),
        );
      }
    }
  }

  /** Tells all listeners of an event. */
  tell(event: TangoEvent): void {
    for (const listener of this.listeners) {
      const told = listener.int64 === "number" && "value" in event
        ? { ...event, value: withNumbers(event.value) }
        : event;
      if (listener.early === undefined) listener.queue.push(told);
      else listener.early.push(told);
    }
  }

  /**
   * Whether a message is the one before. Servers send the first one after each
   * subscription twice; what is really new has another time, or counter.
   */
  #isRepeated(frames: readonly Uint8Array[]): boolean {
    const [, , call, data] = frames;
    if (call === undefined || data === undefined) return false;
    const last = this.#last;
    if (equals(last?.[0], call) && equals(last?.[1], data)) {
      // Twice, not three times.
      this.#last = undefined;
      return this.#type !== "data-ready";
    }
    this.#last = [call.slice(), data.slice()];
    return false;
  }

  #checkGap(counter: number): void {
    const missed = this.#counter === 0 ? 0 : counter - this.#counter - 1;
    this.#counter = counter;
    if (missed <= 0) return;
    const attribute = this.#attribute.toLowerCase();
    const error = devError(
      "API_MissedEvents",
      `${missed} events of '${attribute}' were lost on their way`,
    );
    this.tell({ attribute, errors: [error] });
  }
}
