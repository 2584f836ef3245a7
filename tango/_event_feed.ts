// Copyright 2026 the Longrun authors. MIT license.

import type { DevError } from "@longrun/tasks/device-proxy";
import { readingOf } from "./_attribute_value.ts";
import { MarshalError } from "./_cdr_reader.ts";
import { devError } from "./_device_failure.ts";
import {
  EVENT_NAMES,
  readDataReady,
  readEvent,
  readInterfaceChange,
} from "./_event_message.ts";
import type { EventSource } from "./_event_channel.ts";
import type { EventQueue } from "./_event_queue.ts";
import { readDevErrors, readReading } from "./_idl.ts";
import { readingWithNumbers } from "./_int64.ts";
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
  /** Reads the value at the moment; `undefined` where there is none. */
  readonly read: () => Promise<TangoEvent | undefined>;
  readonly int64: "bigint" | "number";
}

/** The events of one kind of one attribute. */
export class EventFeed {
  /** What the device that looks after the server is asked for. */
  readonly request: readonly string[];
  readonly listeners: Set<Listener> = new Set();
  /** Whether events may have been missed, as the server was gone. */
  isStale = false;
  /** Whether the server is there, but does not have these events. */
  isRefused = false;
  readonly #attribute: string;
  readonly #type: EventType;
  #last: readonly Uint8Array[] | undefined = undefined;
  #counter = 0;

  constructor({ device, attribute, type }: EventSource) {
    this.#attribute = attribute.toLowerCase();
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
  restart(): void {
    this.#counter = 0;
    this.#last = undefined;
  }

  /**
   * Tells a listener the value at the moment, then what has come meanwhile,
   * then the rest.
   */
  async refresh({ queue, read }: Listener): Promise<void> {
    const release = queue.hold();
    try {
      release(await read());
    } catch (error) {
      if (queue.isClosed) return;
      const attribute = this.#attribute;
      const reason = devError("API_AttributeFailed", String(error));
      release({ attribute, errors: [reason] });
    }
  }

  /** Tells all listeners that events may be missed from now on. */
  lose(errors: readonly DevError[]): void {
    this.isStale = true;
    // The value that was to come first does not come.
    for (const { queue } of this.listeners) queue.letGo();
    this.fail(errors);
  }

  /** Tells all listeners of a message, also of one that cannot be read. */
  take(frames: readonly Uint8Array[]): void {
    try {
      this.#read(frames);
    } catch (error) {
      if (!(error instanceof MarshalError)) throw error;
      const what = `Received malformed data for event ${this.#attribute}`;
      this.fail([devError("API_WrongEventData", `${what}: ${error.message}`)]);
    }
  }

  #read(frames: readonly Uint8Array[]): void {
    const { counter, isFailure, data } = readEvent(frames);
    if (this.#isRepeated(frames, counter)) return;
    this.#checkGap(counter);
    const attribute = this.#attribute;
    if (isFailure) {
      this.fail(readDevErrors(data));
      return;
    }
    switch (this.#type) {
      case "data-ready":
        this.#tell({ attribute, value: readDataReady(data) });
        return;
      case "interface-change":
        this.#tell({ attribute, value: readInterfaceChange(data) });
        return;
      default: {
        const raw = readReading(data);
        this.#tell(
          raw.errors.length > 0
            ? { attribute, errors: raw.errors }
            : readingEvent(attribute, readingOf(raw)),
        );
      }
    }
  }

  #tell(event: TangoEvent): void {
    for (const listener of this.listeners) {
      const reading = "reading" in event ? event.reading : undefined;
      listener.queue.push(
        listener.int64 === "number" && reading !== undefined
          ? readingEvent(event.attribute, readingWithNumbers(reading))
          : event,
      );
    }
  }

  /** Tells all listeners what went wrong. */
  fail(errors: readonly DevError[]): void {
    this.#tell({ attribute: this.#attribute, errors });
  }

  /**
   * Whether a message is the one before. Servers send the first one after each
   * subscription twice; what is really new has another time, or counter. Data
   * that are ready have no time, and some servers do not count.
   */
  #isRepeated(frames: readonly Uint8Array[], counter: number): boolean {
    const [, , call, data] = frames;
    if (call === undefined || data === undefined) return false;
    const last = this.#last;
    if (equals(last?.[0], call) && equals(last?.[1], data)) {
      // Twice, not three times.
      this.#last = undefined;
      return this.#type !== "data-ready" || counter > 0;
    }
    this.#last = [call.slice(), data.slice()];
    return false;
  }

  #checkGap(counter: number): void {
    const missed = this.#counter === 0 ? 0 : counter - this.#counter - 1;
    this.#counter = counter;
    if (missed <= 0) return;
    this.fail([
      devError(
        "API_MissedEvents",
        `${missed} events of '${this.#attribute}' were lost on their way`,
      ),
    ]);
  }
}
