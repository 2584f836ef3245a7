// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** An event of a stream of server-sent events. */
export interface SseEvent {
  /** What kind it is; `"message"` if it does not say. */
  readonly event: string;
  /** Its data, the lines of it joined. */
  readonly data: string;
  /** The id of this event or of the last before it that had one. */
  readonly id: string;
}

/** A line or an event is longer than its reader takes. */
export class SseLimitError extends RangeError {
  override readonly name: string = "SseLimitError";
}

/** An event as text. The data must have no line breaks, as JSON has none. */
export function formatEvent(
  event: string,
  data: string,
  id: string | undefined,
): string {
  const first = id === undefined ? "" : `id: ${id}\n`;
  return `${first}event: ${event}\ndata: ${data}\n\n`;
}

/** Tells the reader how long to wait before it comes again. */
export function formatRetry(ms: number): string {
  return `retry: ${Math.ceil(ms)}\n\n`;
}

/** Says nothing but that somebody is there. */
export const HEARTBEAT = ":\n\n";

/**
 * Reads server-sent events from text that comes in pieces, wherever it is cut.
 * An event that is not complete when the text ends is none.
 */
export class SseParser {
  readonly #limit: number;
  readonly #onEvent: (event: SseEvent) => void;
  #rest = "";
  #isFirst = true;
  /** The last piece has ended with a return: a line feed belongs to it. */
  #skipsFeed = false;
  #event = "";
  #data: string[] = [];
  #length = 0;
  #id = "";
  #retry: number | undefined = undefined;

  /**
   * @param limit How many characters the data of an event may have.
   * @param onEvent Called with each event.
   */
  constructor(limit: number, onEvent: (event: SseEvent) => void) {
    this.#limit = limit;
    this.#onEvent = onEvent;
  }

  /** How long to wait before coming again, if the stream has said so. */
  get retry(): number | undefined {
    return this.#retry;
  }

  /**
   * Takes the next piece.
   *
   * @throws {SseLimitError} If a line or an event is too long.
   */
  push(text: string): void {
    if (text === "") return;
    let start = 0;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (text.startsWith("\uFEFF")) start = 1;
    }
    if (this.#skipsFeed) {
      this.#skipsFeed = false;
      if (text[start] === "\n") start++;
    }
    let feed = text.indexOf("\n", start);
    let turn = text.indexOf("\r", start);
    while (feed >= 0 || turn >= 0) {
      const isTurn = turn >= 0 && (feed < 0 || turn < feed);
      const end = isTurn ? turn : feed;
      this.#take(this.#rest + text.slice(start, end));
      this.#rest = "";
      start = end + 1;
      if (isTurn) {
        if (start === text.length) this.#skipsFeed = true;
        else if (text[start] === "\n") start++;
      }
      if (feed >= 0 && feed < start) feed = text.indexOf("\n", start);
      if (turn >= 0 && turn < start) turn = text.indexOf("\r", start);
    }
    this.#rest += text.slice(start);
    this.#check(this.#rest.length);
  }

  #take(line: string): void {
    this.#check(line.length);
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const from = line[colon + 1] === " " ? colon + 2 : colon + 1;
    const value = colon < 0 ? "" : line.slice(from);
    switch (name) {
      case "data":
        this.#length += value.length + 1;
        this.#check(this.#length);
        this.#data.push(value);
        break;
      case "event":
        this.#event = value;
        break;
      case "id":
        if (!value.includes("\0")) this.#id = value;
        break;
      case "retry":
        if (/^\d+$/.test(value)) this.#retry = Number(value);
    }
  }

  #dispatch(): void {
    const data = this.#data;
    const event = this.#event === "" ? "message" : this.#event;
    this.#event = "";
    if (data.length === 0) return;
    this.#data = [];
    this.#length = 0;
    this.#onEvent({ event, data: data.join("\n"), id: this.#id });
  }

  #check(length: number): void {
    if (length <= this.#limit) return;
    throw new SseLimitError(
      `An event is longer than ${this.#limit} characters`,
    );
  }
}
