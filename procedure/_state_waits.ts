// Copyright 2026 the Longrun authors. MIT license.

import { abortable, timeout as withTimeout } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import type { ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { WaitForStateOptions } from "./procedure_service.ts";
import { isFinal, type ProcedureState } from "./procedure_state.ts";

interface StateWait {
  states: readonly ProcedureState[];
  resolve: (summary: ProcedureSummary) => void;
  reject: (error: unknown) => void;
}

/** Those who wait for procedures to be in a state. */
export class StateWaits {
  readonly #clock: Clock | undefined;
  readonly #waits: Map<number, Set<StateWait>> = new Map();

  constructor(clock: Clock | undefined) {
    this.#clock = clock;
  }

  async wait(
    pid: number,
    states: readonly ProcedureState[],
    records: { get(pid: number): ProcedureSummary },
    options: WaitForStateOptions,
  ): Promise<ProcedureSummary> {
    const { signal, timeout } = options;
    signal?.throwIfAborted();
    const now = records.get(pid);
    if (states.includes(now.state)) return now;
    if (isFinal(now.state)) throw missed(now, states);
    const { promise, resolve, reject } = Promise.withResolvers<
      ProcedureSummary
    >();
    const wait: StateWait = { states, resolve, reject };
    const waits = this.#waits.get(pid) ?? new Set();
    this.#waits.set(pid, waits.add(wait));
    try {
      return timeout === undefined
        ? await abortable(promise, signal)
        : await withTimeout(promise, timeout, { signal, clock: this.#clock });
    } finally {
      waits.delete(wait);
      if (waits.size === 0 && this.#waits.get(pid) === waits) {
        this.#waits.delete(pid);
      }
    }
  }

  tell(summary: ProcedureSummary): void {
    for (const wait of this.#waits.get(summary.id) ?? []) {
      if (wait.states.includes(summary.state)) wait.resolve(summary);
      else if (isFinal(summary.state)) {
        wait.reject(missed(summary, wait.states));
      }
    }
  }
}

function missed(
  { id, state }: ProcedureSummary,
  states: readonly ProcedureState[],
): ProcedureError {
  return new ProcedureError(
    "invalid-state",
    `PID #${id} is ${state} and will not be ${states.join(" or ")}`,
  );
}
