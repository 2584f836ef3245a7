// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  type Expectation,
  Expectations,
  type LrcListener,
} from "./_lrc_expectations.ts";
import type { LrcInput } from "./_lrc_state.ts";

interface Entry {
  readonly listener: LrcListener;
  /** Whether the device has listed the command. */
  isListed: boolean;
}

/**
 * Who listens to which commands of a device, and who will: what the device
 * tells goes to the command that it is about, or to all of them.
 */
export class LrcListeners {
  readonly #entries: Map<string, Set<Entry>> = new Map();
  readonly #expectations: Expectations = new Expectations(
    (id, listener) => this.listen(id, listener),
  );

  /** How many commands listen. */
  get size(): number {
    return this.#entries.size;
  }

  /** Keeps what comes for ids that nobody knows yet. */
  expect(): Expectation {
    return this.#expectations.expect();
  }

  /** Listens to a command; returns what ends it. */
  listen(id: string, listener: LrcListener): () => void {
    const entry: Entry = { listener, isListed: false };
    let entries = this.#entries.get(id);
    if (entries === undefined) this.#entries.set(id, entries = new Set());
    const joined = entries.add(entry);
    return () => {
      joined.delete(entry);
      if (joined.size === 0 && this.#entries.get(id) === joined) {
        this.#entries.delete(id);
      }
    };
  }

  /** Tells those who listen to a command. */
  tell(id: string, input: LrcInput): void {
    const entries = this.#entries.get(id);
    if (entries === undefined) {
      this.#expectations.keep(id, input);
      return;
    }
    for (const { listener } of entries) listener(input);
  }

  /** Tells everybody. */
  tellAll(input: LrcInput): void {
    this.#expectations.addGap();
    for (const entries of [...this.#entries.values()]) {
      for (const { listener } of entries) listener(input);
    }
  }

  /** A command that the device does not list any more has ended. */
  compare(ids: ReadonlySet<string>): void {
    for (const [id, entries] of [...this.#entries]) {
      const isListed = ids.has(id);
      for (const entry of entries) {
        const wasListed = entry.isListed;
        entry.isListed = isListed;
        if (wasListed && !isListed) entry.listener({ kind: "gap" });
      }
    }
  }

  /** Nobody is told any more. */
  clear(): void {
    this.#entries.clear();
    this.#expectations.clear();
  }
}
