// Copyright 2026 the Longrun authors. MIT license.

/** How deep a value may be. */
const MOST_DEPTH = 100;

/** How many values are shown of one. */
const MOST_VALUES = 100_000;

/** How many characters of one: the same text can be in it many times. */
const MOST_CHARACTERS = 8 * 1024 * 1024;

/** Larger ones take seconds to be written down. */
const MOST_BITS = 4096;

class Converter {
  readonly #above: Set<object> = new Set();
  #left: number = MOST_VALUES;
  #characters: number = MOST_CHARACTERS;

  convert(value: unknown): unknown {
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "boolean":
        return value;
      case "number":
        return Number.isFinite(value) ? value : null;
      case "bigint":
        return BigInt.asIntN(MOST_BITS, value) === value
          ? String(value)
          : "[bigint]";
      case "object":
        return value === null ? null : this.#object(value);
      default:
        return null;
    }
  }

  #text(value: string): string {
    if (value.length > this.#characters) return "[…]";
    this.#characters -= value.length;
    return value;
  }

  #object(value: object): unknown {
    if (this.#above.has(value)) return "[circular]";
    if (this.#above.size >= MOST_DEPTH || this.#left <= 0) return "[…]";
    this.#above.add(value);
    try {
      return this.#members(value);
    } catch (error) {
      return `[${error instanceof Error ? error.name : "unreadable"}]`;
    } finally {
      this.#above.delete(value);
    }
  }

  #members(value: object): unknown {
    if (Array.isArray(value)) return this.#list(value);
    if (value instanceof Date) {
      return Number.isNaN(value.getTime()) ? null : value.toISOString();
    }
    if (value instanceof Error) {
      const { name, message, cause } = value;
      const shown = {
        name: this.convert(name),
        message: this.#text(String(message)),
      };
      return cause === undefined
        ? shown
        : { ...shown, cause: this.convert(cause) };
    }
    if (value instanceof Map) return this.#list(value);
    if (value instanceof Set) return this.#list(value);
    if (value instanceof ArrayBuffer) return this.#list(new Uint8Array(value));
    if (ArrayBuffer.isView(value)) {
      const { buffer, byteOffset, byteLength } = value;
      return this.#list(
        value instanceof DataView
          ? new Uint8Array(buffer, byteOffset, byteLength)
          : value as Uint8Array,
      );
    }
    const pairs: [string, unknown][] = [];
    for (const name of Object.keys(value)) {
      if (this.#left-- <= 0) break;
      this.#characters -= name.length;
      if (this.#characters < 0) break;
      const member: unknown = Reflect.get(value, name);
      if (member === undefined || typeof member === "function") continue;
      pairs.push([name, this.convert(member)]);
    }
    return Object.fromEntries(pairs);
  }

  #list(values: Iterable<unknown>): unknown[] {
    const list: unknown[] = [];
    for (const value of values) {
      if (this.#left-- <= 0) {
        list.push("[…]");
        break;
      }
      list.push(this.convert(value));
    }
    return list;
  }
}

/**
 * Any value as one that JSON carries. Where it has no equal it has the nearest:
 * a text for a `bigint`, a list for a `Map`, a mark for a cycle. Never throws.
 */
export function jsonValue(value: unknown): unknown {
  return new Converter().convert(value);
}

/**
 * Looks for what a JSON text can say and plain data cannot be.
 *
 * @returns What is wrong, and where; `undefined` if nothing is.
 */
export function complaintAbout(
  json: unknown,
): { place: string; message: string } | undefined {
  interface Step {
    readonly value: unknown;
    readonly name: string;
    readonly above: Step | undefined;
    readonly depth: number;
  }
  const place = (step: Step | undefined): string =>
    step?.above === undefined ? "" : `${place(step.above)}/${step.name}`;
  const steps: Step[] = [{
    value: json,
    name: "",
    above: undefined,
    depth: 0,
  }];
  for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
    const { value, depth } = step;
    if (typeof value === "number" && !Number.isFinite(value)) {
      return { place: place(step), message: "is too large a number" };
    }
    if (typeof value !== "object" || value === null) continue;
    if (depth >= MOST_DEPTH) {
      return { place: "", message: `is nested deeper than ${MOST_DEPTH}` };
    }
    for (const [name, member] of Object.entries(value)) {
      if (name === "__proto__") {
        const message = "must not have a member '__proto__'";
        return { place: place(step), message };
      }
      steps.push({ value: member, name, above: step, depth: depth + 1 });
    }
  }
  return undefined;
}
