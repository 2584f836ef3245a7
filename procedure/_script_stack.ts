// Copyright 2026 the Longrun authors. MIT license.

import { describeThrown, type ErrorValue } from "./_script_error_value.ts";

/** The module that imports this one and the script. */
const ENTRY = "data:application/javascript,";

const RUNNER = new URL("./_script_runner.ts", import.meta.url).href;

/** Describes an error of the script, without what is below the script. */
export function describe(thrown: unknown): ErrorValue {
  return cleanStack(describeThrown(thrown));
}

function cleanStack(value: ErrorValue): ErrorValue {
  const lines = value.stack.split("\n")
    .filter((line) => !line.includes(RUNNER) && !line.includes(ENTRY));
  while (/^ {4}at .*\(ext:/.test(lines.at(-1) ?? "")) lines.pop();
  const stack = lines.join("\n");
  return value.cause === undefined
    ? { ...value, stack }
    : { ...value, stack, cause: cleanStack(value.cause) };
}
