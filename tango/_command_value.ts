// Copyright 2026 the Longrun authors. MIT license.

import { readAny } from "./_any.ts";
import type { CdrReader } from "./_cdr_reader.ts";
import type { CdrWriter } from "./_cdr_writer.ts";
import * as scalars from "./_scalar.ts";
import { type Scalar, ValueMismatch, writeList } from "./_scalar.ts";
import {
  Kind,
  sequenceOf,
  simple,
  type StructType,
  type Type,
  writeType,
} from "./_type_code.ts";
import { CmdArgType, DevState } from "./tango_types.ts";

/** How the argument of a command is written. */
interface ArgumentCodec {
  readonly type: Type;
  write(writer: CdrWriter, value: unknown): void;
}

const stateType: Type = {
  shape: "enum",
  id: "IDL:Tango/DevState:1.0",
  name: "DevState",
  members: Object.keys(DevState),
};

const encodedType: StructType = {
  shape: "struct",
  id: "IDL:Tango/DevEncoded:1.0",
  name: "DevEncoded",
  members: [
    { name: "encoded_format", type: simple(Kind.STRING) },
    { name: "encoded_data", type: sequenceOf(simple(Kind.OCTET)) },
  ],
};

function typeOf(scalar: Scalar): Type {
  if (scalar === scalars.state) return stateType;
  if (scalar === scalars.encoded) return encodedType;
  return simple(scalar.kind);
}

function one(scalar: Scalar): ArgumentCodec {
  return {
    type: typeOf(scalar),
    write: (writer, value) => scalar.write(writer, value),
  };
}

function many(scalar: Scalar): ArgumentCodec {
  return {
    type: sequenceOf(typeOf(scalar)),
    write: (writer, value) => writeList(writer, scalar, value),
  };
}

/** Numbers and strings together. */
function pair(name: string, numbers: Scalar, member: string): ArgumentCodec {
  const expected = `an array of two arrays: each of the first ${numbers.what}` +
    `, each of the second ${scalars.string.what}`;
  return {
    type: {
      shape: "struct",
      id: `IDL:Tango/${name}:1.0`,
      name,
      members: [
        { name: member, type: sequenceOf(typeOf(numbers)) },
        { name: "svalue", type: sequenceOf(simple(Kind.STRING)) },
      ],
    },
    write(writer, value) {
      if (!Array.isArray(value) || value.length !== 2) {
        throw new ValueMismatch(expected, value);
      }
      writeList(writer, numbers, value[0]);
      writeList(writer, scalars.string, value[1]);
    },
  };
}

const codecs: Readonly<Partial<Record<CmdArgType, ArgumentCodec>>> = {
  [CmdArgType.DevVoid]: {
    type: simple(Kind.NULL),
    write(_writer, value) {
      if (value === undefined || value === null) return;
      throw new ValueMismatch("undefined", value);
    },
  },
  [CmdArgType.DevBoolean]: one(scalars.boolean),
  [CmdArgType.DevShort]: one(scalars.short),
  [CmdArgType.DevLong]: one(scalars.long),
  [CmdArgType.DevFloat]: one(scalars.float),
  [CmdArgType.DevDouble]: one(scalars.double),
  [CmdArgType.DevUShort]: one(scalars.unsignedShort),
  [CmdArgType.DevULong]: one(scalars.unsignedLong),
  [CmdArgType.DevString]: one(scalars.string),
  [CmdArgType.DevVarCharArray]: many(scalars.octet),
  [CmdArgType.DevVarShortArray]: many(scalars.short),
  [CmdArgType.DevVarLongArray]: many(scalars.long),
  [CmdArgType.DevVarFloatArray]: many(scalars.float),
  [CmdArgType.DevVarDoubleArray]: many(scalars.double),
  [CmdArgType.DevVarUShortArray]: many(scalars.unsignedShort),
  [CmdArgType.DevVarULongArray]: many(scalars.unsignedLong),
  [CmdArgType.DevVarStringArray]: many(scalars.string),
  [CmdArgType.DevVarLongStringArray]: pair(
    "DevVarLongStringArray",
    scalars.long,
    "lvalue",
  ),
  [CmdArgType.DevVarDoubleStringArray]: pair(
    "DevVarDoubleStringArray",
    scalars.double,
    "dvalue",
  ),
  [CmdArgType.DevState]: one(scalars.state),
  [CmdArgType.ConstDevString]: one(scalars.string),
  [CmdArgType.DevVarBooleanArray]: many(scalars.boolean),
  [CmdArgType.DevUChar]: one(scalars.octet),
  [CmdArgType.DevLong64]: one(scalars.longLong),
  [CmdArgType.DevULong64]: one(scalars.unsignedLongLong),
  [CmdArgType.DevVarLong64Array]: many(scalars.longLong),
  [CmdArgType.DevVarULong64Array]: many(scalars.unsignedLongLong),
  [CmdArgType.DevEncoded]: one(scalars.encoded),
  [CmdArgType.DevEnum]: one(scalars.short),
  [CmdArgType.DevVarStateArray]: many(scalars.state),
  [CmdArgType.DevVarEncodedArray]: many(scalars.encoded),
};

/**
 * Writes the argument of a command as a value that says what it is.
 *
 * @throws {ValueMismatch} If the value is not of the type.
 */
export function writeArgument(
  writer: CdrWriter,
  type: CmdArgType,
  value: unknown,
): void {
  const codec = codecs[type];
  if (codec === undefined) {
    throw new ValueMismatch("of a type that commands can have", value);
  }
  writeType(writer, codec.type);
  codec.write(writer, value);
}

/** Whether an object has just the two members. */
function has<A extends string, B extends string>(
  value: object,
  first: A,
  second: B,
): value is Record<A | B, unknown> {
  return Object.hasOwn(value, first) && Object.hasOwn(value, second);
}

/**
 * Reads the answer of a command: numbers with strings as an array of two
 * arrays, bytes with a word for them as `DevEncoded`.
 */
export function readAnswer(reader: CdrReader): unknown {
  return plain(readAny(reader));
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return value;
  if (has(value, "lvalue", "svalue")) {
    return [Array.from((value.lvalue ?? []) as Int32Array), value.svalue];
  }
  if (has(value, "dvalue", "svalue")) {
    return [Array.from((value.dvalue ?? []) as Float64Array), value.svalue];
  }
  if (has(value, "encoded_format", "encoded_data")) {
    return { format: value.encoded_format, data: value.encoded_data };
  }
  return value;
}
