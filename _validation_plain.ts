// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { isPromiseLike } from "./_promise_fanout.ts";
import { pathOf } from "./_validation_error.ts";

/** Plain data: what JSON knows, and large integers. */
export type PlainValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PlainValue[]
  | PlainObject;

/** An object of plain data. */
export interface PlainObject {
  /** The fields. */
  [key: string]: PlainValue;
}

function refuse(keys: readonly PropertyKey[], why: string): never {
  const what = keys.length === 0 ? "it" : `'${pathOf(keys)}'`;
  throw new TypeError(`Cannot make a plain object as ${what} ${why}`);
}

// What is being made plain, with calls from within a `toJSON()`: these are the
// objects on the way to where it is.
const onTheWay = new Set<object>();

const isDropped = (value: unknown): boolean =>
  value === undefined || typeof value === "symbol" ||
  typeof value === "function";

/** Assigns also what is called `__proto__`. */
function put(target: PlainObject, key: string, value: PlainValue): void {
  Object.defineProperty(target, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function plainMap(
  map: ReadonlyMap<unknown, unknown>,
  keys: readonly PropertyKey[],
): PlainObject {
  const result: PlainObject = {};
  for (const [key, value] of map) {
    if (typeof key !== "string" && typeof key !== "number") {
      refuse(keys, `has a key of type ${typeof key}`);
    }
    if (isDropped(value)) continue;
    put(result, String(key), plain(value, [...keys, String(key)]));
  }
  return result;
}

function plainList(
  list: Iterable<unknown>,
  keys: readonly PropertyKey[],
): PlainValue[] {
  const result: PlainValue[] = [];
  for (const value of list) {
    result.push(
      isDropped(value) ? null : plain(value, [...keys, result.length]),
    );
  }
  return result;
}

function plainFields(
  value: object,
  keys: readonly PropertyKey[],
): PlainObject {
  const result: PlainObject = {};
  if (value instanceof Error) {
    // The fields of an error that count are not enumerable.
    put(result, "name", value.name);
    put(result, "message", value.message);
    if (!isDropped(value.cause)) {
      put(result, "cause", plain(value.cause, [...keys, "cause"]));
    }
  }
  for (const key of Object.keys(value)) {
    const field = (value as Record<string, unknown>)[key];
    if (isDropped(field)) continue;
    put(result, key, plain(field, [...keys, key]));
  }
  return result;
}

function plainContents(
  value: object,
  keys: readonly PropertyKey[],
): PlainValue {
  if (value instanceof Map) return plainMap(value, keys);
  if (Array.isArray(value) || value instanceof Set) {
    return plainList(value, keys);
  }
  if (ArrayBuffer.isView(value)) {
    if (value instanceof DataView) refuse(keys, "is a DataView");
    return plainList(value as unknown as Iterable<unknown>, keys);
  }
  return plainFields(value, keys);
}

function plainDate(date: Date, keys: readonly PropertyKey[]): string {
  if (Number.isNaN(date.getTime())) refuse(keys, "is an invalid date");
  return date.toISOString();
}

function plain(value: unknown, keys: readonly PropertyKey[]): PlainValue {
  if (typeof value !== "object" || value === null) return value as PlainValue;
  if (value instanceof Date) return plainDate(value, keys);
  if (isPromiseLike(value)) refuse(keys, "is a promise");
  const { toJSON } = value as { toJSON?: unknown };
  // The outermost object is asked for its fields: its own `toJSON()` may be
  // what asks.
  if (typeof toJSON === "function" && keys.length > 0) {
    const json: unknown = toJSON.call(value, String(keys.at(-1)));
    if (isDropped(json)) return null;
    if (typeof json !== "object" || json === null) return json as PlainValue;
    return plainWithin(json, keys);
  }
  return plainWithin(value, keys);
}

function plainWithin(value: object, keys: readonly PropertyKey[]): PlainValue {
  if (onTheWay.has(value)) refuse(keys, "leads back to what it is part of");
  onTheWay.add(value);
  try {
    return plainContents(value, keys);
  } finally {
    onTheWay.delete(value);
  }
}

/**
 * What an object holds, as plain objects, lists and simple values, deep: what
 * `to_dict()` of a `DataClass` is in the original. Any class will do.
 *
 * The rules are those of `JSON.stringify()`, without the text:
 *
 * - An object becomes a plain one of its own enumerable fields. Methods,
 *   getters of the class and `#private` fields are no fields.
 * - A `Map` becomes an object, its keys must be strings or numbers; a `Set` and
 *   a typed array become lists.
 * - A `Date` becomes its text in the form of ISO 8601, an error its name, its
 *   message, its cause and its fields.
 * - What has a `toJSON()` becomes what that returns, but for the outermost
 *   object: so a class may define `toJSON() { return toPlainObject(this); }`.
 * - Numbers stay as they are, `NaN`, infinite ones and large integers too.
 * - Fields that are functions, symbols or `undefined` are left out; in a list
 *   they become `null`.
 *
 * Nothing is shared with the original, and the same object in two places
 * becomes two.
 *
 * @param value The object, which may be a `Map`.
 * @returns Plain data, which can be changed freely.
 * @throws {TypeError} If the value is no object, or is a list or a date; or if
 * something in it leads back to what it is part of, is a promise, an invalid
 * date, or a map with keys that are no names. The message says where.
 *
 * @example Usage
 * ```ts
 * import { toPlainObject } from "@longrun/tasks/validation";
 * import { assertEquals } from "@std/assert";
 *
 * class Beam {
 *   readonly id: number;
 *   readonly since: Date = new Date(0);
 *   constructor(id: number) {
 *     this.id = id;
 *   }
 * }
 * class Scan {
 *   readonly beams: Map<string, Beam> = new Map([["low", new Beam(1)]]);
 *   get size(): number {
 *     return this.beams.size;
 *   }
 * }
 * assertEquals(toPlainObject(new Scan()), {
 *   beams: { low: { id: 1, since: "1970-01-01T00:00:00.000Z" } },
 * });
 * ```
 */
export function toPlainObject(value: object): PlainObject {
  if (typeof value !== "object" || value === null) {
    refuse([], `is ${value == null ? value : `a ${typeof value}`}`);
  }
  const isList = Array.isArray(value) || value instanceof Set ||
    ArrayBuffer.isView(value);
  if (isList) refuse([], "is a list");
  if (value instanceof Date) refuse([], "is a date");
  return plain(value, []) as PlainObject;
}
