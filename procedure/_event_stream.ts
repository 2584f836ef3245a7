// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import type { BusEvent } from "@longrun/tasks/event-bus";
import type { Logger } from "@longrun/tasks/logger";
import { jsonValue } from "./_json_value.ts";
import { tell, unavailable } from "./_problem.ts";
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

/** What a reader of events wants. */
export interface StreamRequest {
  readonly patterns: readonly string[];
  /** What its addresses are below. */
  readonly root: string;
  /** The last event it has seen. */
  readonly lastEventId: string | undefined;
}

/** How long the events are gathered before they are sent, at least. */
const GATHERING = 10;

/** How much longer for each reader: a piece costs whatever it holds. */
const GATHERING_EACH = 0.2;

/** How much is handed to the runtime at a time, in bytes. */
const MOST_AT_ONCE = 64 * 1024;

/** An event that has more is told without its data. */
const MOST_EVENT = 1024 * 1024;

/** A reader that lets so many signs of life lie is given up. */
const MOST_BEATS = 4;

/** How many pieces are kept for readers that are at the same place. */
const MOST_PIECES = 16;

/** How many roots an event is kept for. */
const MOST_ROOTS = 4;

const encoder = new TextEncoder();
const FIRST = encoder.encode("\n");

/** An event that is kept, as it is sent. */
class StoredEvent {
  readonly topic: string;
  /** About how many bytes it has. */
  readonly length: number;
  /** The text around the places where the root belongs, if there are any. */
  readonly #parts: readonly string[];
  readonly #bytes: Map<string, Uint8Array> = new Map();

  constructor(topic: string, text: string, mark: string) {
    this.topic = topic;
    const parts = text.split(mark);
    this.#parts = parts.length > 1 ? parts : [];
    if (parts.length === 1) this.#bytes.set("", encoder.encode(text));
    this.length = this.#bytes.get("")?.length ?? text.length;
  }

  bytes(root: string): Uint8Array {
    const key = this.#parts.length === 0 ? "" : root;
    const known = this.#bytes.get(key);
    if (known !== undefined) return known;
    const bytes = encoder.encode(this.#parts.join(root));
    if (this.#bytes.size < MOST_ROOTS) this.#bytes.set(key, bytes);
    return bytes;
  }
}

function textOf(data: Record<string, unknown>): string {
  try {
    return JSON.stringify(data);
  } catch {
    // Somebody has published something else on this topic.
    return JSON.stringify(jsonValue(data));
  }
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}

/** Which topics a reader wants. */
class Filter {
  readonly key: string;
  readonly #names: ReadonlySet<string>;
  readonly #prefixes: readonly string[];
  readonly #isAll: boolean;

  constructor(patterns: readonly string[]) {
    this.#isAll = patterns.length === 0 || patterns.includes("*");
    this.key = this.#isAll ? "*" : [...patterns].sort().join(",");
    this.#names = new Set(patterns.filter((each) => !each.endsWith(".*")));
    this.#prefixes = patterns.filter((each) => each.endsWith(".*"))
      .map((each) => each.slice(0, -1));
  }

  matches(topic: string): boolean {
    return this.#isAll || this.#names.has(topic) ||
      this.#prefixes.some((prefix) => topic.startsWith(prefix));
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
  readonly #streams: Set<EventStream> = new Set();
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
    const stream = new EventStream(this, request, () => this.#remove(stream));
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
      tell(logger, "warn", "An event cannot be shown", { topic, error });
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

  #remove(stream: EventStream): void {
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

/** Why events are missing. */
type GapReason = "slow" | "expired" | "restarted";

/** A reader's way along the events that are kept. */
class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #hub: EventStreamHub;
  readonly #filter: Filter;
  readonly #root: string;
  readonly #onLeave: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The last event that was sent, or need not be. */
  #place: number;
  #dropped: number | null = 0;
  #reason: GapReason | undefined = undefined;
  #pulled: (() => void) | undefined = undefined;
  #isFirst = true;
  #beats = 0;
  #isEnding = false;
  #hasLeft = false;

  constructor(hub: EventStreamHub, request: StreamRequest, leave: () => void) {
    this.#hub = hub;
    this.#filter = new Filter(request.patterns);
    this.#root = request.root;
    this.#onLeave = leave;
    this.#place = this.#placeOf(request.lastEventId);
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#pull(),
      cancel: () => this.#leave(),
    }, { highWaterMark: 0 });
  }

  /** An event is not kept any more. */
  lose(number: number, topic: string): void {
    if (number <= this.#place) return;
    this.#place = number;
    if (!this.#filter.matches(topic) || this.#dropped === null) return;
    this.#dropped++;
    this.#reason ??= "slow";
  }

  /** There may be something to send. */
  wake(): void {
    if (this.#pulled === undefined) return;
    if (!this.#send()) return;
    const pulled = this.#pulled;
    this.#pulled = undefined;
    pulled?.();
  }

  /** Gives a sign of life, or gives up a reader that takes none. */
  beat(): void {
    if (++this.#beats > MOST_BEATS) this.#end();
    else this.wake();
  }

  /** Ends it after what is left to tell. */
  close(): void {
    this.#isEnding = true;
    this.wake();
  }

  #placeOf(lastEventId: string | undefined): number {
    const { boot, first, released } = this.#hub;
    if (lastEventId === undefined) return released;
    const match = /^([0-9a-f]{8})-(\d{1,15})$/.exec(lastEventId);
    const number = Number(match?.[2]);
    if (match?.[1] !== boot || number > released) {
      this.#dropped = null;
      this.#reason = "restarted";
      return first - 1;
    }
    if (number < first - 1) {
      this.#dropped = first - 1 - number;
      this.#reason = "expired";
      return first - 1;
    }
    return number;
  }

  #pull(): Promise<void> | undefined {
    if (this.#send()) return undefined;
    return new Promise((resolve) => this.#pulled = resolve);
  }

  /** Sends what there is. @returns Whether that was anything. */
  #send(): boolean {
    const bytes = this.#next();
    if (bytes !== undefined) {
      this.#controller?.enqueue(bytes);
      return true;
    }
    if (!this.#isEnding) return false;
    this.#end();
    return true;
  }

  #next(): Uint8Array | undefined {
    if (this.#isFirst) {
      this.#isFirst = false;
      return FIRST;
    }
    if (this.#reason !== undefined) return this.#gap(this.#reason);
    while (this.#place < this.#hub.released) {
      const { bytes, end } = this.#hub.after(
        this.#place,
        this.#filter,
        this.#root,
      );
      this.#place = end;
      if (bytes === undefined) continue;
      this.#beats = 0;
      return bytes;
    }
    if (this.#beats === 0) return undefined;
    this.#beats = 0;
    // With the place: where nothing matches it would grow old.
    return encoder.encode(`:\nid: ${this.#hub.boot}-${this.#place}\n\n`);
  }

  /** Without an id: who reads no further has the gap before him still. */
  #gap(reason: GapReason): Uint8Array {
    const gap = { topic: "stream.gap", dropped: this.#dropped, reason };
    this.#dropped = 0;
    this.#reason = undefined;
    return encoder.encode(`data: ${JSON.stringify(gap)}\n\n`);
  }

  #end(): void {
    if (this.#hasLeft) return;
    this.#leave();
    this.#controller?.close();
    this.#pulled?.();
    this.#pulled = undefined;
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#onLeave();
  }
}
