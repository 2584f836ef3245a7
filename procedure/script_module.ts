// Copyright 2026 the Longrun authors. MIT license.

/**
 * What authors of scripts need: the type of a script and of what it is called
 * with.
 *
 * ```ts
 * import type { ScriptArguments } from "@longrun/procedure";
 *
 * export async function main({ kwargs, log, signal }: ScriptArguments) {
 *   for (let scan = 1; scan <= Number(kwargs.scans); scan++) {
 *     signal.throwIfAborted();
 *     log.info(`scan ${scan}`);
 *     await new Promise((resolve) => setTimeout(resolve, 10));
 *   }
 * }
 * ```
 *
 * @module
 */

import type { ScriptContext } from "./procedure.ts";

/** An event of the bus of the service, as a script sees it. */
export interface ScriptEvent {
  /** The topic. */
  readonly topic: string;
  /** What was published: a copy. */
  readonly data: unknown;
  /** Who published it; for a procedure, its number. */
  readonly source: string;
  /** When, in milliseconds since the epoch. */
  readonly time: number;
}

/** The events of a subscription of a script. */
export interface ScriptSubscription
  extends AsyncIterableIterator<ScriptEvent, undefined>, AsyncDisposable {
  /** How many events were lost because the script was slow. */
  readonly dropped: number;
  /** Ends the subscription. */
  return(): Promise<IteratorResult<ScriptEvent, undefined>>;
}

/** Writes lines to the output of the procedure. */
export interface ScriptLog {
  /** Of interest to whoever looks for a fault. */
  debug(message: string, details?: Record<string, unknown>): void;
  /** Of interest. */
  info(message: string, details?: Record<string, unknown>): void;
  /** Something was late, lost or abandoned. */
  warn(message: string, details?: Record<string, unknown>): void;
  /** Something failed. */
  error(message: string, details?: Record<string, unknown>): void;
}

/** What each function of a script is called with: one object. */
export interface ScriptArguments {
  /** The number of the procedure. */
  readonly pid: number;
  /** The arguments by place. */
  readonly args: readonly unknown[];
  /** The arguments by name. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** What the operator has set, as it was when the call began. Frozen. */
  readonly context: ScriptContext;
  /** Aborts when the procedure is stopped: then the function should end. */
  readonly signal: AbortSignal;
  /**
   * Whether the procedure is being stopped. Unlike the signal it also tells in
   * the middle of work that never waits.
   */
  aborted(): boolean;
  /**
   * Publishes on the bus of the service. The data is cloned.
   *
   * @throws {TypeError} If the topic is one of the service's own: begins with
   * `procedure.`, `activity.`, `request.`, `operator.`, `script.`, `sb.` or
   * `stream.`
   * @throws {DOMException} If the data cannot be cloned.
   */
  publish(topic: string, data?: unknown): void;
  /** Subscribes to the bus of the service: `name`, `prefix.*` or `*`. */
  subscribe(pattern: string | readonly string[]): ScriptSubscription;
  /** Writes to the output of the procedure. */
  readonly log: ScriptLog;
}

/** A script: a module with a `main`, perhaps an `init`, perhaps others. */
export interface ScriptModule {
  /** Called once, when the procedure is prepared. */
  init?(script: ScriptArguments): unknown;
  /** Called when the procedure is started; it has ended when this has. */
  main(script: ScriptArguments): unknown;
}
