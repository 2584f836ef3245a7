// Copyright 2026 the Longrun authors. MIT license.

import { type CdrReader, MarshalError } from "./_cdr_reader.ts";
import type { CdrWriter } from "./_cdr_writer.ts";

/** The kinds of types, with the numbers of CORBA. */
export const Kind = {
  NULL: 0,
  VOID: 1,
  SHORT: 2,
  LONG: 3,
  UNSIGNED_SHORT: 4,
  UNSIGNED_LONG: 5,
  FLOAT: 6,
  DOUBLE: 7,
  BOOLEAN: 8,
  CHAR: 9,
  OCTET: 10,
  ANY: 11,
  STRUCT: 15,
  ENUM: 17,
  STRING: 18,
  SEQUENCE: 19,
  ARRAY: 20,
  ALIAS: 21,
  EXCEPTION: 22,
  LONG_LONG: 23,
  UNSIGNED_LONG_LONG: 24,
} as const;

/** How deep types and values may be within each other. */
export const MAX_DEPTH = 16;

/** A type without parts. */
export interface SimpleType {
  readonly shape: "simple";
  readonly kind: number;
  /** The name that Tango has for it. */
  readonly alias?: string;
}

/** A type with members. */
export interface StructType {
  readonly shape: "struct";
  readonly id: string;
  readonly name: string;
  readonly members: readonly { readonly name: string; readonly type: Type }[];
}

/** Some names; a value is the number of one of them. */
export interface EnumType {
  readonly shape: "enum";
  readonly id: string;
  readonly name: string;
  readonly members: readonly string[];
}

/** Elements of one type. */
export interface SequenceType {
  readonly shape: "sequence";
  readonly element: Type;
  /** The number of elements if it is always the same. */
  readonly length?: number;
  /** The name that Tango has for it. */
  readonly alias?: string;
}

/** What a value is: a type code of CORBA. Aliases are not kept when read. */
export type Type = SimpleType | StructType | EnumType | SequenceType;

const SIMPLE_KINDS: ReadonlySet<number> = new Set([
  Kind.NULL,
  Kind.VOID,
  Kind.SHORT,
  Kind.LONG,
  Kind.UNSIGNED_SHORT,
  Kind.UNSIGNED_LONG,
  Kind.FLOAT,
  Kind.DOUBLE,
  Kind.BOOLEAN,
  Kind.CHAR,
  Kind.OCTET,
  Kind.ANY,
  Kind.LONG_LONG,
  Kind.UNSIGNED_LONG_LONG,
]);

const SIZES: Readonly<Record<number, number>> = {
  [Kind.NULL]: 0,
  [Kind.VOID]: 0,
  [Kind.SHORT]: 2,
  [Kind.UNSIGNED_SHORT]: 2,
  [Kind.LONG]: 4,
  [Kind.UNSIGNED_LONG]: 4,
  [Kind.FLOAT]: 4,
  [Kind.STRING]: 5,
  [Kind.ANY]: 4,
  [Kind.DOUBLE]: 8,
  [Kind.LONG_LONG]: 8,
  [Kind.UNSIGNED_LONG_LONG]: 8,
};

function sizeOf(type: Type): number {
  switch (type.shape) {
    case "simple":
      return SIZES[type.kind] ?? 1;
    case "struct":
      return type.members.reduce((sum, { type }) => sum + leastSize(type), 0);
    case "enum":
      return 4;
    case "sequence":
      return type.length === undefined
        ? 4
        : type.length * leastSize(type.element);
  }
}

/** A type may be big, and is looked at for each of many values. */
const sizes = new WeakMap<Type, number>();

/** The least number of bytes that a value of the type takes. */
export function leastSize(type: Type): number {
  let size = sizes.get(type);
  if (size === undefined) {
    size = sizeOf(type);
    sizes.set(type, size);
  }
  return size;
}

/** The type of a kind without parts. */
export function simple(kind: number): SimpleType {
  return { shape: "simple", kind };
}

/** The type of sequences of elements. */
export function sequenceOf(element: Type): SequenceType {
  return { shape: "sequence", element };
}

/**
 * Reads a type.
 *
 * @throws {MarshalError} If it is none, is not supported, or is too deep.
 */
export function readType(reader: CdrReader, depth = 0): Type {
  if (depth > MAX_DEPTH) throw new MarshalError("A type is too deep");
  const kind = reader.unsignedLong();
  if (SIMPLE_KINDS.has(kind)) return simple(kind);
  if (kind === Kind.STRING) {
    reader.unsignedLong();
    return simple(kind);
  }
  // The others come enclosed, so that those who do not know them can skip them.
  const inner = reader.encapsulation();
  const read = (): Type => readType(inner, depth + 1);
  const readPart = (): Type => {
    const part = read();
    // Any number of them could be announced.
    if (leastSize(part) > 0) return part;
    throw new MarshalError("A part of a type takes no bytes");
  };
  switch (kind) {
    case Kind.STRUCT:
    case Kind.EXCEPTION:
      return {
        shape: "struct",
        id: inner.string(),
        name: inner.string(),
        members: inner.sequence(
          () => ({ name: inner.string(), type: readPart() }),
          12,
        ),
      };
    case Kind.ENUM:
      return {
        shape: "enum",
        id: inner.string(),
        name: inner.string(),
        members: inner.strings(),
      };
    case Kind.SEQUENCE: {
      const element = readPart();
      inner.unsignedLong();
      return sequenceOf(element);
    }
    case Kind.ARRAY: {
      const element = readPart();
      return { shape: "sequence", element, length: inner.unsignedLong() };
    }
    case Kind.ALIAS:
      inner.string();
      inner.string();
      return read();
    default:
      throw new MarshalError(`Type kind ${kind} is not supported`);
  }
}

/** Writes a type. */
export function writeType(writer: CdrWriter, type: Type): void {
  const alias = "alias" in type ? type.alias : undefined;
  if (alias === undefined) {
    writeBareType(writer, type);
    return;
  }
  writer.unsignedLong(Kind.ALIAS).encapsulation((inner) => {
    inner.string(`IDL:Tango/${alias}:1.0`).string(alias);
    writeBareType(inner, type);
  });
}

function writeBareType(writer: CdrWriter, type: Type): void {
  switch (type.shape) {
    case "simple":
      writer.unsignedLong(type.kind);
      if (type.kind === Kind.STRING) writer.unsignedLong(0);
      return;
    case "struct":
      writer.unsignedLong(Kind.STRUCT).encapsulation((inner) => {
        inner.string(type.id).string(type.name);
        inner.sequence(type.members, (member) => {
          inner.string(member.name);
          writeType(inner, member.type);
        });
      });
      return;
    case "enum":
      writer.unsignedLong(Kind.ENUM).encapsulation((inner) =>
        inner.string(type.id).string(type.name).strings(type.members)
      );
      return;
    case "sequence":
      writer.unsignedLong(
        type.length === undefined ? Kind.SEQUENCE : Kind.ARRAY,
      )
        .encapsulation((inner) => {
          writeType(inner, type.element);
          inner.unsignedLong(type.length ?? 0);
        });
      return;
  }
}
