// Copyright 2026 the Longrun authors. MIT license.

import { MarshalError } from "./_cdr_reader.ts";
import type { CdrWriter } from "./_cdr_writer.ts";
import {
  AttributeKind,
  type AttributeValues,
  type Dimensions,
  type RawReading,
} from "./_idl.ts";
import * as scalars from "./_scalar.ts";
import { listOf, type Scalar, ValueMismatch, writeList } from "./_scalar.ts";
import {
  AttrDataFormat,
  type AttributeInfo,
  type AttributeReading,
  AttrQuality,
  CmdArgType,
} from "./tango_types.ts";

/** How many rows an image may have, each of them an array. */
const MAX_ROWS = 1_048_576;

/** Values in a row, of which parts can be taken. */
interface Row extends ArrayLike<unknown> {
  slice(start: number, end: number): Row;
}

function takeRows(
  values: Row,
  start: number,
  { x, y }: Dimensions,
): readonly Row[] {
  // Rows without values take no bytes: any number of them could be announced.
  if (x === 0) return [];
  if (y > MAX_ROWS) throw new MarshalError(`An image has ${y} rows`);
  return Array.from(
    { length: y },
    (_, row) => values.slice(start + row * x, start + (row + 1) * x),
  );
}

function countOf(format: AttrDataFormat, { x, y }: Dimensions): number {
  return format === AttrDataFormat.IMAGE ? x * y : x;
}

function takeValue(
  values: Row,
  start: number,
  format: AttrDataFormat,
  dimensions: Dimensions,
): unknown {
  const count = countOf(format, dimensions);
  if (start + count > values.length) {
    throw new MarshalError(
      `An attribute has ${values.length} values instead of ${start + count}`,
    );
  }
  switch (format) {
    case AttrDataFormat.IMAGE:
      return takeRows(values, start, dimensions);
    case AttrDataFormat.SPECTRUM:
      return values.slice(start, start + count);
    default:
      return values[start];
  }
}

function isRow(values: AttributeValues): values is Row & AttributeValues {
  return typeof values === "object";
}

/**
 * What was read of an attribute, as its users want it.
 *
 * @throws {MarshalError} If there are fewer values than it says.
 */
export function readingOf(raw: RawReading): AttributeReading {
  const { values, format, readDimensions, writeDimensions } = raw;
  let value: unknown = undefined;
  let writeValue: unknown = undefined;
  if (isRow(values)) {
    const hasRead = raw.quality !== AttrQuality.INVALID &&
      (values.length > 0 || format !== AttrDataFormat.SCALAR);
    if (hasRead) value = takeValue(values, 0, format, readDimensions);
    const written = countOf(format, writeDimensions);
    if (written > 0 && hasRead) {
      const read = countOf(format, readDimensions);
      // Of what can only be written, the values come once.
      const start = read + written > values.length ? 0 : read;
      writeValue = takeValue(values, start, format, writeDimensions);
    }
  } else {
    value = values;
  }
  return {
    name: raw.name,
    value,
    writeValue,
    quality: raw.quality,
    format,
    dataType: raw.dataType,
    time: raw.time,
  };
}

/** How a type of values of attributes is written. */
const writers: Readonly<
  Partial<Record<CmdArgType, readonly [kind: number, scalar: Scalar]>>
> = {
  [CmdArgType.DevBoolean]: [AttributeKind.BOOLEAN, scalars.boolean],
  [CmdArgType.DevShort]: [AttributeKind.SHORT, scalars.short],
  [CmdArgType.DevEnum]: [AttributeKind.SHORT, scalars.short],
  [CmdArgType.DevLong]: [AttributeKind.LONG, scalars.long],
  [CmdArgType.DevLong64]: [AttributeKind.LONG64, scalars.longLong],
  [CmdArgType.DevFloat]: [AttributeKind.FLOAT, scalars.float],
  [CmdArgType.DevDouble]: [AttributeKind.DOUBLE, scalars.double],
  [CmdArgType.DevUChar]: [AttributeKind.UCHAR, scalars.octet],
  [CmdArgType.DevUShort]: [AttributeKind.USHORT, scalars.unsignedShort],
  [CmdArgType.DevULong]: [AttributeKind.ULONG, scalars.unsignedLong],
  [CmdArgType.DevULong64]: [AttributeKind.ULONG64, scalars.unsignedLongLong],
  [CmdArgType.DevString]: [AttributeKind.STRING, scalars.string],
  [CmdArgType.DevState]: [AttributeKind.STATE, scalars.state],
  [CmdArgType.DevEncoded]: [AttributeKind.ENCODED, scalars.encoded],
};

interface Flat {
  readonly values: ArrayLike<unknown>;
  readonly dimensions: Dimensions;
}

function flatten(format: AttrDataFormat, scalar: Scalar, value: unknown): Flat {
  if (format === AttrDataFormat.SCALAR) {
    return { values: [value], dimensions: { x: 1, y: 0 } };
  }
  if (format === AttrDataFormat.SPECTRUM) {
    const values = listOf(scalar, value);
    return { values, dimensions: { x: values.length, y: 0 } };
  }
  if (!Array.isArray(value)) {
    throw new ValueMismatch("an array of rows", value);
  }
  const rows = value.map((row) => listOf(scalar, row));
  const x = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== x)) {
    throw new ValueMismatch("an array of rows of one length", value);
  }
  return {
    values: rows.flatMap((row) => Array.from(row)),
    dimensions: { x, y: rows.length },
  };
}

/**
 * Writes `AttributeValue_4`: a value for an attribute.
 *
 * @throws {ValueMismatch} If the attribute cannot have the value.
 */
export function writeAttributeValue(
  writer: CdrWriter,
  { name, format, dataType }: AttributeInfo,
  value: unknown,
): void {
  const [kind, scalar] = writers[dataType] ?? [];
  if (kind === undefined || scalar === undefined) {
    throw new ValueMismatch("of a type that can be written", value);
  }
  const { values, dimensions } = flatten(format, scalar, value);
  writer.unsignedLong(kind);
  writeList(writer, scalar, values);
  writer
    .unsignedLong(AttrQuality.VALID)
    // The server knows it better.
    .unsignedLong(AttrDataFormat.UNKNOWN)
    .long(0).long(0).long(0)
    .string(name)
    .long(1).long(0)
    .long(dimensions.x).long(dimensions.y)
    .unsignedLong(0);
}
