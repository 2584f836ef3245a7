// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { LrcInput } from "./_lrc_state.ts";

/** Told of what happens to a command. Never throws. */
export type LrcListener = (input: LrcInput) => void;

/** What a command that was sent waits for, until its id is known. */
export interface Expectation {
  /** Listens from now on, after what was told already. */
  claim(id: string, listener: LrcListener): () => void;
  /** There will be no id. */
  cancel(): void;
}

interface Expected extends Expectation {
  /** How many inputs had been kept when it began. */
  readonly since: number;
  /** Events may have been lost since. */
  hasGap: boolean;
}

interface Early {
  readonly inputs: LrcInput[];
  /** The number of the last. */
  last: number;
}

/** How many inputs are kept at least, and for each command that was sent. */
const LEAST_KEPT = 1000;
const KEPT_EACH = 16;

/**
 * The commands whose ids are not known yet, and what is told of ids that nobody
 * knows: the events of a command come before the answer that contains its id.
 */
export class Expectations {
  readonly #listen: (id: string, listener: LrcListener) => () => void;
  /** In the order in which they began. */
  readonly #expected: Set<Expected> = new Set();
  readonly #early: Map<string, Early> = new Map();
  /** How many inputs there are in `#early`. */
  #size = 0;
  /** How many inputs were ever kept. */
  #kept = 0;

  constructor(listen: (id: string, listener: LrcListener) => () => void) {
    this.#listen = listen;
  }

  expect(): Expectation {
    const expected: Expected = {
      since: this.#kept,
      hasGap: false,
      claim: (id, listener) => {
        const leave = this.#listen(id, listener);
        for (const input of this.#take(id)?.inputs ?? []) listener(input);
        if (expected.hasGap) listener({ kind: "gap" });
        expected.cancel();
        return leave;
      },
      cancel: () => {
        this.#expected.delete(expected);
        if (this.#expected.size === 0) this.#forget();
      },
    };
    this.#expected.add(expected);
    return expected;
  }

  /** Keeps what may be for a command whose id is not known yet. */
  keep(id: string, input: LrcInput): void {
    if (this.#expected.size === 0) return;
    let early = this.#early.get(id);
    if (early === undefined) {
      this.#early.set(id, early = { inputs: [], last: 0 });
    }
    early.inputs.push(input);
    early.last = ++this.#kept;
    this.#size++;
    const most = Math.max(LEAST_KEPT, KEPT_EACH * this.#expected.size);
    if (this.#size > most) this.#drop();
  }

  /** Events may have been lost. */
  addGap(): void {
    for (const expected of this.#expected) expected.hasGap = true;
  }

  clear(): void {
    this.#expected.clear();
    this.#forget();
  }

  /** Gives up on the oldest. Those who came after it have lost nothing. */
  #drop(): void {
    for (const id of this.#early.keys()) {
      const last = this.#take(id)?.last ?? 0;
      for (const expected of this.#expected) {
        if (expected.since >= last) break;
        expected.hasGap = true;
      }
      return;
    }
  }

  #take(id: string): Early | undefined {
    const early = this.#early.get(id);
    if (early === undefined) return undefined;
    this.#early.delete(id);
    this.#size -= early.inputs.length;
    return early;
  }

  #forget(): void {
    this.#early.clear();
    this.#size = 0;
  }
}
