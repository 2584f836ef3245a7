// Copyright 2026 the Longrun authors. MIT license.

import { DeviceError, type DeviceOptions } from "@longrun/tasks/device-proxy";
import {
  checkCommon,
  checkOptions,
  checkPositive,
  complain,
} from "./_arguments.ts";
import { devError, deviceFailure } from "./_device_failure.ts";
import * as operations from "./_device_operations.ts";
import type { Reachable } from "./_device_route.ts";
import { readingWithNumbers, withNumbers } from "./_int64.ts";
import type { Operation } from "./_remote_object.ts";
import { ValueMismatch } from "./_scalar.ts";
import type { CallOptions } from "./device_options.ts";
import type { AttributeReading, DevSource } from "./tango_types.ts";

/** What is the same for all calls of a device. */
export interface CallSettings {
  readonly timeout: number;
  readonly int64: "bigint" | "number";
  readonly source: DevSource;
}

/** Whether an error is why a signal has aborted: it stays what it is. */
export function isReason(error: unknown, { signal }: DeviceOptions): boolean {
  return signal?.aborted === true && error === signal.reason;
}

/** What those are told who want something of a proxy that is closed. */
export function proxyClosed(doing: string): Error {
  return new Error(`Cannot ${doing} as the proxy is closed`);
}

/** The calls of a device, which fail as users of devices expect it. */
export class DeviceCalls {
  readonly settings: CallSettings;
  readonly #device: string;
  readonly #reachable: Reachable;
  #isClosed = false;

  constructor(device: string, reachable: Reachable, settings: CallSettings) {
    this.#device = device;
    this.#reachable = reachable;
    this.settings = settings;
  }

  /** The connection to the device, as long as it stands. */
  get connection(): object | undefined {
    return this.#reachable.object.connection;
  }

  /** Throws if there are no calls any more. */
  checkOpen(doing: string): void {
    if (this.#isClosed) throw proxyClosed(doing);
  }

  /**
   * Calls an operation.
   *
   * @param doing What a caller wants, for errors.
   * @param operation The operation.
   * @param options What ends the wait.
   * @param argument What the caller calls the argument of the operation.
   */
  async call<T>(
    doing: string,
    operation: Operation<T>,
    options: CallOptions,
    argument = "argument",
  ): Promise<T> {
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { signal, timeout = this.settings.timeout } = options;
    checkPositive(doing, "timeout", timeout);
    this.checkOpen(doing);
    try {
      return await this.#reachable.object.call(operation, { signal, timeout });
    } catch (error) {
      if (error instanceof ValueMismatch && !isReason(error, options)) {
        const { expected, value, isOutOfRange } = error;
        const message = complain(doing, argument, expected, value);
        throw isOutOfRange ? new RangeError(message) : new TypeError(message);
      }
      throw this.failure(error, options);
    }
  }

  /** Reads attributes: each one, or why it could not be read. */
  async read(
    names: readonly string[],
    options: CallOptions,
  ): Promise<readonly (AttributeReading | DeviceError)[]> {
    const readings = await this.call(
      "read attributes",
      operations.readAttributes(names, this.settings.source),
      options,
    );
    if (readings.length !== names.length) throw this.unexpected();
    if (this.settings.int64 === "bigint") return readings;
    return readings.map((reading) =>
      reading instanceof Error ? reading : readingWithNumbers(reading)
    );
  }

  /** A value with integers of 64 bits as they are wanted. */
  narrow(value: unknown): unknown {
    return this.settings.int64 === "bigint" ? value : withNumbers(value);
  }

  /** What went wrong on the way to the device, for those who use it. */
  failure(error: unknown, options: DeviceOptions): unknown {
    return isReason(error, options)
      ? error
      : deviceFailure(error, { subject: `device ${this.#device}` });
  }

  /** What is said of an answer to something that was not asked. */
  unexpected(): DeviceError {
    return new DeviceError([
      devError(
        "API_CommunicationFailed",
        `Device ${this.#device} has answered something else`,
      ),
    ]);
  }

  /** Lets go of the connection: calls that wait fail. */
  close(): void {
    this.#isClosed = true;
    this.#reachable.close();
  }
}
