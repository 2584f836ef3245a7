// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** Options of {@linkcode OperationError}. */
export interface OperationErrorOptions extends ErrorOptions {
  /** The code that the server has given, a number or a word. */
  code?: string | number | undefined;
  /** What the server has said of the error, as decoded from JSON. */
  details?: unknown;
  /** The status of the response, such as 404. */
  httpStatus?: number | undefined;
}

/**
 * An operation has ended badly, or nobody knows how it has ended.
 *
 * @example Usage
 * ```ts
 * import { OperationError } from "@longrun/tasks/follow-operation";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new OperationError("No space is left", { code: "DiskFull" });
 * assertEquals(error.code, "DiskFull");
 * ```
 */
export class OperationError extends Error {
  /** The name of the class. */
  override readonly name: string = "OperationError";
  /** The code that the server has given, `undefined` for none. */
  readonly code: string | number | undefined;
  /** What the server has said of the error, as decoded from JSON. */
  readonly details: unknown;
  /** The status of the response that told it, `undefined` for none. */
  readonly httpStatus: number | undefined;

  /**
   * Creates an error.
   *
   * @param message What has happened.
   * @param options What the server has said of it.
   */
  constructor(message: string, options: OperationErrorOptions = {}) {
    const { code, details, httpStatus, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.details = details;
    this.httpStatus = httpStatus;
  }
}
