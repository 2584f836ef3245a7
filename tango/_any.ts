// Copyright 2026 the Longrun authors. MIT license.

import { type CdrReader, MarshalError } from "./_cdr_reader.ts";
import {
  Kind,
  leastSize,
  MAX_DEPTH,
  readType,
  type SequenceType,
  type Type,
} from "./_type_code.ts";

function readSimple(reader: CdrReader, kind: number, depth: number): unknown {
  switch (kind) {
    case Kind.SHORT:
      return reader.short();
    case Kind.LONG:
      return reader.long();
    case Kind.UNSIGNED_SHORT:
      return reader.unsignedShort();
    case Kind.UNSIGNED_LONG:
      return reader.unsignedLong();
    case Kind.FLOAT:
      return reader.float();
    case Kind.DOUBLE:
      return reader.double();
    case Kind.BOOLEAN:
      return reader.boolean();
    case Kind.CHAR:
    case Kind.OCTET:
      return reader.octet();
    case Kind.ANY:
      return readAny(reader, depth + 1);
    case Kind.STRING:
      return reader.string();
    case Kind.LONG_LONG:
      return reader.longLong();
    case Kind.UNSIGNED_LONG_LONG:
      return reader.unsignedLongLong();
    default:
      return undefined;
  }
}

function readSequence(
  reader: CdrReader,
  { element, length }: SequenceType,
  depth: number,
): unknown {
  if (length !== undefined) {
    if (length * leastSize(element) > reader.remaining) {
      throw new MarshalError(`An array of ${length} elements is cut`);
    }
    return reader.elements(
      () => readValue(reader, element, depth + 1),
      length,
    );
  }
  switch (element.shape === "simple" ? element.kind : Kind.NULL) {
    case Kind.SHORT:
      return reader.shorts();
    case Kind.LONG:
      return reader.longs();
    case Kind.UNSIGNED_SHORT:
      return reader.unsignedShorts();
    case Kind.UNSIGNED_LONG:
      return reader.unsignedLongs();
    case Kind.FLOAT:
      return reader.floats();
    case Kind.DOUBLE:
      return reader.doubles();
    case Kind.BOOLEAN:
      return reader.booleans();
    case Kind.CHAR:
    case Kind.OCTET:
      return reader.octets();
    case Kind.LONG_LONG:
      return reader.longLongs();
    case Kind.UNSIGNED_LONG_LONG:
      return reader.unsignedLongLongs();
    default:
      return reader.sequence(
        () => readValue(reader, element, depth + 1),
        leastSize(element),
      );
  }
}

/**
 * Reads a value of a type: numbers as numbers, those of 64 bits as bigints,
 * sequences of numbers as typed arrays, enums as numbers, structs as objects.
 *
 * @throws {MarshalError} If it is none, or is too deep.
 */
export function readValue(reader: CdrReader, type: Type, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new MarshalError("A value is too deep");
  switch (type.shape) {
    case "simple":
      return readSimple(reader, type.kind, depth);
    case "enum": {
      const value = reader.unsignedLong();
      if (value < type.members.length) return value;
      throw new MarshalError(`${value} is no value of ${type.name}`);
    }
    case "struct":
      return Object.fromEntries(
        type.members.map(({ name, type }) => [
          name,
          readValue(reader, type, depth + 1),
        ]),
      );
    case "sequence":
      return readSequence(reader, type, depth);
  }
}

/** Reads a value that says itself what it is; `undefined` if it is none. */
export function readAny(reader: CdrReader, depth = 0): unknown {
  return readValue(reader, readType(reader), depth);
}
