// Copyright 2026 the Longrun authors. MIT license.

import { ProcedureError } from "./procedure_errors.ts";
import type {
  NewSchedulingBlockInstance,
  SchedulingBlockInstance,
} from "./scheduling_block_store.ts";

/** An instance of a definition. */
export function makeInstance(
  id: string,
  { sbdId, sbdVersion, activityName }: NewSchedulingBlockInstance,
  time: number,
): SchedulingBlockInstance {
  return Object.freeze({ id, sbdId, sbdVersion, activityName, time });
}

/** That there is no such definition. */
export function definitionNotFound(sbdId: string): ProcedureError {
  return new ProcedureError(
    "scheduling-block-not-found",
    `SBDefinition '${sbdId}' not found`,
  );
}
