// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the bus is told when an activity has come to a state: the state itself,
 * and what it means for the activity and its scheduling block.
 *
 * @module
 */

import { isOver } from "./_activity_states.ts";
import type { ActivitySummary } from "./activity.ts";
import type { ProcedureBus } from "./procedure_service.ts";

/** Publishes the state that an activity has now, the last of its states. */
export function announceActivity(
  bus: ProcedureBus,
  summary: ActivitySummary,
): void {
  const { id, sbiId, state, states, prepareOnly } = summary;
  const [, time] = states.at(-1) ?? [state, 0];
  bus.publish("activity.lifecycle.statechange", { id, state, time });
  const hasRun = states.slice(0, -1).some(([one]) => one === "RUNNING");
  // What is only prepared is all that it will be until somebody starts it.
  const isBegun = state === "RUNNING" || (state === "PREPARED" && prepareOnly);
  if (isBegun && !hasRun) bus.publish("activity.lifecycle.running", summary);
  if (state === "RUNNING" && !hasRun) {
    bus.publish("sb.lifecycle.started", { sbiId });
  }
  if (!isOver(state)) return;
  bus.publish(
    state === "COMPLETE"
      ? "sb.lifecycle.finished.succeeded"
      : "sb.lifecycle.finished.failed",
    { sbiId },
  );
}
