// Copyright 2026 the Longrun authors. MIT license.

import type { ActivityState } from "./activity.ts";
import type { ProcedureState } from "./procedure_state.ts";

/** Whether an activity has ended. */
export function isOver(state: ActivityState): boolean {
  return state === "COMPLETE" || state === "FAILED" || state === "STOPPED";
}

/**
 * The state of an activity whose procedure is in another state now; `undefined`
 * if it keeps its own.
 */
export function follow(
  state: ActivityState,
  procedure: ProcedureState,
  hasCalledMain: boolean,
): ActivityState | undefined {
  if (isOver(state)) return undefined;
  switch (procedure) {
    case "READY":
      // Behind `main` there is a READY too, a moment before COMPLETE.
      return state === "PREPARED" || (state === "RUNNING" && hasCalledMain)
        ? undefined
        : "PREPARED";
    case "RUNNING":
      return state === "RUNNING" ? undefined : "RUNNING";
    case "COMPLETE":
    case "STOPPED":
    case "FAILED":
      return procedure;
    case "UNKNOWN":
      return "FAILED";
    default:
      return undefined;
  }
}
