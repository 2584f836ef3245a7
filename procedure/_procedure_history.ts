// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a procedure keeps of its past: a script whose functions are called all
 * night must not make its summary larger and larger.
 *
 * @module
 */

import type {
  ArgCapture,
  ProcedureHistory,
  ProcedureSummary,
} from "./procedure.ts";
import type { ProcedureState } from "./procedure_state.ts";

const STATES = 200;
const CALLS = 100;

/** A list with one more: the first stays, and the latest of the others. */
function append<T>(list: readonly T[], item: T, limit: number): readonly T[] {
  const excess = Math.max(0, list.length + 1 - limit);
  return [...list.slice(0, 1), ...list.slice(1 + excess), item];
}

/** A history with one state more. */
export function withState(
  history: ProcedureHistory,
  state: ProcedureState,
  time: number,
  stacktrace: string | null = history.stacktrace,
): ProcedureHistory {
  const states = append(history.states, [state, time] as const, STATES);
  const dropped = (history.droppedStates ?? 0) +
    history.states.length + 1 - states.length;
  return {
    states,
    stacktrace,
    ...(dropped > 0 ? { droppedStates: dropped } : {}),
  };
}

/** A summary with one call more. */
export function withCall(
  summary: ProcedureSummary,
  call: ArgCapture,
): ProcedureSummary {
  const calls = append(summary.calls, call, CALLS);
  const dropped = (summary.droppedCalls ?? 0) +
    summary.calls.length + 1 - calls.length;
  return {
    ...summary,
    calls,
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
