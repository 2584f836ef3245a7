// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkType } from "./_arguments.ts";

/** What a {@linkcode StandardSchema} found wrong. */
export interface StandardIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where: the keys on the way, as they are or in objects. */
  readonly path?:
    | readonly (PropertyKey | { readonly key: PropertyKey })[]
    | undefined;
}

/** What a {@linkcode StandardSchema} has to say of a value. */
export type StandardResult<Output> =
  | {
    /** The value, with its defaults filled in. */
    readonly value: Output;
    /** Not there: nothing is wrong. */
    readonly issues?: undefined;
  }
  | {
    /** What is wrong. */
    readonly issues: readonly StandardIssue[];
  };

/**
 * A validator of any library that keeps to [Standard
 * Schema](https://standardschema.dev), version 1: among others zod, valibot,
 * ArkType and Effect.
 *
 * @typeParam Output The type of values that are valid, after defaults.
 */
export interface StandardSchema<Output = unknown> {
  /** What the libraries have agreed on. */
  readonly "~standard": {
    /** The version of the agreement. */
    readonly version: 1;
    /** The name of the library. */
    readonly vendor: string;
    /** Validates a value. */
    readonly validate: (
      value: unknown,
    ) => StandardResult<Output> | Promise<StandardResult<Output>>;
  };
}

/** Checks that something is a schema. */
export function checkSchema(doing: string, name: string, value: unknown): void {
  const isObject = (typeof value === "object" && value !== null) ||
    typeof value === "function";
  const { version, validate } =
    (isObject && (value as Partial<StandardSchema>)["~standard"]) ||
    { version: undefined, validate: undefined };
  checkType(
    version === 1 && typeof validate === "function",
    doing,
    name,
    "a Standard Schema of version 1",
    value,
  );
}
