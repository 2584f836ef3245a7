// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * An error that came while another was on its way: `error` is the later one,
 * `suppressed` the one before. The platform's `SuppressedError` where there is
 * one: Node 22 has none.
 */
export function suppressedError(
  error: unknown,
  suppressed: unknown,
  message: string,
): Error {
  const { SuppressedError: Native } = globalThis as {
    SuppressedError?: new (
      error: unknown,
      suppressed: unknown,
      message: string,
    ) => Error;
  };
  if (Native !== undefined) return new Native(error, suppressed, message);
  const result = new Error(message);
  result.name = "SuppressedError";
  return Object.assign(result, { error, suppressed });
}
