// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type DevError, DeviceError } from "./device_proxy.ts";

/** Makes an error with a reason of its own and what followed from it. */
function failure(
  origin: string,
  reasons: readonly (readonly [reason: string, desc: string])[],
  cause?: unknown,
): DeviceError {
  const errors = reasons.map(([reason, desc]): DevError => ({
    reason,
    desc,
    severity: "ERR",
    origin,
  }));
  return cause === undefined
    ? new DeviceError(errors)
    : new DeviceError(errors, { cause });
}

function commandFailed(device: string, command: string): [string, string] {
  return [
    "API_CommandFailed",
    `Failed to execute command '${command}' on device '${device}'`,
  ];
}

/** There is no such command. */
export function commandNotFound(device: string, command: string): DeviceError {
  return failure("command", [
    ["API_CommandNotFound", `Command '${command}' not found`],
    commandFailed(device, command),
  ]);
}

/** The argument of a command is not what the command takes. */
export function argumentRefused(
  device: string,
  command: string,
  desc: string,
  cause?: unknown,
): DeviceError {
  return failure("command", [
    ["API_IncompatibleCmdArgumentType", desc],
    commandFailed(device, command),
  ], cause);
}

/** The code of a command has thrown before there was an answer. */
export function commandThrew(desc: string, cause: unknown): DeviceError {
  return failure("command", [["API_CommandFailed", desc]], cause);
}

/** There is no such attribute. */
export function attributeNotFound(
  device: string,
  attribute: string,
): DeviceError {
  return failure("attribute", [[
    "API_AttrNotFound",
    `Attribute '${attribute}' not found on device '${device}'`,
  ]]);
}

/** There are no events of this attribute. */
export function eventsNotSupported(
  device: string,
  attribute: string,
): DeviceError {
  return failure("subscribe", [[
    "API_AttributePollingNotStarted",
    `Device '${device}' sends no events of attribute '${attribute}'`,
  ]]);
}

/** The device has been stopped. */
export function deviceStopped(device: string): DeviceError {
  return failure("device", [[
    "API_DeviceNotExported",
    `Device '${device}' has been stopped`,
  ]]);
}

/** There is no way to the device. */
export function deviceUnreachable(device: string): DeviceError {
  return failure("device", [
    ["API_CorbaException", "The connection has failed"],
    ["API_ServerNotRunning", `Device '${device}' cannot be reached`],
  ]);
}

/** No events have come for a while. */
export function eventTimeout(attribute: string): DevError {
  return {
    reason: "API_EventTimeout",
    desc: `No sign of life from the source of attribute '${attribute}'`,
    severity: "PANIC",
    origin: "subscribe",
  };
}

/** Events were lost because nobody fetched them. */
export function eventsMissed(attribute: string, count: number): DevError {
  return {
    reason: "API_MissedEvents",
    desc: `${count} events of attribute '${attribute}' were dropped so far, ` +
      "as they were fetched too slowly",
    severity: "ERR",
    origin: "subscribe",
  };
}
