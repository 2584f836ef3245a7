// Copyright 2026 the Longrun authors. MIT license.

import type { ErrorObject, ValidateFunction } from "ajv";
import type { StandardSchema } from "../validation.ts";

/** Where an error is: the keys of its JSON pointer, and what is missing there. */
function keysOf(
  value: unknown,
  { instancePath, params }: ErrorObject,
): PropertyKey[] {
  const keys: PropertyKey[] = [];
  let at = value;
  for (const part of instancePath.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    const key = Array.isArray(at) ? Number(name) : name;
    keys.push(key);
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  const name = params.missingProperty ?? params.additionalProperty;
  return name === undefined ? keys : [...keys, name];
}

/** A JSON schema that ajv has compiled, as a Standard Schema. */
export function ajvSchema<T>(validate: ValidateFunction<T>): StandardSchema<T> {
  return {
    "~standard": {
      version: 1,
      vendor: "ajv",
      validate: (original) => {
        // With `useDefaults` ajv writes into what it validates.
        const value = structuredClone(original);
        if (validate(value)) return { value };
        const errors = validate.errors ?? [];
        return {
          issues: errors.map((error) => ({
            message: error.message ?? error.keyword,
            path: keysOf(value, error),
          })),
        };
      },
    },
  };
}
