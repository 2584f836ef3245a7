// Copyright 2026 the Longrun authors. MIT license.

/**
 * What can be wrong with the file of a store.
 *
 * @module
 */

/**
 * Says what is wrong, for programs.
 *
 * - `"in-use"`: another service uses the file.
 * - `"damaged"`: the file is damaged, or no database.
 * - `"foreign"`: it is the database of another program.
 * - `"newer"`: a newer version of the program has written it.
 * - `"failed"`: it cannot be read or written: the `cause` tells why.
 */
export type ProcedureStoreErrorCode =
  | "in-use"
  | "damaged"
  | "foreign"
  | "newer"
  | "failed";

/**
 * The file of a store cannot be used.
 *
 * @example Usage
 * ```ts
 * import { ProcedureStoreError, SqliteProcedureStore } from "@longrun/procedure";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(
 *   () => new SqliteProcedureStore("/no/such/folder/procedures.sqlite"),
 *   ProcedureStoreError,
 * );
 * ```
 */
export class ProcedureStoreError extends Error {
  /** The name of the class. */
  override readonly name: string = "ProcedureStoreError";
  /** What is wrong. */
  readonly code: ProcedureStoreErrorCode;
  /** The file. */
  readonly file: string;

  /**
   * Creates an error.
   *
   * @param code What is wrong.
   * @param file The file.
   * @param message What happened, for people.
   * @param options Its cause.
   */
  constructor(
    code: ProcedureStoreErrorCode,
    file: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.file = file;
  }
}
