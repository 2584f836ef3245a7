// Copyright 2026 the Longrun authors. MIT license.

/**
 * The words of Tango, with its numbers.
 *
 * @module
 */

/**
 * The state of a device.
 *
 * @example The name of a state
 * ```ts
 * import { DevState } from "@longrun/tango";
 * import { assertEquals } from "@std/assert";
 *
 * const names = new Map(
 *   Object.entries(DevState).map(([name, state]) => [state, name]),
 * );
 * assertEquals(names.get(DevState.MOVING), "MOVING");
 * ```
 */
export const DevState = {
  ON: 0,
  OFF: 1,
  CLOSE: 2,
  OPEN: 3,
  INSERT: 4,
  EXTRACT: 5,
  MOVING: 6,
  STANDBY: 7,
  FAULT: 8,
  INIT: 9,
  RUNNING: 10,
  ALARM: 11,
  DISABLE: 12,
  UNKNOWN: 13,
} as const;

/** One of the values of {@linkcode DevState}. */
export type DevState = typeof DevState[keyof typeof DevState];

/** The type of an argument of a command, or of the values of an attribute. */
export const CmdArgType = {
  DevVoid: 0,
  DevBoolean: 1,
  DevShort: 2,
  DevLong: 3,
  DevFloat: 4,
  DevDouble: 5,
  DevUShort: 6,
  DevULong: 7,
  DevString: 8,
  DevVarCharArray: 9,
  DevVarShortArray: 10,
  DevVarLongArray: 11,
  DevVarFloatArray: 12,
  DevVarDoubleArray: 13,
  DevVarUShortArray: 14,
  DevVarULongArray: 15,
  DevVarStringArray: 16,
  DevVarLongStringArray: 17,
  DevVarDoubleStringArray: 18,
  DevState: 19,
  ConstDevString: 20,
  DevVarBooleanArray: 21,
  DevUChar: 22,
  DevLong64: 23,
  DevULong64: 24,
  DevVarLong64Array: 25,
  DevVarULong64Array: 26,
  DevInt: 27,
  DevEncoded: 28,
  DevEnum: 29,
  DevPipeBlob: 30,
  DevVarStateArray: 31,
  DevVarEncodedArray: 32,
} as const;

/** One of the values of {@linkcode CmdArgType}. */
export type CmdArgType = typeof CmdArgType[keyof typeof CmdArgType];

/** What the value of an attribute is worth. */
export const AttrQuality = {
  VALID: 0,
  INVALID: 1,
  ALARM: 2,
  CHANGING: 3,
  WARNING: 4,
} as const;

/** One of the values of {@linkcode AttrQuality}. */
export type AttrQuality = typeof AttrQuality[keyof typeof AttrQuality];

/** Whether an attribute has one value, a row of them, or rows of them. */
export const AttrDataFormat = {
  SCALAR: 0,
  SPECTRUM: 1,
  IMAGE: 2,
  UNKNOWN: 3,
} as const;

/** One of the values of {@linkcode AttrDataFormat}. */
export type AttrDataFormat = typeof AttrDataFormat[keyof typeof AttrDataFormat];

/** Whether an attribute can be written. */
export const AttrWriteType = {
  READ: 0,
  READ_WITH_WRITE: 1,
  WRITE: 2,
  READ_WRITE: 3,
  UNKNOWN: 4,
} as const;

/** One of the values of {@linkcode AttrWriteType}. */
export type AttrWriteType = typeof AttrWriteType[keyof typeof AttrWriteType];

/** Whom a command or an attribute is for. */
export const DispLevel = {
  OPERATOR: 0,
  EXPERT: 1,
  UNKNOWN: 2,
} as const;

/** One of the values of {@linkcode DispLevel}. */
export type DispLevel = typeof DispLevel[keyof typeof DispLevel];

/** Where a device takes the values of its attributes from. */
export const DevSource = {
  /** From the hardware. */
  DEV: 0,
  /** From what was polled. */
  CACHE: 1,
  /** From what was polled, or else from the hardware. */
  CACHE_DEV: 2,
} as const;

/** One of the values of {@linkcode DevSource}. */
export type DevSource = typeof DevSource[keyof typeof DevSource];

/** Bytes, and a word for what they are. */
export interface DevEncoded {
  /** A word for what they are. */
  readonly format: string;
  /** The bytes. */
  readonly data: Uint8Array;
}

/** What was read of an attribute. */
export interface AttributeReading {
  /** The name of the attribute, as the device writes it. */
  readonly name: string;
  /**
   * The value: of a scalar a number, bigint, boolean, string or
   * {@linkcode DevEncoded}; of a spectrum a typed array, or an array of the
   * others; of an image an array of rows. `undefined` if the quality is
   * `INVALID`.
   */
  readonly value: unknown;
  /** The value that was written last, alike; `undefined` if there is none. */
  readonly writeValue: unknown;
  /** What the value is worth. */
  readonly quality: AttrQuality;
  /** Whether it is one value, a row, or rows. */
  readonly format: AttrDataFormat;
  /** The type of the values. */
  readonly dataType: CmdArgType;
  /** When it was read, in milliseconds since 1970. */
  readonly time: number;
}

/** What is known of a device. */
export interface DeviceInfo {
  /** The class of the device. */
  readonly devClass: string;
  /** The name of its server, such as `TangoTest/test`. */
  readonly serverId: string;
  /** The computer on which that runs. */
  readonly serverHost: string;
  /** The version of its interface. */
  readonly serverVersion: number;
  /** Where its documentation is. */
  readonly docUrl: string;
  /** The type of the device. */
  readonly devType: string;
}

/** What is known of a command. */
export interface CommandInfo {
  /** Its name. */
  readonly name: string;
  /** Whom it is for. */
  readonly level: DispLevel;
  /** The type of its argument. */
  readonly inType: CmdArgType;
  /** The type of its answer. */
  readonly outType: CmdArgType;
  /** What its argument means. */
  readonly inDescription: string;
  /** What its answer means. */
  readonly outDescription: string;
}

/** What is known of an attribute. */
export interface AttributeInfo {
  /** Its name. */
  readonly name: string;
  /** Whether it can be written. */
  readonly writable: AttrWriteType;
  /** Whether it is one value, a row, or rows. */
  readonly format: AttrDataFormat;
  /** The type of its values. */
  readonly dataType: CmdArgType;
  /** The most values in a row. */
  readonly maxDimX: number;
  /** The most rows. */
  readonly maxDimY: number;
  /** What it means. */
  readonly description: string;
  /** A name for people. */
  readonly label: string;
  /** The unit of its values. */
  readonly unit: string;
  /** How its values are shown. */
  readonly displayFormat: string;
  /** The least value, as a text; `"Not specified"` if there is none. */
  readonly minValue: string;
  /** The highest value, as a text. */
  readonly maxValue: string;
  /** Whom it is for. */
  readonly level: DispLevel;
  /** The names of the values of an enum. */
  readonly enumLabels: readonly string[];
}
