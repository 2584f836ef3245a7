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

/** Causes that are deeper are only described. */
const DEPTH = 8;

/** How many errors are packed: each may lead to many others. */
const MOST = 1000;

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

/** Packs one value with all the errors that it leads to. */
class Packer {
  /** The errors from the first to the present one, to notice a circle. */
  readonly #path: Set<unknown> = new Set();
  #count = 0;

  pack(value: unknown): Packed {
    try {
      if (value instanceof Error) return this.#packError(value);
      if (Array.isArray(value) && value.some((item) => item instanceof Error)) {
        return { kind: "list", items: value.map((item) => this.pack(item)) };
      }
    } catch {
      return packPlain(describe(value));
    }
    return packPlain(value);
  }

  #packError(error: Error): Packed {
    if (
      this.#path.has(error) || this.#path.size === DEPTH ||
      this.#count === MOST
    ) return packPlain(describe(error));
    this.#count++;
    this.#path.add(error);
    const properties: [string, Packed][] = [];
    // The errors of an `AggregateError` are not enumerable.
    for (const key of Object.getOwnPropertyNames(error)) {
      if (STANDARD.has(key)) continue;
      properties.push([key, this.#packProperty(error, key)]);
    }
    this.#path.delete(error);
    return {
      kind: error instanceof DOMException ? "exception" : "error",
      name: describe(error.name),
      message: describe(error.message),
      stack: describe(error.stack ?? ""),
      properties,
    };
  }

  #packProperty(error: Error, key: string): Packed {
    try {
      return this.pack(Reflect.get(error, key));
    } catch (failure) {
      return packPlain(describe(failure));
    }
  }
}

/** Packs a value, most likely an error, with its causes. */
export function pack(value: unknown): Packed {
  return new Packer().pack(value);
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
