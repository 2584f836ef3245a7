// Copyright 2026 the Longrun authors. MIT license.

import { ProcedureError, type ProcedureErrorCode } from "./procedure_errors.ts";

/** Whether an error, which may come from anywhere, is one of ours of this code. */
export function hasCode(error: unknown, code: ProcedureErrorCode): boolean {
  return error instanceof ProcedureError && error.code === code;
}
