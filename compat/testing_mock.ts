// Copyright 2026 the Longrun authors. MIT license.

/**
 * The part of `@std/testing/mock` that the tests use, over the mocks of
 * `node:test`.
 *
 * @module
 */

// deno-lint-ignore-file no-explicit-any

import { strictEqual } from "node:assert/strict";
import { type Mock, mock } from "node:test";

export interface SpyCall<Self = any, Args extends unknown[] = any[], R = any> {
  args: Args;
  returned?: R;
  error?: Error;
  self?: Self;
}

export interface Spy<Self = any, Args extends unknown[] = any[], R = any>
  extends Disposable {
  (this: Self, ...args: Args): R;
  readonly calls: SpyCall<Self, Args, R>[];
  restore(): void;
}

type ParametersOf<T> = T extends (...args: infer Args) => unknown ? Args
  : unknown[];
type ReturnTypeOf<T> = T extends (...args: any[]) => infer R ? R : unknown;
type MethodSpy<Self, Key extends keyof Self> = Spy<
  Self,
  ParametersOf<Self[Key]>,
  ReturnTypeOf<Self[Key]>
>;
type Method = (this: any, ...args: any[]) => any;

function wrap(mocked: Mock<Method>): Spy {
  function spied(this: unknown, ...args: unknown[]): unknown {
    return Reflect.apply(mocked, this, args);
  }
  const restore = () => mocked.mock.restore();
  return Object.defineProperties(spied, {
    calls: {
      get: () =>
        mocked.mock.calls.map((call): SpyCall => ({
          args: call.arguments,
          returned: call.result,
          error: call.error as Error | undefined,
          self: call.this,
        })),
    },
    restore: { value: restore },
    [Symbol.dispose]: { value: restore },
  }) as Spy;
}

export function spy(): Spy<any, any[], undefined>;
export function spy<Self, Args extends unknown[], R>(
  fn: (this: Self, ...args: Args) => R,
): Spy<Self, Args, R>;
export function spy<Self, Key extends keyof Self>(
  self: Self,
  method: Key,
): MethodSpy<Self, Key>;
export function spy(target?: any, method?: PropertyKey): Spy {
  return wrap(
    method === undefined ? mock.fn(target) : mock.method(target, method as any),
  );
}

export function stub<Self, Key extends keyof Self>(
  self: Self,
  method: Key,
  fn?: (
    this: Self,
    ...args: ParametersOf<Self[Key]>
  ) => ReturnTypeOf<Self[Key]>,
): MethodSpy<Self, Key>;
export function stub(
  self: any,
  method: PropertyKey,
  fn: Method = () => undefined,
): Spy {
  return wrap(mock.method(self, method as any, fn));
}

export function assertSpyCalls(spy: Spy, expected: number): void {
  strictEqual(spy.calls.length, expected, "The spy was called another number");
}
