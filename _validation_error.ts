// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { StandardIssue } from "./_validation_schema.ts";

/** What is wrong with a value, and where. */
export interface ValidationIssue {
  /** Where, as in `"scan.beams[2].frequency"`; `""` for the value itself. */
  readonly path: string;
  /** The same as a list of keys. */
  readonly keys: readonly PropertyKey[];
  /** What is wrong. */
  readonly message: string;
}

const PLAIN_KEY = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/** Keys as a path such as `"scan.beams[2]"`. */
export function pathOf(keys: readonly PropertyKey[]): string {
  let path = "";
  for (const key of keys) {
    if (typeof key === "number") path += `[${key}]`;
    else if (typeof key === "symbol") path += `[${String(key)}]`;
    else if (!PLAIN_KEY.test(key)) path += `[${JSON.stringify(key)}]`;
    else path += path === "" ? key : `.${key}`;
  }
  return path;
}

/** An issue in our own words. */
export function issueAt(
  keys: readonly PropertyKey[],
  message: string,
): ValidationIssue {
  return { path: pathOf(keys), keys, message };
}

/** The issues of a schema in our own words. */
export function readIssues(
  issues: readonly StandardIssue[],
): ValidationIssue[] {
  if (issues.length === 0) return [issueAt([], "nobody says why")];
  return issues.map(({ message, path = [] }) =>
    issueAt(
      path.map((part) => typeof part === "object" ? part.key : part),
      message,
    )
  );
}

/** How many issues a message spells out. */
const SPELLED_OUT = 3;

/** Issues as a part of a sentence. */
export function explain(issues: readonly ValidationIssue[]): string {
  const spelled = issues.slice(0, SPELLED_OUT).map(({ path, message }) =>
    path === "" ? message : `${path}: ${message}`
  );
  const more = issues.length - spelled.length;
  return spelled.join("; ") + (more > 0 ? `; and ${more} more` : "");
}

/**
 * A value is not valid.
 *
 * @example Usage
 * ```ts
 * import { ValidationError } from "@longrun/tasks/validation";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new ValidationError("scan", [
 *   { path: "beams[2]", keys: ["beams", 2], message: "must be a number" },
 * ]);
 * assertEquals(error.message, "scan is not valid: beams[2]: must be a number");
 * ```
 */
export class ValidationError extends Error {
  /** The name of the class. */
  override readonly name: string = "ValidationError";
  /** What is wrong, never nothing. */
  readonly issues: readonly ValidationIssue[];

  /**
   * Creates an error.
   *
   * @param what What is not valid: its interface or another name.
   * @param issues What is wrong with it.
   * @param options Its cause.
   */
  constructor(
    what: string,
    issues: readonly ValidationIssue[],
    options?: ErrorOptions,
  ) {
    super(`${what} is not valid: ${explain(issues)}`, options);
    this.issues = issues;
  }
}
