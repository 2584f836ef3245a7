// Copyright 2026 the Longrun authors. MIT license.

import { type DevError, DeviceError } from "@longrun/tasks/device-proxy";
import { MarshalError } from "./_cdr_reader.ts";
import { MinorCode, minorName } from "./_minor_code.ts";
import { SystemException } from "./_system_exception.ts";

const ORIGIN = "@longrun/tango";

/** An error in Tango's way, for what was noticed here. */
export function devError(reason: string, desc: string): DevError {
  return { reason, desc, severity: "ERR", origin: ORIGIN };
}

/** What was wanted of whom when something went wrong. */
export interface Purpose {
  /** Who: `device a/b/c`, or `the database`. */
  readonly subject: string;
  /** What a subject is said to be that cannot be reached. */
  readonly unreachable?: string;
}

function meaningOf(
  { kind, minor, message }: SystemException,
  { subject, unreachable = "API_ServerNotRunning" }: Purpose,
): DevError {
  if (kind === "TIMEOUT") {
    return devError("API_DeviceTimedOut", `Timeout of ${subject}: ${message}`);
  }
  if (kind === "TRANSIENT") {
    switch (minor) {
      case MinorCode.TRANSIENT_CallTimedout:
        return devError(
          "API_DeviceTimedOut",
          `Timeout of ${subject}: ${message}`,
        );
      case MinorCode.TRANSIENT_ConnectFailed:
        return devError(unreachable, `Failed to connect to ${subject}`);
    }
  }
  return kind === "OBJECT_NOT_EXIST"
    ? devError("API_DeviceNotDefined", `The server has no ${subject}`)
    : devError("API_CommunicationFailed", `Lost ${subject}: ${message}`);
}

/**
 * What went wrong on the way to a device, as a {@linkcode DeviceError} with the
 * reasons that other clients of Tango give; other errors, and reasons of
 * signals, stay what they are.
 */
export function deviceFailure(error: unknown, purpose: Purpose): unknown {
  if (error instanceof SystemException) {
    const name = minorName(error.kind, error.minor);
    return new DeviceError([
      devError(
        "API_CorbaException",
        `${error.kind} CORBA system exception: ${name}`,
      ),
      meaningOf(error, purpose),
    ], { cause: error });
  }
  if (error instanceof MarshalError) {
    return new DeviceError([
      devError("API_CorbaException", `MARSHAL: ${error.message}`),
      devError(
        "API_CommunicationFailed",
        `The answer of ${purpose.subject} is not understood`,
      ),
    ], { cause: error });
  }
  return error;
}

/**
 * The error of a device with one reason more: what was wanted of it. What went
 * wrong on the way has said so already.
 */
export function whileDoing(error: unknown, reason: DevError): unknown {
  return error instanceof DeviceError && error.cause === undefined
    ? new DeviceError([...error.errors, reason])
    : error;
}
