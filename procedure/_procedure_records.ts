// Copyright 2026 the Longrun authors. MIT license.

import type { Logger } from "@longrun/tasks/logger";
import type { ArgCapture, ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { OutputOptions, StoredOutput } from "./procedure_service.ts";
import { isFinal, type ProcedureState } from "./procedure_state.ts";
import { withCall, withState } from "./_procedure_history.ts";
import { processIdentity } from "./procedure_recovery.ts";
import type { ScriptOutput } from "./procedure_topics.ts";
import type { ProcedureStore } from "./procedure_store.ts";
import type { ExecutableScript } from "./script.ts";

/**
 * The summaries of the procedures. They are values: each change makes a new
 * one, and saves it.
 */
export class ProcedureRecords {
  readonly #store: ProcedureStore;
  readonly #limit: number;
  readonly #logger: Logger;
  readonly #summaries: Map<number, ProcedureSummary> = new Map();

  constructor(store: ProcedureStore, limit: number, logger: Logger) {
    this.#store = store;
    this.#limit = limit;
    this.#logger = logger;
    for (const { summary } of store.procedures()) {
      this.#summaries.set(summary.id, summary);
    }
  }

  has(pid: number): boolean {
    return this.#summaries.has(pid);
  }

  get(pid: number): ProcedureSummary {
    const summary = this.#summaries.get(pid);
    if (summary !== undefined) return summary;
    throw new ProcedureError(
      "procedure-not-found",
      `Process ${pid} not found`,
    );
  }

  all(): ProcedureSummary[] {
    return [...this.#summaries.values()];
  }

  /** A procedure that has a number, and no state yet. */
  add(pid: number, script: ExecutableScript, call: ArgCapture): void {
    this.#summaries.set(pid, {
      id: pid,
      script,
      calls: [call],
      history: { states: [], stacktrace: null },
      state: "CREATING",
    });
  }

  call(pid: number, call: ArgCapture): void {
    this.#save(withCall(this.get(pid), call));
  }

  move(
    pid: number,
    state: ProcedureState,
    time: number,
    stack: string | undefined,
  ): ProcedureSummary {
    const summary = this.get(pid);
    const history = withState(summary.history, state, time, stack);
    return this.#save({ ...summary, state, history });
  }

  /** The process that a procedure has. */
  process(pid: number, osPid: number): void {
    const summary = this.get(pid);
    this.#tryTo(
      "save",
      pid,
      () => this.#store.saveProcedure(summary, processIdentity(osPid)),
    );
  }

  /** A line that the script of a procedure wrote. */
  write(output: ScriptOutput, time: number): void {
    const { pid } = output;
    if (!this.#summaries.has(pid)) return;
    this.#tryTo(
      "keep a line of",
      pid,
      () => this.#store.appendOutput({ ...output, time }),
    );
  }

  output(pid: number, options?: OutputOptions): readonly StoredOutput[] {
    return this.#store.output(pid, options);
  }

  /**
   * Makes room for one more: removes the oldest procedures, as far as there are
   * too many and they have ended. The numbers of those that were.
   */
  makeRoom(): number[] {
    const excess = this.#summaries.size + 1 - this.#limit;
    if (excess <= 0) return [];
    const oldest = [...this.#summaries.values()].slice(0, excess);
    const removed = oldest.filter(({ state }) => isFinal(state));
    for (const { id } of removed) {
      this.#summaries.delete(id);
      this.#tryTo("remove", id, () => this.#store.removeProcedure(id));
    }
    return removed.map(({ id }) => id);
  }

  #save(summary: ProcedureSummary): ProcedureSummary {
    this.#summaries.set(summary.id, summary);
    this.#tryTo(
      "save",
      summary.id,
      () => this.#store.saveProcedure(summary),
    );
    return summary;
  }

  /** A full disk must not keep anybody from stopping a procedure. */
  #tryTo(what: string, pid: number, write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#logger.error(`Could not ${what} PID #${pid}`, {
        pid,
        error,
      });
    }
  }
}
