// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** How far back the numbers of an origin are known one by one. */
export const WINDOW = 16_384;

/** How many origins are remembered. */
export const MOST_ORIGINS = 1024;

/** Which of the last numbers have come. */
class Window {
  /** When it was last used. */
  turn = 0;
  #highest = 0;
  readonly #bits: Uint32Array = new Uint32Array(WINDOW / 32);

  take(number: number): boolean {
    if (number > this.#highest) {
      const first = Math.max(this.#highest, number - WINDOW) + 1;
      for (let each = first; each < number; each++) this.#set(each, 0);
      this.#highest = number;
    } else if (this.#highest - number >= WINDOW || this.#has(number)) {
      return false;
    }
    this.#set(number, 1);
    return true;
  }

  #has(number: number): boolean {
    const place = number % WINDOW;
    return ((this.#bits[place >> 5] ?? 0) >>> (place & 31) & 1) === 1;
  }

  #set(number: number, bit: 0 | 1): void {
    const place = number % WINDOW;
    const word = this.#bits[place >> 5] ?? 0;
    const mask = 1 << (place & 31);
    this.#bits[place >> 5] = bit === 1 ? word | mask : word & ~mask;
  }
}

/**
 * Which events of others have come already, by their origin and number, within
 * bounds: a number that is far behind the highest of its origin counts as seen,
 * and an origin that was silent for longest is forgotten when there are many.
 */
export class Seen {
  readonly #windows: Map<string, Window> = new Map();
  #turn = 0;

  /** Whether it comes for the first time. */
  take(origin: string, number: number): boolean {
    let window = this.#windows.get(origin);
    if (window === undefined) {
      if (this.#windows.size === MOST_ORIGINS) this.#forgetOne();
      window = new Window();
      this.#windows.set(origin, window);
    }
    window.turn = ++this.#turn;
    return window.take(number);
  }

  #forgetOne(): void {
    let oldest = "";
    let least = Infinity;
    for (const [origin, { turn }] of this.#windows) {
      if (turn < least) [oldest, least] = [origin, turn];
    }
    this.#windows.delete(oldest);
  }
}
