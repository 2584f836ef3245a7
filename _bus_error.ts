// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** An error as a plain value, which survives every copy and JSON. */
export interface BusErrorValue {
  /** The name of its class, such as `"TypeError"`. */
  readonly name: string;
  /** What it says. */
  readonly message: string;
  /** Where it was thrown. */
  readonly stack?: string;
  /** What it was caused by. */
  readonly cause?: BusErrorValue;
}

/** Causes that are deeper are left out. */
const DEPTH = 8;

function describe(value: unknown): string {
  try {
    return String(value);
  } catch {
    return `something that cannot be shown (${typeof value})`;
  }
}

function read(error: Error, key: "name" | "message" | "stack"): string {
  try {
    return describe(error[key] ?? "");
  } catch (failure) {
    return describe(failure);
  }
}

function causeOf(error: Error): unknown {
  try {
    return error.cause;
  } catch {
    return undefined;
  }
}

/** Whatever was thrown, as a plain value. */
export function toErrorValue(error: unknown, depth = DEPTH): BusErrorValue {
  if (!(error instanceof Error)) {
    return { name: "Error", message: describe(error) };
  }
  const stack = read(error, "stack");
  const cause = causeOf(error);
  return {
    name: read(error, "name"),
    message: read(error, "message"),
    ...stack !== "" && { stack },
    ...cause !== undefined && depth > 1 &&
      { cause: toErrorValue(cause, depth - 1) },
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** The error of a reply of somebody else's, whatever it is. */
export function readErrorValue(value: unknown, depth = DEPTH): BusErrorValue {
  if (!isRecord(value)) return { name: "Error", message: describe(value) };
  const { name, message, stack, cause } = value;
  return {
    name: typeof name === "string" ? name : "Error",
    message: typeof message === "string" ? message : describe(message),
    ...typeof stack === "string" && { stack },
    ...cause !== undefined && depth > 1 &&
      { cause: readErrorValue(cause, depth - 1) },
  };
}

function revive({ name, message, stack, cause }: BusErrorValue): Error {
  const error = cause === undefined
    ? new Error(message)
    : new Error(message, { cause: revive(cause) });
  const define = (key: string, value: unknown): void => {
    Object.defineProperty(error, key, {
      value,
      configurable: true,
      writable: true,
    });
  };
  define("name", name);
  define("stack", stack ?? `${name}: ${message}`);
  return error;
}

/**
 * A request was answered with an error. The error itself, as far as a plain
 * value can tell of it, is the `cause`, with its own stack and causes.
 *
 * @example Usage
 * ```ts
 * import { BusReplyError } from "@longrun/tasks/event-bus";
 * import { assertEquals, assertInstanceOf } from "@std/assert";
 *
 * const error = new BusReplyError("dome.open", {
 *   name: "RangeError",
 *   message: "Too windy",
 * });
 * assertEquals(error.message, "Request 'dome.open' has failed: RangeError: Too windy");
 * assertEquals(error.remoteName, "RangeError");
 * assertInstanceOf(error.cause, Error);
 * ```
 */
export class BusReplyError extends Error {
  /** The name of the class. */
  override readonly name: string = "BusReplyError";
  /** The topic of the request. */
  readonly topic: string;
  /** The name of the error that the request was answered with. */
  readonly remoteName: string;
  /** Where that was thrown, `undefined` if the reply does not say. */
  readonly remoteStack: string | undefined;

  /**
   * Creates an error.
   *
   * @param topic The topic of the request.
   * @param error What it was answered with.
   */
  constructor(topic: string, error: BusErrorValue) {
    super(`Request '${topic}' has failed: ${error.name}: ${error.message}`, {
      cause: revive(error),
    });
    this.topic = topic;
    this.remoteName = error.name;
    this.remoteStack = error.stack;
  }
}
