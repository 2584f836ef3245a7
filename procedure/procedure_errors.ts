// Copyright 2026 the Longrun authors. MIT license.

/**
 * What can go wrong with procedures, as errors with a code each.
 *
 * @module
 */

/**
 * Says which error it is, for programs.
 *
 * - `"procedure-not-found"`, `"activity-not-found"`: there is none with this
 *   number.
 * - `"invalid-state"`: the procedure is not in a state for this.
 * - `"another-running"`: as many procedures run as may.
 * - `"too-many-procedures"`: as many procedures live as may.
 * - `"startup-failed"`: the process did not come up, or not in time.
 * - `"abort-failed"`: the procedure was stopped, its abort script was not run,
 *   or failed.
 * - `"abort-refused"`: the procedure was not stopped, as its abort script could
 *   not be called.
 * - `"script-refused"`: the policy does not allow the script.
 * - `"script-not-found"`: the file of the script is not there.
 * - `"function-not-found"`: the script has no such function.
 * - `"scheduling-block-not-found"`, `"activity-not-defined"`: the store has no
 *   such definition, or it has no activity of this name.
 * - `"arguments-refused"`: the arguments cannot be laid over those of the
 *   definition, as they go by place.
 * - `"git-failed"`, `"environment-failed"`: the checkout or the installation
 *   did not succeed.
 * - `"closed"`: the service has ended.
 */
export type ProcedureErrorCode =
  | "procedure-not-found"
  | "activity-not-found"
  | "invalid-state"
  | "another-running"
  | "too-many-procedures"
  | "startup-failed"
  | "abort-failed"
  | "abort-refused"
  | "script-refused"
  | "script-not-found"
  | "function-not-found"
  | "scheduling-block-not-found"
  | "activity-not-defined"
  | "arguments-refused"
  | "git-failed"
  | "environment-failed"
  | "closed";

/**
 * The error of everything here that is refused or fails for a known reason.
 *
 * @example Usage
 * ```ts
 * import { ProcedureError } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new ProcedureError("procedure-not-found", "PID #7 not found");
 * assertEquals(error.code, "procedure-not-found");
 * ```
 */
export class ProcedureError extends Error {
  /** The name of the class. */
  override readonly name: string = "ProcedureError";
  /** Which error it is. */
  readonly code: ProcedureErrorCode;

  /**
   * Creates an error.
   *
   * @param code Which error it is.
   * @param message What happened, for people.
   * @param options Its cause.
   */
  constructor(
    code: ProcedureErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
  }
}
