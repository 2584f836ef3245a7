// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the bus is told when a procedure has come to a state: the state itself,
 * and what it means for the procedure.
 *
 * @module
 */

import type { ProcedureSummary } from "./procedure.ts";
import type { ProcedureBus } from "./procedure_service.ts";

const ANNOUNCED = {
  RUNNING: "procedure.lifecycle.started",
  INITIALISING: "procedure.lifecycle.started",
  COMPLETE: "procedure.lifecycle.complete",
  FAILED: "procedure.lifecycle.failed",
  STOPPED: "procedure.lifecycle.stopped",
  UNKNOWN: "procedure.lifecycle.unknown",
} as const;

/**
 * Publishes the state that a procedure has now, the last of its history.
 *
 * @param stack What failed, if that is why.
 */
export function announceProcedure(
  bus: ProcedureBus,
  summary: ProcedureSummary,
  stack?: string,
): void {
  const { id: pid, state, history: { states } } = summary;
  const [, time] = states.at(-1) ?? [state, 0];
  const earlier = states.slice(0, -1).map(([one]) => one);
  const source = { source: String(pid) };
  bus.publish("procedure.lifecycle.statechange", { pid, state, time }, source);
  if (stack !== undefined) {
    const failed = { pid, stacktrace: stack };
    bus.publish("procedure.lifecycle.stacktrace", failed, source);
  }
  if (earlier.at(-1) === "LOADING" && state === "IDLE") {
    bus.publish("procedure.lifecycle.created", summary, source);
  }
  if (state === "READY" && !earlier.includes("READY")) {
    bus.publish("procedure.lifecycle.ready", summary, source);
  }
  if (Object.hasOwn(ANNOUNCED, state)) {
    const topic = ANNOUNCED[state as keyof typeof ANNOUNCED];
    bus.publish(topic, summary, source);
  }
}
