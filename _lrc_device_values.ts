// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { listOfTypedArray } from "./_typed_array.ts";

/** A value as text, whatever it is. */
export function describeValue(value: unknown): string {
  try {
    return value instanceof Error ? value.message : String(value);
  } catch {
    return `something that cannot be shown (${typeof value})`;
  }
}

/**
 * A copy of a value as JSON can carry it, or its text where JSON cannot carry
 * it at all.
 *
 * @param onText Called in the second case.
 */
export function toJsonValue(value: unknown, onText: () => void): unknown {
  try {
    const text = JSON.stringify(value, (_, each) => listOfTypedArray(each));
    if (text !== undefined) return JSON.parse(text);
  } catch {
    // A circle, a bigint, or a `toJSON` that throws.
  }
  onText();
  return describeValue(value);
}

/** What a progress is sent as: a number, or its text. */
export function toProgress(
  value: unknown,
  onOdd: () => void,
): number | string {
  if (!Number.isSafeInteger(value)) onOdd();
  return typeof value === "number" && Number.isFinite(value)
    ? value
    : describeValue(value);
}
