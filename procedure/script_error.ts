// Copyright 2026 the Longrun authors. MIT license.

/**
 * The error of a script that failed in its own process.
 *
 * @module
 */

import type { ErrorValue } from "./_script_error_value.ts";

export type { ErrorValue } from "./_script_error_value.ts";

function withCauses(value: ErrorValue): string {
  return value.cause === undefined
    ? value.stack
    : `${value.stack}\nCaused by: ${withCauses(value.cause)}`;
}

/**
 * What a script threw, or what became of its process. The error itself stays in
 * the process of the script: this one has its texts.
 *
 * @example Usage
 * ```ts
 * import { ScriptError } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new ScriptError({
 *   name: "RangeError",
 *   message: "too far",
 *   stack: "RangeError: too far\n    at main (file:///scripts/point.ts:3:9)",
 * });
 * assertEquals(error.remoteName, "RangeError");
 * assertEquals(error.message, "too far");
 * ```
 */
export class ScriptError extends Error {
  /** The name of the class. */
  override readonly name: string = "ScriptError";
  /** The name of the error in the script. */
  readonly remoteName: string;
  /** Its stack there, with those of its causes. */
  readonly remoteStack: string;

  /**
   * Creates an error.
   *
   * @param value The texts of the error in the script, and of its causes.
   */
  constructor(value: ErrorValue) {
    super(
      value.message,
      value.cause === undefined ? {} : { cause: new ScriptError(value.cause) },
    );
    this.remoteName = value.name;
    this.remoteStack = withCauses(value);
    this.stack = value.stack;
  }
}
