// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * What the package asks of a logger. `console`, the loggers of `@std/log` and
 * LogTape, and those of pino all have this shape: pass them as they are.
 *
 * Without a logger the package is silent, but for the errors of tasks that
 * nobody looked at: these go to `console.error`.
 *
 * ```ts
 * import { BackgroundTask } from "@longrun/tasks/background-task";
 *
 * await using task = new BackgroundTask(() => {}, { logger: console });
 * task.run();
 * await task.join();
 * ```
 *
 * @module
 */

/**
 * A logger: `console` is one.
 *
 * The package passes a sentence that stands by itself and an object with the
 * particulars, among them `error` where there is one.
 */
export interface Logger {
  /** Of interest to whoever looks for a fault. */
  debug(message: string, details?: Record<string, unknown>): void;
  /** Of interest. */
  info(message: string, details?: Record<string, unknown>): void;
  /** Something was late, lost or abandoned. */
  warn(message: string, details?: Record<string, unknown>): void;
  /** Something failed and nobody looked at it. */
  error(message: string, details?: Record<string, unknown>): void;
}

/** The logger of everything that is given none: silent but for errors. */
export const defaultLogger: Logger = {
  debug(): void {},
  info(): void {},
  warn(): void {},
  error(message: string, details?: Record<string, unknown>): void {
    console.error(message, details);
  },
};
