// Copyright 2026 the Longrun authors. MIT license.

/** Marks a value that JSON has no word for, and an object that bears the mark. */
const MARK = "$longrun";

/** What is deeper than this is kept as a text. */
const DEPTH = 200;

const lost = (what: string): Record<string, unknown> => ({ [MARK]: what });

function define(
  target: Record<string, unknown>,
  key: string,
  value: unknown,
): void {
  // Many times faster, where nothing is inherited that would take it.
  if (!(key in target)) {
    target[key] = value;
    return;
  }
  Object.defineProperty(target, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

function describe(value: unknown): string {
  try {
    return `[${Object.prototype.toString.call(value).slice(8, -1)}]`;
  } catch {
    return "[unreadable]";
  }
}

class Encoder {
  readonly #above: Set<object> = new Set();

  encode(value: unknown): unknown {
    switch (typeof value) {
      case "string":
      case "boolean":
        return value;
      case "number":
        return Number.isFinite(value) && !Object.is(value, -0) ? value : {
          [MARK]: "number",
          value: Object.is(value, -0) ? "-0" : `${value}`,
        };
      case "bigint":
        return { [MARK]: "bigint", value: `${value}` };
      case "undefined":
        return lost("undefined");
      case "object":
        return value === null ? null : this.#object(value);
      case "function":
        return "[function]";
      default:
        return "[symbol]";
    }
  }

  #object(value: object): unknown {
    if (this.#above.has(value)) return "[circular]";
    if (this.#above.size >= DEPTH) return "[too deep]";
    this.#above.add(value);
    try {
      return this.#members(value);
    } catch {
      return describe(value);
    } finally {
      this.#above.delete(value);
    }
  }

  #members(value: object): unknown {
    if (Array.isArray(value)) {
      return Array.from(value, (item) => this.encode(item));
    }
    if (value instanceof Date) {
      return { [MARK]: "date", value: this.encode(value.getTime()) };
    }
    if (value instanceof Map) {
      const pairs = Array.from(value, (pair) => this.encode(pair));
      return { [MARK]: "map", value: pairs };
    }
    if (value instanceof Set) {
      const items = Array.from(value, (item) => this.encode(item));
      return { [MARK]: "set", value: items };
    }
    if (value instanceof Uint8Array) {
      return { [MARK]: "bytes", value: value.toBase64() };
    }
    if (value instanceof Error) {
      const { name, message } = value;
      return `[${name}: ${message}]`;
    }
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      return describe(value);
    }
    const members: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      define(members, key, this.encode(Reflect.get(value, key)));
    }
    return Object.hasOwn(members, MARK)
      ? { [MARK]: "object", value: members }
      : members;
  }
}

function decodeMarked(mark: unknown, value: unknown): unknown {
  switch (mark) {
    case "undefined":
      return undefined;
    case "number":
      return Number(value);
    case "bigint":
      return BigInt(value as string);
    case "date":
      return new Date(decode(value) as number);
    case "map":
      return new Map(decode(value) as [unknown, unknown][]);
    case "set":
      return new Set(decode(value) as unknown[]);
    case "bytes":
      return Uint8Array.fromBase64(value as string);
    case "object":
      return decodeMembers(value as object);
    default:
      throw new TypeError(`A stored value is of the unknown kind '${mark}'`);
  }
}

function decodeMembers(value: object): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    define(members, key, decode(member));
  }
  return Object.freeze(members);
}

function decode(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(decode));
  if (!Object.hasOwn(value, MARK)) return decodeMembers(value);
  const { [MARK]: mark, value: inner } = value as Record<string, unknown>;
  return decodeMarked(mark, inner);
}

/**
 * A value as a text: whatever JSON holds, and `undefined`, `bigint`, all
 * numbers, dates, maps, sets and bytes. What is none of these is kept as a text
 * that tells of it: a function, a symbol, an error, a cycle. Never throws.
 */
export function encodeStored(value: unknown): string {
  return JSON.stringify(new Encoder().encode(value));
}

/**
 * The value of a text. Plain objects and arrays of it are frozen.
 *
 * @throws {SyntaxError | TypeError} If it is no text of {@linkcode encodeStored}.
 */
export function decodeStored(text: string): unknown {
  return decode(JSON.parse(text));
}

/** A frozen copy of a value, as it would be read from a file. */
export function storedCopy<T>(value: T): T {
  return decodeStored(encodeStored(value)) as T;
}
