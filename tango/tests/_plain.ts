// Copyright 2026 the Longrun authors. MIT license.

import { CmdArgType, DevState } from "../tango_types.ts";

/** No message at all. */
export const TEXT: Uint8Array = new Uint8Array(0);

const stateNames = Object.keys(DevState);

/** A value of ours as the oracle has it. */
export function plainOf(value: unknown, type: CmdArgType): unknown {
  if (value === undefined) return null;
  if (type === CmdArgType.DevState || type === CmdArgType.DevVarStateArray) {
    if (typeof value === "number") return stateNames[value];
  }
  if (Array.isArray(value)) return value.map((one) => plainOf(one, type));
  if (ArrayBuffer.isView(value)) {
    if (type === CmdArgType.DevEncoded) return value;
    const list = Array.from(value as unknown as ArrayLike<number>);
    return list.map((one) => plainOf(one, type));
  }
  if (typeof value === "object" && value !== null && "format" in value) {
    const { format, data } = value as { format: string; data: Uint8Array };
    return [format, data];
  }
  return value;
}
