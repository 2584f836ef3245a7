// Copyright 2026 the Longrun authors. MIT license.

import type { CdrWriter } from "./_cdr_writer.ts";
import { isHostLittleEndian } from "./_host.ts";
import { encodeText } from "./_text.ts";
import { Kind } from "./_type_code.ts";
import type { DevEncoded } from "./tango_types.ts";

/** What a value should have been; the caller says of what. */
export class ValueMismatch {
  readonly expected: string;
  readonly value: unknown;
  readonly isOutOfRange: boolean;

  constructor(expected: string, value: unknown, isOutOfRange = false) {
    this.expected = expected;
    this.value = value;
    this.isOutOfRange = isOutOfRange;
  }
}

/** A single value of some type: how it is checked and written. */
export interface Scalar {
  /** The kind of type it is in CORBA. */
  readonly kind: number;
  /** What it is called in errors. */
  readonly what: string;
  /**
   * Writes a value.
   *
   * @throws {ValueMismatch} If it is none.
   */
  write(writer: CdrWriter, value: unknown): void;
  /** An array whose bytes are what is written, if there is such a one. */
  readonly array?: TypedArrayType;
}

/** An array of numbers. */
export type TypedArray =
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

type TypedArrayType = new (length: number) => TypedArray;

function integer(
  kind: number,
  min: number,
  max: number,
  array: TypedArrayType,
  write: (writer: CdrWriter, value: number) => unknown,
  what = `an integer from ${min} to ${max}`,
): Scalar {
  return {
    kind,
    what,
    array,
    write(writer, value) {
      if (typeof value !== "number" || !Number.isInteger(value)) {
        throw new ValueMismatch(what, value);
      }
      if (value < min || value > max) {
        throw new ValueMismatch(what, value, true);
      }
      write(writer, value);
    },
  };
}

function integer64(
  kind: number,
  min: bigint,
  max: bigint,
  array: TypedArrayType,
  write: (writer: CdrWriter, value: bigint) => unknown,
): Scalar {
  const what = `a bigint, or a safe integer, from ${min} to ${max}`;
  return {
    kind,
    what,
    array,
    write(writer, value) {
      if (typeof value !== "bigint" && !Number.isSafeInteger(value)) {
        throw new ValueMismatch(what, value);
      }
      const whole = BigInt(value as bigint | number);
      if (whole < min || whole > max) {
        throw new ValueMismatch(what, value, true);
      }
      write(writer, whole);
    },
  };
}

export const double: Scalar = {
  kind: Kind.DOUBLE,
  what: "a number",
  array: Float64Array,
  write(writer, value) {
    if (typeof value !== "number") throw new ValueMismatch("a number", value);
    writer.double(value);
  },
};

const FLOAT = "a number of 32 bits";

export const float: Scalar = {
  kind: Kind.FLOAT,
  what: FLOAT,
  array: Float32Array,
  write(writer, value) {
    if (typeof value !== "number") throw new ValueMismatch(FLOAT, value);
    // It would become infinite.
    if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
      throw new ValueMismatch(FLOAT, value, true);
    }
    writer.float(value);
  },
};

export const boolean: Scalar = {
  kind: Kind.BOOLEAN,
  what: "a boolean",
  write(writer, value) {
    if (typeof value !== "boolean") throw new ValueMismatch("a boolean", value);
    writer.boolean(value);
  },
};

const STRING = "a string without a NUL character";

export const string: Scalar = {
  kind: Kind.STRING,
  what: STRING,
  write(writer, value) {
    // A NUL would end the string for those who read it.
    if (typeof value !== "string" || value.includes("\0")) {
      throw new ValueMismatch(STRING, value);
    }
    writer.string(value);
  },
};

const ENCODED = "an object with a string 'format' and bytes as 'data'";

export const encoded: Scalar = {
  kind: Kind.STRUCT,
  what: ENCODED,
  write(writer, value) {
    const { format, data } = (value ?? {}) as Partial<DevEncoded>;
    if (typeof format !== "string" || format.includes("\0")) {
      throw new ValueMismatch(ENCODED, value);
    }
    const bytes: unknown = typeof data === "string" ? encodeText(data) : data;
    if (!(bytes instanceof Uint8Array)) throw new ValueMismatch(ENCODED, value);
    writer.string(format).octets(bytes);
  },
};

export const short: Scalar = integer(
  Kind.SHORT,
  -(2 ** 15),
  2 ** 15 - 1,
  Int16Array,
  (writer, value) => writer.short(value),
);

export const long: Scalar = integer(
  Kind.LONG,
  -(2 ** 31),
  2 ** 31 - 1,
  Int32Array,
  (writer, value) => writer.long(value),
);

export const unsignedShort: Scalar = integer(
  Kind.UNSIGNED_SHORT,
  0,
  2 ** 16 - 1,
  Uint16Array,
  (writer, value) => writer.unsignedShort(value),
);

export const unsignedLong: Scalar = integer(
  Kind.UNSIGNED_LONG,
  0,
  2 ** 32 - 1,
  Uint32Array,
  (writer, value) => writer.unsignedLong(value),
);

export const octet: Scalar = integer(
  Kind.OCTET,
  0,
  255,
  Uint8Array,
  (writer, value) => writer.octet(value),
);

export const longLong: Scalar = integer64(
  Kind.LONG_LONG,
  -(2n ** 63n),
  2n ** 63n - 1n,
  BigInt64Array,
  (writer, value) => writer.longLong(value),
);

export const unsignedLongLong: Scalar = integer64(
  Kind.UNSIGNED_LONG_LONG,
  0n,
  2n ** 64n - 1n,
  BigUint64Array,
  (writer, value) => writer.unsignedLongLong(value),
);

/** The state of a device. */
export const state: Scalar = integer(
  Kind.ENUM,
  0,
  13,
  Uint32Array,
  (writer, value) => writer.unsignedLong(value),
  "a DevState",
);

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) ||
    ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** The values of a list, checked to be one. */
export function listOf(scalar: Scalar, value: unknown): ArrayLike<unknown> {
  if (isList(value)) return value;
  throw new ValueMismatch(`an array, each of it ${scalar.what}`, value);
}

/** Deeper than this there is nothing that can be written. */
const DEEPEST = 3;

/** A value as it is now: it is written later, and maybe again. */
export function snapshot(value: unknown, depth = 0): unknown {
  if (typeof value !== "object" || value === null || depth > DEEPEST) {
    return value;
  }
  if (Array.isArray(value)) {
    return Array.from(value, (one) => snapshot(one, depth + 1));
  }
  // Of a Buffer, `slice` gives a view.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) {
    return value instanceof DataView ? value : (value as TypedArray).slice();
  }
  const { format, data } = value as Partial<DevEncoded>;
  return typeof format === "string"
    ? { format, data: snapshot(data, depth + 1) }
    : value;
}

/** Writes some values with their number before them. */
export function writeList(
  writer: CdrWriter,
  scalar: Scalar,
  value: unknown,
): void {
  const list = listOf(scalar, value);
  if (
    scalar.array !== undefined && list instanceof scalar.array &&
    scalar.kind !== Kind.ENUM && isHostLittleEndian
  ) {
    writer.unsignedLong(list.length);
    if (list.length > 0) writer.align(list.BYTES_PER_ELEMENT);
    writer.raw(new Uint8Array(list.buffer, list.byteOffset, list.byteLength));
    return;
  }
  writer.sequence(list, (one) => scalar.write(writer, one));
}
