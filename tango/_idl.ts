// Copyright 2026 the Longrun authors. MIT license.

import type { DevError } from "@longrun/tasks/device-proxy";
import { type CdrReader, MarshalError } from "./_cdr_reader.ts";
import type { CdrWriter } from "./_cdr_writer.ts";
import {
  AttrDataFormat,
  type AttributeInfo,
  AttrQuality,
  AttrWriteType,
  CmdArgType,
  type CommandInfo,
  type DevEncoded,
  type DeviceInfo,
  DispLevel,
} from "./tango_types.ts";

const SEVERITIES = ["WARN", "ERR", "PANIC"] as const;

/** One of the values of an enumeration, or an error. */
function oneOf<T extends number>(
  values: Readonly<Record<string, T>>,
  number: number,
  what: string,
): T {
  for (const value of Object.values(values)) {
    if (value === number) return value;
  }
  throw new MarshalError(`${number} is no ${what}`);
}

/** Reads a list of errors. */
export function readDevErrors(reader: CdrReader): readonly DevError[] {
  return reader.sequence(() => {
    const reason = reader.string();
    const severity = SEVERITIES[reader.unsignedLong()];
    if (severity === undefined) throw new MarshalError("A severity is unknown");
    return { reason, severity, desc: reader.string(), origin: reader.string() };
  }, 19);
}

/** The errors of one of several attributes. */
export interface NamedErrors {
  readonly name: string;
  readonly index: number;
  readonly errors: readonly DevError[];
}

/** Reads what went wrong with several attributes. */
export function readNamedErrors(reader: CdrReader): readonly NamedErrors[] {
  return reader.sequence(() => ({
    name: reader.string(),
    index: reader.long(),
    errors: readDevErrors(reader),
  }), 13);
}

/** Says who asks, as all operations of devices want to know. */
export function writeClientIdentity(writer: CdrWriter): void {
  // A program in C++, with the number of its process, which matters to locks
  // only: a number that is nobody's.
  writer.unsignedLong(0).unsignedLong(0);
}

/** Numbers of one type, or values that are no numbers. */
export type Values =
  | ArrayLike<number>
  | ArrayLike<bigint>
  | readonly (boolean | string | DevEncoded)[];

/** The values of an attribute as they come: those read, then those written. */
export type AttributeValues = Values | number | undefined;

/** The kinds of values of attributes, with the numbers of Tango. */
export const AttributeKind = {
  BOOLEAN: 0,
  SHORT: 1,
  LONG: 2,
  LONG64: 3,
  FLOAT: 4,
  DOUBLE: 5,
  UCHAR: 6,
  USHORT: 7,
  ULONG: 8,
  ULONG64: 9,
  STRING: 10,
  STATE: 11,
  DEVICE_STATE: 12,
  ENCODED: 13,
  NO_DATA: 14,
} as const;

/** Reads bytes with a word for them. */
export function readEncoded(reader: CdrReader): DevEncoded {
  return { format: reader.string(), data: reader.octets() };
}

/** Reads the values of an attribute. */
export function readAttributeValues(reader: CdrReader): AttributeValues {
  const kind = reader.unsignedLong();
  switch (kind) {
    case AttributeKind.BOOLEAN:
      return reader.booleans();
    case AttributeKind.SHORT:
      return reader.shorts();
    case AttributeKind.LONG:
      return reader.longs();
    case AttributeKind.LONG64:
      return reader.longLongs();
    case AttributeKind.FLOAT:
      return reader.floats();
    case AttributeKind.DOUBLE:
      return reader.doubles();
    case AttributeKind.UCHAR:
      return reader.octets();
    case AttributeKind.USHORT:
      return reader.unsignedShorts();
    case AttributeKind.ULONG:
    case AttributeKind.STATE:
      return reader.unsignedLongs();
    case AttributeKind.ULONG64:
      return reader.unsignedLongLongs();
    case AttributeKind.STRING:
      return reader.strings();
    case AttributeKind.DEVICE_STATE:
      return reader.unsignedLong();
    case AttributeKind.ENCODED:
      return reader.sequence(() => readEncoded(reader), 9);
    case AttributeKind.NO_DATA:
      reader.boolean();
      return undefined;
    default:
      throw new MarshalError(`${kind} is no kind of attribute values`);
  }
}

/** How many values there are in a row, and how many rows. */
export interface Dimensions {
  readonly x: number;
  readonly y: number;
}

