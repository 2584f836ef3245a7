// Copyright 2026 the Longrun authors. MIT license.

import { type DevError, DeviceError } from "@longrun/tasks/device-proxy";
import { MarshalError } from "./_cdr_reader.ts";
import { MinorCode, SystemException } from "./_system_exception.ts";

const ORIGIN = "@longrun/tango";

/** An error in Tango's way, for what was noticed here. */
export function devError(reason: string, desc: string): DevError {
  return { reason, desc, severity: "ERR", origin: ORIGIN };
}

function meaningOf(
  error: SystemException,
  device: string,
): readonly [reason: string, desc: string] {
  if (error.minor === MinorCode.TRANSIENT_CallTimedout) {
    return ["API_DeviceTimedOut", `Device ${device} did not answer in time`];
  }
  if (error.minor === MinorCode.TRANSIENT_ConnectFailed) {
    return ["API_CantConnectToDevice", `Device ${device} cannot be reached`];
  }
  if (error.kind === "OBJECT_NOT_EXIST") {
    return ["API_DeviceNotExported", `There is no device ${device}`];
  }
  return ["API_CommunicationFailed", `Device ${device} did not answer`];
}

/**
 * What went wrong on the way to a device, as a {@linkcode DeviceError}; other
 * errors, and reasons of signals, stay what they are.
 */
export function deviceFailure(error: unknown, device: string): unknown {
  if (error instanceof SystemException) {
    const [reason, desc] = meaningOf(error, device);
    return new DeviceError([
      devError("API_CorbaException", `${error.kind}: ${error.message}`),
      devError(reason, desc),
    ], { cause: error });
  }
  if (error instanceof MarshalError) {
    return new DeviceError([
      devError("API_CorbaException", `MARSHAL: ${error.message}`),
      devError(
        "API_CommunicationFailed",
        `The answer of device ${device} is not understood`,
      ),
    ], { cause: error });
  }
  return error;
}
