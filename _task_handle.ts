// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { TokenLock } from "./_token_lock.ts";
import type { HeldLock, LockOptions } from "./lock.ts";

/** What a handle has besides the members of its runner. */
export interface TaskLocking {
  /** Whether any handle holds the lock of the task. */
  readonly isLocked: boolean;
  /**
   * Locks the task: until it is unlocked, the methods of all other handles
   * fail with a `LockedError`, except `join()` and `states()`. Those who wait
   * are served in the order in which they came.
   *
   * @param options How long to wait, and for what else.
   * @returns The lock, or `null` if it was not free in time.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `timeout` is negative or `NaN`.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  lock(options?: LockOptions): Promise<HeldLock | null>;
  /**
   * Unlocks the task if this handle holds the lock or the token is right.
   *
   * @param token The token that the task was locked with.
   * @returns Whether the task is unlocked now, as far as this handle goes.
   */
  unlock(token?: string): boolean;
  /** Unlocks the task, whoever holds the lock. */
  forceUnlock(): void;
}

/** The members of {@linkcode TaskLocking}, which no runner may have. */
export const LOCKING: readonly string[] = [
  "isLocked",
  "lock",
  "unlock",
  "forceUnlock",
];

/**
 * Methods that only look, besides those of all objects such as `toString()`: a
 * lock does not keep anybody from them.
 */
const LOOKING: ReadonlySet<PropertyKey> = new Set(["join", "states"]);

const AsyncFunction = (async () => {}).constructor as new () => unknown;

type Method = (...args: unknown[]) => unknown;

function isMethod(value: unknown): value is Method {
  return typeof value === "function";
}

/** One view of a runner, with an identity of its own for the lock. */
class HandleTraps<R extends object> implements ProxyHandler<R> {
  readonly #lock: TokenLock;
  readonly #locking: TaskLocking;
  readonly #methods: Map<PropertyKey, [Method, Method]> = new Map();

  constructor(lock: TokenLock) {
    this.#lock = lock;
    this.#locking = {
      get isLocked() {
        return lock.isLocked;
      },
      lock: (options) => lock.lock(this, options),
      unlock: (token) => lock.unlock(this, token),
      forceUnlock: () => lock.forceUnlock(),
    };
  }

  check(action: string): void {
    this.#lock.check(this, action);
  }

  get(runner: R, key: PropertyKey, handle: R): unknown {
    if (Object.hasOwn(this.#locking, key)) {
      return this.#locking[key as keyof TaskLocking];
    }
    const value: unknown = runner[key as keyof R];
    if (value === runner) return handle;
    if (!isMethod(value) || key === "constructor") return value;
    const known = this.#methods.get(key);
    if (known?.[0] === value) return known[1];
    const method = this.#guard(runner, key, value, handle);
    this.#methods.set(key, [value, method]);
    return method;
  }

  set(runner: R, key: PropertyKey, value: unknown): boolean {
    this.check(`set '${String(key)}'`);
    return Reflect.set(runner, key, value, runner);
  }

  has(runner: R, key: PropertyKey): boolean {
    return key in this.#locking || key in runner;
  }

  #guard(runner: R, key: PropertyKey, method: Method, handle: R): Method {
    // A runner that got out would be a way around the lock.
    const keepIn = (result: unknown) => result === runner ? handle : result;
    if (LOOKING.has(key) || key in Object.prototype) {
      return (...args) => keepIn(Reflect.apply(method, runner, args));
    }
    if (method instanceof AsyncFunction) {
      return async (...args) => {
        this.#checkCall(key);
        return keepIn(await Reflect.apply(method, runner, args));
      };
    }
    return (...args) => {
      this.#checkCall(key);
      return keepIn(Reflect.apply(method, runner, args));
    };
  }

  #checkCall(key: PropertyKey): void {
    if (!this.#lock.isLocked) return;
    this.check(typeof key === "symbol" ? "dispose of task" : `call '${key}'`);
  }
}

const trapsOf: WeakMap<object, HandleTraps<object>> = new WeakMap();

/** A new handle of a runner. */
export function createHandle<R extends object>(
  runner: R,
  lock: TokenLock,
): R & TaskLocking {
  const traps: HandleTraps<R> = new HandleTraps(lock);
  const handle = new Proxy(runner, traps) as R & TaskLocking;
  trapsOf.set(handle, traps);
  return handle;
}

/**
 * Checks that the lock allows something to a handle, or to somebody without.
 *
 * @throws {LockedError} If somebody else holds it.
 */
export function checkUnlocked(
  lock: TokenLock,
  handle: object | undefined,
  action: string,
): void {
  const traps = handle === undefined ? undefined : trapsOf.get(handle);
  if (traps === undefined) lock.check({}, action);
  else traps.check(action);
}