function readDimensions(reader: CdrReader): Dimensions {
  const x = reader.long();
  const y = reader.long();
  if (x < 0 || y < 0) throw new MarshalError("A dimension is negative");
  return { x, y };
}

/** What was read of an attribute, as it comes. */
export interface RawReading {
  readonly values: AttributeValues;
  readonly quality: AttrQuality;
  readonly format: AttrDataFormat;
  readonly dataType: CmdArgType;
  readonly time: number;
  readonly name: string;
  readonly readDimensions: Dimensions;
  readonly writeDimensions: Dimensions;
  readonly errors: readonly DevError[];
}

/** Reads `AttributeValue_5`. */
export function readReading(reader: CdrReader): RawReading {
  return {
    values: readAttributeValues(reader),
    quality: oneOf(AttrQuality, reader.unsignedLong(), "quality"),
    format: oneOf(AttrDataFormat, reader.unsignedLong(), "format"),
    dataType: oneOf(CmdArgType, reader.long(), "type of values"),
    time: readTime(reader),
    name: reader.string(),
    readDimensions: readDimensions(reader),
    writeDimensions: readDimensions(reader),
    errors: readDevErrors(reader),
  };
}

/** The least size of what {@linkcode readReading} reads. */
export const READING_SIZE = 48;

function readTime(reader: CdrReader): number {
  const seconds = reader.long();
  const microseconds = reader.long();
  const nanoseconds = reader.long();
  return seconds * 1000 + microseconds / 1000 + nanoseconds / 1e6;
}

/** Reads `DevInfo_3`. */
export function readDeviceInfo(reader: CdrReader): DeviceInfo {
  return {
    devClass: reader.string(),
    serverId: reader.string(),
    serverHost: reader.string(),
    serverVersion: reader.long(),
    docUrl: reader.string(),
    devType: reader.string(),
  };
}

/** Reads `DevCmdInfo_2`. */
export function readCommandInfo(reader: CdrReader): CommandInfo {
  const name = reader.string();
  const level = oneOf(DispLevel, reader.unsignedLong(), "display level");
  reader.long();
  return {
    name,
    level,
    inType: oneOf(CmdArgType, reader.long(), "type of arguments"),
    outType: oneOf(CmdArgType, reader.long(), "type of answers"),
    inDescription: reader.string(),
    outDescription: reader.string(),
  };
}

/** The least size of what {@linkcode readCommandInfo} reads. */
export const COMMAND_INFO_SIZE = 31;

/** Reads `AttributeConfig_5`. */
export function readAttributeInfo(reader: CdrReader): AttributeInfo {
  const name = reader.string();
  const writable = oneOf(AttrWriteType, reader.unsignedLong(), "write type");
  const format = oneOf(AttrDataFormat, reader.unsignedLong(), "format");
  const dataType = oneOf(CmdArgType, reader.long(), "type of values");
  reader.boolean(); // memorized
  reader.boolean(); // and written when the device is initialized
  const maxDimX = reader.long();
  const maxDimY = reader.long();
  const description = reader.string();
  const label = reader.string();
  const unit = reader.string();
  reader.string(); // its standard unit
  reader.string(); // its displayed unit
  const displayFormat = reader.string();
  const minValue = reader.string();
  const maxValue = reader.string();
  reader.string(); // the attribute that writes it
  const level = oneOf(DispLevel, reader.unsignedLong(), "display level");
  reader.string(); // the attribute that it is forwarded from
  const enumLabels = reader.strings();
  skipAlarms(reader);
  skipEventProperties(reader);
  reader.strings();
  reader.strings();
  return {
    name,
    writable,
    format,
    dataType,
    maxDimX,
    maxDimY,
    description,
    label,
    unit,
    displayFormat,
    minValue,
    maxValue,
    level,
    enumLabels,
  };
}

/** The least size of what {@linkcode readAttributeInfo} reads. */
export const ATTRIBUTE_INFO_SIZE = 150;

function skipStrings(reader: CdrReader, count: number): void {
  for (let index = 0; index < count; index++) reader.string();
  reader.strings();
}

function skipAlarms(reader: CdrReader): void {
  skipStrings(reader, 6);
}

function skipEventProperties(reader: CdrReader): void {
  skipStrings(reader, 2); // changes, relative and absolute
  skipStrings(reader, 1); // the period
  skipStrings(reader, 3); // the archive's changes and period
}
