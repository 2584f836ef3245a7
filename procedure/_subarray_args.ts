// Copyright 2026 the Longrun authors. MIT license.

import {
  type ProcedureInput,
  procedureInput,
  type ProcedureSummary,
} from "./procedure.ts";

/** The one `subarray_id` of the calls of a procedure, as the original has it. */
export function subarrayOf({ calls }: ProcedureSummary): ProcedureInput {
  const ids = new Set(
    calls.flatMap(({ input: { kwargs } }) =>
      Object.hasOwn(kwargs, "subarray_id") ? [kwargs.subarray_id] : []
    ),
  );
  const [id] = ids;
  if (ids.size === 0) throw new RangeError("Subarray ID not specified");
  if (ids.size > 1) throw new RangeError("Multiple subarray IDs found");
  return procedureInput({ subarray_id: id });
}
