// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * What was thrown, on its way between threads. A plain copy would strip an
 * error of its name and of what it has besides, and fails for a function.
 */
export type Packed =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "list"; readonly items: readonly Packed[] }
  | {
    readonly kind: "error" | "exception";
    readonly name: string;
    readonly message: string;
    readonly stack: string;
    /** Its cause, its errors and the like. */
    readonly properties: readonly (readonly [string, Packed])[];
  };

const STANDARD: ReadonlySet<string> = new Set(["name", "message", "stack"]);

/** What is deeper among causes is only described: a chain may be a circle. */
const DEPTH = 8;

function describe(value: unknown): string {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

function packPlain(value: unknown): Packed {
  try {
    return { kind: "value", value: structuredClone(value) };
  } catch {
    return { kind: "value", value: describe(value) };
  }
}

function packError(error: Error, depth: number): Packed {
  const properties: [string, Packed][] = [];
  // The errors of an `AggregateError` are not enumerable.
  for (const key of Object.getOwnPropertyNames(error)) {
    if (STANDARD.has(key)) continue;
    properties.push([key, pack(Reflect.get(error, key), depth - 1)]);
  }
  return {
    kind: error instanceof DOMException ? "exception" : "error",
    name: describe(error.name),
    message: describe(error.message),
    stack: describe(error.stack ?? ""),
    properties,
  };
}

/** Packs a value, most likely an error, with its causes. */
export function pack(value: unknown, depth: number = DEPTH): Packed {
  if (depth === 0) return packPlain(describe(value));
  try {
    if (value instanceof Error) return packError(value, depth);
    if (Array.isArray(value) && value.some((item) => item instanceof Error)) {
      const items = value.map((item) => pack(item, depth - 1));
      return { kind: "list", items };
    }
  } catch {
    // A getter of its own has thrown.
    return packPlain(describe(value));
  }
  return packPlain(value);
}

const NATIVE: Readonly<Record<string, new (message: string) => Error>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** What {@linkcode pack} has packed; errors of unknown classes as `Error`. */
export function unpack(packed: Packed): unknown {
  if (packed.kind === "value") return packed.value;
  if (packed.kind === "list") return packed.items.map(unpack);
  const { kind, name, message, stack, properties } = packed;
  const error = kind === "exception"
    ? new DOMException(message, name)
    : new (NATIVE[name] ?? Error)(message);
  const define = (key: string, value: unknown): void => {
    Object.defineProperty(error, key, {
      value,
      configurable: true,
      writable: true,
    });
  };
  if (error.name !== name) define("name", name);
  define("stack", stack);
  for (const [key, value] of properties) define(key, unpack(value));
  return error;
}
