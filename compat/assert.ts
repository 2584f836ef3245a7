// Copyright 2026 the Longrun authors. MIT license.

/**
 * The part of `@std/assert` that the tests use, over `node:assert`.
 *
 * @module
 */

import assertions, { AssertionError } from "node:assert/strict";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = new (...args: any[]) => E;

// deno-lint-ignore no-explicit-any
type AbstractClass<T> = abstract new (...args: any[]) => T;

function failure(message: string | undefined): AssertionError | undefined {
  return message === undefined ? undefined : new AssertionError({ message });
}

export function fail(message?: string): never {
  throw new AssertionError({ message: message ?? "Failed assertion." });
}

export function assert(value: unknown, message?: string): asserts value {
  assertions.ok(value, failure(message));
}

export function assertFalse(value: unknown, message?: string): void {
  assertions.ok(!value, failure(message));
}

export function assertEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  assertions.deepStrictEqual(actual, expected, failure(message));
}

export function assertNotEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  assertions.notDeepStrictEqual(actual, expected, failure(message));
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  assertions.strictEqual(actual, expected, failure(message));
}

export function assertInstanceOf<T>(
  actual: unknown,
  expected: AbstractClass<T>,
  message?: string,
): asserts actual is T {
  if (!(actual instanceof expected)) {
    fail(message ?? `${String(actual)} is no ${expected.name}`);
  }
}

export function assertMatch(
  actual: string,
  expected: RegExp,
  message?: string,
): void {
  assertions.match(actual, expected, failure(message));
}

export function assertStringIncludes(
  actual: string,
  expected: string,
  message?: string,
): void {
  if (!actual.includes(expected)) {
    fail(message ?? `"${actual}" does not include "${expected}"`);
  }
}

export function assertGreater<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  if (!(actual > expected)) fail(message ?? `${actual} <= ${expected}`);
}

export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  if (!(actual >= expected)) fail(message ?? `${actual} < ${expected}`);
}

export function assertLess<T>(actual: T, expected: T, message?: string): void {
  if (!(actual < expected)) fail(message ?? `${actual} >= ${expected}`);
}

export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  if (!(actual <= expected)) fail(message ?? `${actual} > ${expected}`);
}

function checkError(
  error: unknown,
  expected: ErrorClass<Error> | string | undefined,
  part: string | undefined,
  message: string | undefined,
): void {
  if (typeof expected !== "function") return;
  assertInstanceOf(error, expected, message);
  if (part !== undefined) assertStringIncludes(error.message, part, message);
}

export function assertThrows(fn: () => unknown, message?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  expected: ErrorClass<E>,
  part?: string,
  message?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  expected?: ErrorClass<Error> | string,
  part?: string,
  message?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    checkError(error, expected, part, message);
    return error;
  }
  fail(typeof expected === "string" ? expected : message ?? "Did not throw.");
}

export function assertRejects(
  fn: () => PromiseLike<unknown>,
  message?: string,
): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  expected: ErrorClass<E>,
  part?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  expected?: ErrorClass<Error> | string,
  part?: string,
  message?: string,
): Promise<unknown> {
  const note = typeof expected === "string" ? expected : message;
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch (cause) {
    throw new Error(note ?? "Threw instead of rejecting.", { cause });
  }
  assert(typeof promise?.then === "function", note ?? "Returned no promise.");
  try {
    await promise;
  } catch (error) {
    checkError(error, expected, part, message);
    return error;
  }
  fail(note ?? "Did not reject.");
}
