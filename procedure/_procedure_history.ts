// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a procedure keeps of its past: a script whose functions are called all
 * night must not make its summary larger and larger.
 *
 * @module
 */

import { append, STATES_KEPT } from "./_first_and_latest.ts";
import type {
  ArgCapture,
  ProcedureHistory,
  ProcedureSummary,
} from "./procedure.ts";
import type { ProcedureState } from "./procedure_state.ts";

const CALLS_KEPT = 100;

/** A history with one state more. */
export function withState(
  history: ProcedureHistory,
  state: ProcedureState,
  time: number,
  stacktrace: string | null = history.stacktrace,
): ProcedureHistory {
  const { states, droppedStates } = history;
  const entry = [state, time] as const;
  const { items, dropped } = append(states, entry, STATES_KEPT, droppedStates);
  return {
    states: items,
    stacktrace,
    ...(dropped > 0 ? { droppedStates: dropped } : {}),
  };
}

/** A summary with one call more. */
export function withCall(
  summary: ProcedureSummary,
  call: ArgCapture,
): ProcedureSummary {
  const { calls, droppedCalls } = summary;
  const { items, dropped } = append(calls, call, CALLS_KEPT, droppedCalls);
  return {
    ...summary,
    calls: items,
    ...(dropped > 0 ? { droppedCalls: dropped } : {}),
  };
}

/** How many states there have been. */
export function countStates(history: ProcedureHistory): number {
  return history.states.length + (history.droppedStates ?? 0);
}

/** The place of a state among all, or of the next one that is kept. */
export function keptFrom(history: ProcedureHistory, place: number): number {
  return place === 0 ? 0 : Math.max(place, 1 + (history.droppedStates ?? 0));
}

/** The state that has such a place among all, if it is kept. */
export function stateAt(
  history: ProcedureHistory,
  place: number,
): readonly [ProcedureState, number] | undefined {
  const { states, droppedStates = 0 } = history;
  return states[place === 0 ? 0 : place - droppedStates];
}
