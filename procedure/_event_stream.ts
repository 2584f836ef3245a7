// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import type { BusEvent } from "@longrun/tasks/event-bus";
import type { Logger } from "@longrun/tasks/logger";
import {
  EventReader,
  type Filter,
  type StreamRequest,
} from "./_event_reader.ts";
import { jsonValue } from "./_json_value.ts";
import { unavailable } from "./_problem.ts";
import { joined, StoredEvent } from "./_stored_event.ts";
import type { ProcedureBus } from "./procedure_service.ts";

/** What limits the streams. */
export interface EventStreamSettings {
  /** How many events are kept. */
  readonly replay: number;
  /** How many bytes the events that are kept have at most. */
  readonly replayBytes: number;
  readonly maxStreams: number;
  readonly heartbeat: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** An event as it travels, its addresses below the root. */
  readonly encode: (event: BusEvent, root: string) => Record<string, unknown>;
}

/** How long the events are gathered before they are sent, at least. */
const GATHERING = 10;

/** How much longer for each reader: a piece costs whatever it holds. */
const GATHERING_EACH = 0.2;

/** How much is handed to the runtime at a time, in bytes. */
const MOST_AT_ONCE = 64 * 1024;

/** An event that has more is told without its data. */
const MOST_EVENT = 1024 * 1024;

/** How many pieces are kept for readers that are at the same place. */
const MOST_PIECES = 16;

function textOf(data: Record<string, unknown>): string {
  try {
    return JSON.stringify(data);
  } catch {
    // Somebody has published something else on this topic.
    return JSON.stringify(jsonValue(data));
  }
}

/**
 * The events that are kept, and those who read them. A reader is a place among
 * them: it has no buffer, no timer and no listener of its own.
 */
export class EventStreamHub {
  readonly #settings: EventStreamSettings;
  // Another life of the service counts from the beginning.
  readonly boot: string = crypto.randomUUID().slice(0, 8);
  readonly #mark: string = `urn:uuid:${crypto.randomUUID()}`;
  readonly #events: Map<number, StoredEvent> = new Map();
  readonly #streams: Set<EventReader> = new Set();
  readonly #pieces: Map<string, { bytes: Uint8Array; end: number }> = new Map();
  readonly #forget: () => void;
  #first = 1;
  #last = 0;
  #released = 0;
  #length = 0;
  #isGathering = false;
  #isScheduled = false;
  #isClosed = false;
  #cancelBeat: (() => void) | undefined = undefined;
  #cancelGathering: (() => void) | undefined = undefined;

  constructor(bus: ProcedureBus, settings: EventStreamSettings) {
    this.#settings = settings;
    this.#forget = bus.onEvent("*", (event) => this.#take(event));
  }

  /** How many readers there are. */
  get streams(): number {
    return this.#streams.size;
  }

  /** The number of the first event that is kept. */
  get first(): number {
    return this.#first;
  }

  /** The number of the last event that may be sent. */
  get released(): number {
    return this.#released;
  }

  /**
   * A stream of events, from now on or after the last event that is known.
   *
   * @throws {Problem} If there are too many.
   */
  open(request: StreamRequest): ReadableStream<Uint8Array> {
    const { maxStreams } = this.#settings;
    if (this.#streams.size >= maxStreams) {
      const detail = `There are ${maxStreams} streams of events already`;
      throw unavailable("too-many-streams", detail);
    }
    this.#release();
    const stream = new EventReader(this, request, () => this.#remove(stream));
    this.#streams.add(stream);
    if (this.#streams.size === 1) this.#beatLater();
    return stream.body;
  }

  /** Ends all streams after what is left to tell. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forget();
    this.#cancelBeat?.();
    this.#cancelGathering?.();
    this.#release();
    for (const stream of [...this.#streams]) stream.close();
  }

  /** The next events of a reader, and how far they go. */
  after(
    place: number,
    filter: Filter,
    root: string,
  ): { bytes: Uint8Array | undefined; end: number } {
    const key = `${place}:${this.#released}:${root}:${filter.key}`;
    const known = this.#pieces.get(key);
    if (known !== undefined) return known;
    const pieces: Uint8Array[] = [];
    let length = 0;
    let end = place;
    while (end < this.#released && length < MOST_AT_ONCE) {
      const event = this.#events.get(++end);
      if (event === undefined || !filter.matches(event.topic)) continue;
      const bytes = event.bytes(root);
      pieces.push(bytes);
      length += bytes.length;
    }
    if (pieces.length === 0) return { bytes: undefined, end };
    const piece = { bytes: joined(pieces, length), end };
    if (this.#streams.size > 1) {
      if (this.#pieces.size >= MOST_PIECES) {
        const [oldest] = this.#pieces.keys();
        if (oldest !== undefined) this.#pieces.delete(oldest);
      }
      this.#pieces.set(key, piece);
    }
    return piece;
  }

  #take(event: BusEvent): void {
    const number = ++this.#last;
    const data = this.#dataOf(event);
    const text = `id: ${this.boot}-${number}\ndata: ${data}\n\n`;
    const stored = new StoredEvent(event.topic, text, this.#mark);
    this.#events.set(number, stored);
    this.#length += stored.length;
    const { replay, replayBytes } = this.#settings;
    while (
      this.#events.size > 1 &&
      (this.#events.size > replay || this.#length > replayBytes)
    ) this.#evict();
    if (this.#streams.size > 0) this.#releaseSoon();
    else this.#released = this.#last;
  }

  #dataOf(event: BusEvent): string {
    const { encode, logger } = this.#settings;
    const { topic, source: msg_src, time } = event;
    const head = { topic, msg_src, time: time / 1000 };
    try {
      const text = textOf(encode(event, this.#mark));
      if (text.length <= MOST_EVENT) return text;
      const detail = `The event has ${text.length} characters`;
      return JSON.stringify({ ...head, error: detail });
    } catch (error) {
      logger.warn("An event cannot be shown", { topic, error });
      return JSON.stringify({ ...head, error: "The event cannot be shown" });
    }
  }

  #evict(): void {
    const number = this.#first++;
    const event = this.#events.get(number);
    if (event === undefined) return;
    this.#events.delete(number);
    this.#length -= event.length;
    for (const stream of this.#streams) stream.lose(number, event.topic);
  }

  /** The first event after a silence goes at once, the others in company. */
  #releaseSoon(): void {
    if (this.#isScheduled || this.#isGathering) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.#isGathering && !this.#isClosed) this.#releaseAndGather();
    });
  }

  #releaseAndGather(): void {
    this.#isGathering = true;
    this.#cancelGathering = this.#settings.clock.setTimer(
      () => {
        this.#isGathering = false;
        if (this.#released < this.#last) this.#releaseAndGather();
      },
      Math.max(GATHERING, GATHERING_EACH * this.#streams.size),
    );
    this.#release();
  }

  #release(): void {
    if (this.#released === this.#last) return;
    this.#released = this.#last;
    this.#pieces.clear();
    for (const stream of [...this.#streams]) stream.wake();
  }

  #remove(stream: EventReader): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.#cancelBeat?.();
    this.#cancelBeat = undefined;
    this.#pieces.clear();
  }

  #beatLater(): void {
    const { clock, heartbeat } = this.#settings;
    this.#cancelBeat = clock.setTimer(
      () => {
        for (const stream of [...this.#streams]) stream.beat();
        if (this.#streams.size > 0) this.#beatLater();
      },
      heartbeat,
      { ref: false },
    );
  }
}
