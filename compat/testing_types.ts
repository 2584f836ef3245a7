// Copyright 2026 the Longrun authors. MIT license.

/**
 * The part of `@std/testing/types` that the tests use.
 *
 * @module
 */

export function assertType<_T extends boolean>(_expected: _T): void {}

export type IsExact<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true : false;
