// Copyright 2026 the Longrun authors. MIT license.

/** What a reader of events wants. */
export interface StreamRequest {
  readonly patterns: readonly string[];
  /** What its addresses are below. */
  readonly root: string;
  /** The last event it has seen. */
  readonly lastEventId: string | undefined;
}

/** A reader that lets so many signs of life lie is given up. */
const MOST_BEATS = 4;

const encoder = new TextEncoder();
const FIRST = encoder.encode("\n");

/** Which topics a reader wants. */
export class Filter {
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

/** Where a reader takes the events from. */
export interface EventLog {
  /** The life of the service. */
  readonly boot: string;
  /** The number of the first event that is kept. */
  readonly first: number;
  /** The number of the last event that may be sent. */
  readonly released: number;
  /** The next events of a reader, and how far they go. */
  after(
    place: number,
    filter: Filter,
    root: string,
  ): { bytes: Uint8Array | undefined; end: number };
}

/** Why events are missing. */
type GapReason = "slow" | "expired" | "restarted";

/** A reader's way along the events that are kept. */
export class EventReader {
  readonly body: ReadableStream<Uint8Array>;
  readonly #log: EventLog;
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

  constructor(log: EventLog, request: StreamRequest, leave: () => void) {
    this.#log = log;
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
    const { boot, first, released } = this.#log;
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
    while (this.#place < this.#log.released) {
      const { bytes, end } = this.#log.after(
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
    return encoder.encode(`:\nid: ${this.#log.boot}-${this.#place}\n\n`);
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
