// Copyright 2026 the Longrun authors. MIT license.

import type { AttributeReading } from "./tango_types.ts";

/**
 * A value with numbers where it has bigints. Those beyond 2^53 are rounded.
 */
export function withNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof BigInt64Array || value instanceof BigUint64Array) {
    return Float64Array.from(value, Number);
  }
  return Array.isArray(value) ? value.map(withNumbers) : value;
}

/** What was read of an attribute, with numbers where it has bigints. */
export function readingWithNumbers(
  reading: AttributeReading,
): AttributeReading {
  return {
    ...reading,
    value: withNumbers(reading.value),
    writeValue: withNumbers(reading.writeValue),
  };
}
