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
    {
      name: "encoded_format",
      type: { ...simple(Kind.STRING), alias: "DevString" },
    },
    {
      name: "encoded_data",
      type: { ...sequenceOf(simple(Kind.OCTET)), alias: "DevVarCharArray" },
    },
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

function arrayType(alias: string, scalar: Scalar): Type {
  return { ...sequenceOf(typeOf(scalar)), alias };
}

function many(alias: string, scalar: Scalar): ArgumentCodec {
  return {
    type: arrayType(alias, scalar),
    write: (writer, value) => writeList(writer, scalar, value),
  };
}

/** Numbers and strings together. */
function pair(
  name: string,
  member: string,
  alias: string,
  numbers: Scalar,
): ArgumentCodec {
  const expected = `an array of two arrays: each of the first ${numbers.what}` +
    `, each of the second ${scalars.string.what}`;
  return {
    type: {
      shape: "struct",
      id: `IDL:Tango/${name}:1.0`,
      name,
      members: [
        { name: member, type: arrayType(alias, numbers) },
        {
          name: "svalue",
          type: arrayType("DevVarStringArray", scalars.string),
        },
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
  [CmdArgType.DevVarCharArray]: many("DevVarCharArray", scalars.octet),
  [CmdArgType.DevVarShortArray]: many("DevVarShortArray", scalars.short),
  [CmdArgType.DevVarLongArray]: many("DevVarLongArray", scalars.long),
  [CmdArgType.DevVarFloatArray]: many("DevVarFloatArray", scalars.float),
  [CmdArgType.DevVarDoubleArray]: many("DevVarDoubleArray", scalars.double),
  [CmdArgType.DevVarUShortArray]: many(
    "DevVarUShortArray",
    scalars.unsignedShort,
  ),
  [CmdArgType.DevVarULongArray]: many("DevVarULongArray", scalars.unsignedLong),
  [CmdArgType.DevVarStringArray]: many("DevVarStringArray", scalars.string),
  [CmdArgType.DevVarLongStringArray]: pair(
    "DevVarLongStringArray",
    "lvalue",
    "DevVarLongArray",
    scalars.long,
  ),
  [CmdArgType.DevVarDoubleStringArray]: pair(
    "DevVarDoubleStringArray",
    "dvalue",
    "DevVarDoubleArray",
    scalars.double,
  ),
  [CmdArgType.DevState]: one(scalars.state),
  [CmdArgType.ConstDevString]: one(scalars.string),
  [CmdArgType.DevVarBooleanArray]: many("DevVarBooleanArray", scalars.boolean),
  [CmdArgType.DevUChar]: one(scalars.octet),
  [CmdArgType.DevLong64]: one(scalars.longLong),
  [CmdArgType.DevULong64]: one(scalars.unsignedLongLong),
  [CmdArgType.DevVarLong64Array]: many("DevVarLong64Array", scalars.longLong),
  [CmdArgType.DevVarULong64Array]: many(
    "DevVarULong64Array",
    scalars.unsignedLongLong,
  ),
  [CmdArgType.DevEncoded]: one(scalars.encoded),
  [CmdArgType.DevEnum]: one(scalars.short),
  [CmdArgType.DevVarStateArray]: many("DevVarStateArray", scalars.state),
  [CmdArgType.DevVarEncodedArray]: many("DevVarEncodedArray", scalars.encoded),
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
  if (has(value, "lvalue", "svalue") && value.lvalue instanceof Int32Array) {
    return [Array.from(value.lvalue), value.svalue];
  }
  if (has(value, "dvalue", "svalue") && value.dvalue instanceof Float64Array) {
    return [Array.from(value.dvalue), value.svalue];
  }
  if (has(value, "encoded_format", "encoded_data")) {
    return { format: value.encoded_format, data: value.encoded_data };
  }
  return value;
}
