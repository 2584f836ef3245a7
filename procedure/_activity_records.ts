// Copyright 2026 the Longrun authors. MIT license.

/**
 * What is remembered of activities. The records know nothing of procedures: the
 * service tells them what has become of an activity.
 *
 * @module
 */

import type { Logger } from "@longrun/tasks/logger";
import { isOver } from "./_activity_states.ts";
import { append, STATES_KEPT } from "./_first_and_latest.ts";
import type { ActivityState, ActivitySummary } from "./activity.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ProcedureStore } from "./procedure_store.ts";

/** What is known of an activity when it is asked for. */
export type RequestedActivity = Omit<
  ActivitySummary,
  "id" | "procedureId" | "state" | "states" | "droppedStates"
>;

/**
 * The summaries of the activities. They are values: each change makes a new
 * one, and saves it. A store that fails is told of, and keeps nobody from
 * anything.
 */
export class ActivityRecords {
  readonly #store: ProcedureStore;
  readonly #limit: number;
  readonly #logger: Logger;
  readonly #summaries: Map<number, ActivitySummary> = new Map();
  #lastId: number;

  /** @param limit How many there are at most, but for those that go on. */
  constructor(store: ProcedureStore, limit: number, logger: Logger) {
    this.#store = store;
    this.#limit = limit;
    this.#logger = logger;
    this.#lastId = store.lastActivityId;
    for (const summary of store.activities()) {
      this.#summaries.set(summary.id, summary);
    }
  }

  /** All of them, in the order of their numbers. */
  all(): ActivitySummary[] {
    return [...this.#summaries.values()];
  }

  /**
   * Those of these numbers, in this order.
   *
   * @throws {ProcedureError} `"activity-not-found"`.
   */
  some(ids: readonly number[]): ActivitySummary[] {
    const missing = ids.filter((id) => !this.#summaries.has(id));
    if (missing.length > 0) {
      throw new ProcedureError(
        "activity-not-found",
        `Activity IDs not found: ${missing.join(", ")}`,
      );
    }
    return ids.flatMap((id) => this.#summaries.get(id) ?? []);
  }

  /** One that is REQUESTED, with a number. The oldest make room for it. */
  add(requested: RequestedActivity, time: number): ActivitySummary {
    this.#makeRoom();
    return this.#save({
      id: ++this.#lastId,
      procedureId: null,
      ...requested,
      state: "REQUESTED",
      states: [["REQUESTED", time]],
    });
  }

  /** It has a procedure. */
  link(summary: ActivitySummary, pid: number): ActivitySummary {
    return this.#save({ ...summary, procedureId: pid });
  }

  /** It is in another state. */
  move(
    summary: ActivitySummary,
    state: ActivityState,
    time: number,
  ): ActivitySummary {
    const { states, droppedStates } = summary;
    const entry = [state, time] as const;
    const { items, dropped } = append(
      states,
      entry,
      STATES_KEPT,
      droppedStates,
    );
    return this.#save({
      ...summary,
      state,
      states: items,
      ...(dropped > 0 ? { droppedStates: dropped } : {}),
    });
  }

  #save(summary: ActivitySummary): ActivitySummary {
    this.#summaries.set(summary.id, Object.freeze(summary));
    this.#tryTo("keep", summary.id, () => this.#store.saveActivity(summary));
    return summary;
  }

  #makeRoom(): void {
    let excess = this.#summaries.size + 1 - this.#limit;
    for (const { id, state } of this.all()) {
      if (excess <= 0) return;
      if (!isOver(state)) continue;
      excess--;
      this.#summaries.delete(id);
      this.#tryTo("forget", id, () => this.#store.removeActivity(id));
    }
  }

  #tryTo(what: string, id: number, write: () => void): void {
    try {
      write();
    } catch (error) {
      const sentence = `Could not ${what} activity ${id}: ${error}`;
      this.#logger.error(sentence, { activity: id, error });
    }
  }
}
