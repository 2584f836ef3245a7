// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { AbortFanout, adoptFanout } from "./_abort_fanout.ts";

/**
 * An abort, whose signal is made only when somebody looks at it: most tasks
 * live and end without anybody who does. Who waits inside the package stands in
 * its list of waiters.
 */
export class LazySignal {
  #controller: AbortController | undefined = undefined;
  #waiters: AbortFanout | undefined = undefined;
  #aborted = false;
  #reason: unknown = undefined;

  /** The signal, which aborts with this, or has aborted. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      const { signal } = this.#controller;
      if (this.#aborted) this.#controller.abort(this.reason);
      // Who waits for the signal stands in the same list: it is told without a
      // listener, which is most of what an abort costs.
      else adoptFanout(signal, this.waiters);
    }
    return this.#controller.signal;
  }

  /** Who is told of the abort. Nobody must join once it has come. */
  get waiters(): AbortFanout {
    return this.#waiters ??= new AbortFanout();
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  /** Why it has aborted, `undefined` as long as it has not. */
  get reason(): unknown {
    // A reason that nobody has given has a stack trace, which is not cheap.
    if (this.#aborted && this.#reason === undefined) {
      this.#reason = new DOMException("The work was cancelled", "AbortError");
    }
    return this.#reason;
  }

  /** Aborts. Only the first call counts. */
  abort(reason?: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(this.reason);
    this.#waiters?.tell(this.reason);
  }
}
