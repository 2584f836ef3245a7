// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * What is asked of a device that runs long commands, whatever it is reached by:
 * an object in this process, HTTP, a control system.
 *
 * @module
 */

/**
 * The status of a long-running command, with the numbers of
 * `ska_control_model.TaskStatus`.
 */
export const TaskStatus = {
  /** Known to the device, not in its queue yet. */
  STAGING: 0,
  /** In the queue. */
  QUEUED: 1,
  /** Being executed. */
  IN_PROGRESS: 2,
  /** Ended by an abort. */
  ABORTED: 3,
  /** Unknown to the device. */
  NOT_FOUND: 4,
  /** Ended by itself; its result says whether well. */
  COMPLETED: 5,
  /** Not executed. */
  REJECTED: 6,
  /** Ended by an exception. */
  FAILED: 7,
} as const;

/** One of the values of {@linkcode TaskStatus}. */
export type TaskStatus = typeof TaskStatus[keyof typeof TaskStatus];

/**
 * How a command, or the request for one, has ended, with the numbers of
 * `ska_control_model.ResultCode`.
 */
export const ResultCode = {
  /** Well. */
  OK: 0,
  /** Started, going on. */
  STARTED: 1,
  /** Accepted, waiting. */
  QUEUED: 2,
  /** Badly. */
  FAILED: 3,
  /** Nobody knows. */
  UNKNOWN: 4,
  /** Not accepted. */
  REJECTED: 5,
  /** Not allowed in the present state. */
  NOT_ALLOWED: 6,
  /** Ended by an abort. */
  ABORTED: 7,
} as const;

/** One of the values of {@linkcode ResultCode}. */
export type ResultCode = typeof ResultCode[keyof typeof ResultCode];

/** One reason of a {@linkcode DeviceError}, as Tango gives them. */
export interface DevError {
  /** A word for programs, such as `API_EventTimeout`. */
  readonly reason: string;
  /** A sentence for people. */
  readonly desc: string;
  /** How bad it is. */
  readonly severity: "WARN" | "ERR" | "PANIC";
  /** Where it comes from. */
  readonly origin: string;
}

/** A device, or the way to it, has failed: what Tango calls `DevFailed`. */
export class DeviceError extends Error {
  /** The name of the error. */
  override readonly name: string = "DeviceError";
  /** The reasons, the innermost first. */
  readonly errors: readonly DevError[];

  /**
   * Creates the error.
   *
   * @param errors The reasons, the innermost first.
   * @param options Its cause.
   */
  constructor(errors: readonly DevError[], options?: ErrorOptions) {
    const [first] = errors;
    super(
      first === undefined
        ? "The device has failed"
        : `${first.reason}: ${first.desc}`,
      options,
    );
    this.errors = errors;
  }
}

/** Options of everything that is asked of a device. */
export interface DeviceOptions {
  /** Ends the wait for the answer. */
  signal?: AbortSignal;
}

/** What a device tells of an attribute: its value, or what went wrong. */
export type DeviceEvent =
  | {
    /** The name of the attribute; not always in its own case. */
    readonly attribute: string;
    /** The value. */
    readonly value: unknown;
  }
  | {
    /** The name of the attribute. */
    readonly attribute: string;
    /** What went wrong. The subscription goes on. */
    readonly errors: readonly DevError[];
  };

/**
 * The events of an attribute. It begins with the value at the moment, as read;
 * it ends when it is left, or fails when the device is gone for good.
 */
export interface DeviceSubscription
  extends AsyncIterableIterator<DeviceEvent, undefined>, AsyncDisposable {
  /** Waits for the next event. */
  next(): Promise<IteratorResult<DeviceEvent, undefined>>;
  /** Ends the subscription. */
  return(): Promise<IteratorResult<DeviceEvent, undefined>>;
  /** The subscription itself. */
  [Symbol.asyncIterator](): DeviceSubscription;
}

/** A device, as those see it who use it. All names ignore their case. */
export interface DeviceProxy {
  /** The name of the device. */
  readonly name: string;
  /**
   * The names of its attributes.
   *
   * @throws {DeviceError} If the device cannot be reached.
   */
  attributeNames(options?: DeviceOptions): Promise<readonly string[]>;
  /**
   * Reads attributes.
   *
   * @returns The values, in the order of the names.
   * @throws {DeviceError} If one of them cannot be read.
   */
  readAttributes(
    names: readonly string[],
    options?: DeviceOptions,
  ): Promise<readonly unknown[]>;
  /**
   * Has a command executed.
   *
   * @param name The name of the command.
   * @param argument Its argument, `undefined` for none.
   * @returns What it answers; a long-running one `[[code], [text]]`.
   * @throws {DeviceError} If the command is unknown or fails.
   */
  command(
    name: string,
    argument: unknown,
    options?: DeviceOptions,
  ): Promise<unknown>;
  /**
   * Subscribes to an attribute.
   *
   * @param attribute The name of the attribute.
   * @param options What ends the subscription, with the signal's reason.
   * @returns The events, once the subscription stands: no change after that is
   * missed, unless the way to the device breaks.
   * @throws {DeviceError} If there is no such attribute, or no events of it.
   */
  subscribe(
    attribute: string,
    options?: DeviceOptions,
  ): Promise<DeviceSubscription>;
}
