// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { callHook } from "./_hooks.ts";
import type { Logger } from "./logger.ts";

/** An error as part of a sentence, whatever was thrown. */
function describeError(error: unknown): string {
  try {
    return String(error);
  } catch {
    return `something that cannot be shown (${typeof error})`;
  }
}

/**
 * Logs a sentence, and the error of its details as its end. A logger that
 * throws must not take the task down with it.
 */
export function report(
  logger: Logger,
  level: "debug" | "warn" | "error",
  sentence: string,
  details: Record<string, unknown>,
): void {
  const message = "error" in details
    ? `${sentence}: ${describeError(details.error)}`
    : sentence;
  callHook(
    () => logger[level](message, details),
    (error) => console.error(message, describeError(error)),
  );
}

/** Logs what a task did. */
export function reportTask(
  logger: Logger,
  level: "debug" | "warn" | "error",
  name: string,
  what: string,
  details: Record<string, unknown>,
): void {
  report(logger, level, `Task '${name}' ${what}`, { task: name, ...details });
}
