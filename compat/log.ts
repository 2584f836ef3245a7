// Copyright 2026 the Longrun authors. MIT license.

/**
 * The part of `@std/log` that the tests use, over LogTape. A logger that was
 * not set up is silent, as it is there.
 *
 * @module
 */

import { getLogger as getLogTape, type Logger } from "@logtape/logtape";

export function getLogger(
  name: string,
): Pick<Logger, "debug" | "info" | "warn" | "error"> {
  return getLogTape(name);
}
