// Copyright 2026 the Longrun authors. MIT license.

/** Bounds of what a script may write and publish. */
export interface OutputLimits {
  /**
   * The length of a line; of longer ones the rest is left out.
   *
   * @default {16_384}
   */
  lineLength?: number;
  /**
   * So many lines a second, on the average; what is more is dropped, and
   * counted.
   *
   * @default {1_000}
   */
  linesPerSecond?: number;
  /**
   * So many lines at once.
   *
   * @default {5_000}
   */
  burst?: number;
  /**
   * So many bytes a second are read of each of its two streams and of its
   * events; a script that writes more is slowed down.
   *
   * @default {8_388_608}
   */
  bytesPerSecond?: number;
  /**
   * So many events and log lines a second, on the average; a script that
   * publishes more is slowed down.
   *
   * @default {2_000}
   */
  eventsPerSecond?: number;
}

/** The limits where none are given. */
export const OUTPUT_LIMITS: Required<OutputLimits> = {
  lineLength: 16_384,
  linesPerSecond: 1_000,
  burst: 5_000,
  bytesPerSecond: 8 * 1_024 * 1_024,
  eventsPerSecond: 2_000,
};

/**
 * For so many milliseconds of a second the service is busy with what a script
 * writes and publishes: a few bytes can be lines, or values, without number.
 */
export const EFFORT = { perSecond: 250, burst: 100 } as const;

/** So much a second, and so much at once. */
export class Budget {
  readonly #rate: number;
  readonly #burst: number;
  readonly #now: () => number;
  #left: number;
  #last: number;

  constructor(rate: number, burst: number, now: () => number) {
    this.#rate = rate;
    this.#burst = burst;
    this.#now = now;
    this.#left = burst;
    this.#last = now();
  }

  #refill(): void {
    const now = this.#now();
    // In no time at all this would be no number.
    const gained = this.#rate === Infinity
      ? Infinity
      : (now - this.#last) / 1_000 * this.#rate;
    this.#left = Math.min(this.#burst, this.#left + gained);
    this.#last = now;
  }

  /** Takes some if there is so much. */
  take(amount: number): boolean {
    this.#refill();
    if (this.#left < amount) return false;
    this.#left -= amount;
    return true;
  }

  /** Takes some in any case; returns for how long to pause, in milliseconds. */
  spend(amount: number): number {
    this.#refill();
    this.#left -= amount;
    return this.#left >= 0 ? 0 : -this.#left / this.#rate * 1_000;
  }
}

/**
 * Cuts a stream into lines. It holds no more than a line of the allowed length,
 * however long the line is.
 */
export class LineSplitter {
  readonly #decoder = new TextDecoder();
  readonly #limit: number;
  readonly #marker: string;
  readonly #onLine: (text: string) => void;
  readonly #onMarker: () => void;
  #line = "";
  #left = 0;
  #end = "";

  constructor(
    limit: number,
    marker: string,
    onLine: (text: string) => void,
    onMarker: () => void,
  ) {
    this.#limit = limit;
    this.#marker = marker;
    this.#onLine = onLine;
    this.#onMarker = onMarker;
  }

  push(bytes: Uint8Array): void {
    this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The stream has ended: what is left is a line. */
  finish(): void {
    this.#take(this.#decoder.decode());
    if (this.#line !== "" || this.#left > 0) this.#cut();
  }

  #take(text: string): void {
    let start = 0;
    for (;;) {
      const end = text.indexOf("\n", start);
      if (end === -1) return this.#add(text.slice(start));
      this.#add(text.slice(start, end));
      this.#cut();
      start = end + 1;
    }
  }

  #add(text: string): void {
    const room = this.#limit - this.#line.length;
    this.#line += text.slice(0, room);
    if (text.length > room) this.#left += text.length - room;
    const { length } = this.#marker;
    this.#end = (this.#end + text.slice(-length)).slice(-length);
  }

  #cut(): void {
    const isMarker = this.#end === this.#marker;
    let line = this.#line;
    let left = this.#left;
    this.#line = "";
    this.#left = 0;
    this.#end = "";
    if (isMarker) {
      const shown = Math.max(0, this.#marker.length - left);
      left = Math.max(0, left - this.#marker.length);
      line = line.slice(0, line.length - shown);
    }
    if (line.endsWith("\r")) line = line.slice(0, -1);
    if (left > 0) line += `… (${left} more characters)`;
    if (line !== "" || !isMarker) this.#onLine(line);
    if (isMarker) this.#onMarker();
  }
}
