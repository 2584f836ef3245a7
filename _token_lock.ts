// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkNonNegative,
  checkOptions,
  checkSignal,
  checkType,
} from "./_arguments.ts";
import { LimitedWait } from "./_limited_wait.ts";
import type { WaitLimits } from "./_wait.ts";
import type { Clock } from "./clock.ts";
import { type HeldLock, LockedError, type LockOptions } from "./lock.ts";

function checkToken(action: string, token: unknown): void {
  checkType(
    token === undefined || (typeof token === "string" && token !== ""),
    action,
    "token",
    "a non-empty string",
    token,
  );
}

/** From a lock to its unlock. The next lock, by whomever, is another one. */
class Tenure {
  readonly owners: WeakSet<object> = new WeakSet();
  #token: string | undefined;

  constructor(token: string | undefined) {
    this.#token = token;
  }

  /** Made when somebody looks: before, nobody can present it. */
  get token(): string {
    return this.#token ??= crypto.randomUUID();
  }

  isOpenedBy(token: string | undefined): boolean {
    return token !== undefined && token === this.#token;
  }
}

class Held implements HeldLock {
  readonly #tenure: Tenure;
  readonly #isCurrent: (tenure: Tenure) => boolean;
  readonly #end: () => void;

  constructor(
    tenure: Tenure,
    isCurrent: (tenure: Tenure) => boolean,
    end: () => void,
  ) {
    this.#tenure = tenure;
    this.#isCurrent = isCurrent;
    this.#end = end;
  }

  get token(): string {
    return this.#tenure.token;
  }

  get held(): boolean {
    return this.#isCurrent(this.#tenure);
  }

  unlock(): boolean {
    const { held } = this;
    if (held) this.#end();
    return held;
  }

  [Symbol.dispose](): void {
    this.unlock();
  }
}

class LockWait extends LimitedWait<HeldLock | null> {
  readonly owner: object;
  readonly token: string | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #line: Set<LockWait>;

  constructor(
    resolve: (lock: HeldLock | null) => void,
    reject: (reason: unknown) => void,
    limits: WaitLimits,
    owner: object,
    token: string | undefined,
    line: Set<LockWait>,
  ) {
    super(resolve, reject, limits);
    this.owner = owner;
    this.token = token;
    this.#signal = limits.signal;
    this.#line = line;
    line.add(this);
  }

  /** Somebody told of the abort before us may have unlocked. */
  obeySignal(): void {
    if (this.#signal?.aborted) this.reject(this.#signal.reason);
  }

  override expire(): void {
    this.resolve(null);
  }

  override leave(): void {
    this.#line.delete(this);
  }
}

/**
 * A lock with owners and tokens, first come, first served. An unlock hands it
 * over to the first in line, so that nobody can come in between.
 *
 * An owner is the identity of an object. Several own the lock when they have
 * presented the same token, also while they stood in line: nobody waits for a
 * lock whose token he knows. It is not counted: one unlock ends it for all.
 */
export class TokenLock {
  readonly #name: string;
  readonly #clock: Clock;
  #tenure: Tenure | undefined = undefined;
  #line: Set<LockWait> | undefined = undefined;
  #isClosed = false;

  /**
   * Creates a lock that is free.
   *
   * @param name The name of the object that is locked, for messages.
   * @param clock Measures the timeouts.
   */
  constructor(name: string, clock: Clock) {
    this.#name = name;
    this.#clock = clock;
  }

  /** Whether anybody holds it. */
  get isLocked(): boolean {
    return this.#tenure !== undefined;
  }

  /** How many stand in line. */
  get waiting(): number {
    return this.#line?.size ?? 0;
  }

  /**
   * Locks: at once when it is free or when its token is presented, else when
   * those before have had it.
   *
   * @returns The lock, or `null` when it was not given within the timeout or
   * the lock was closed.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `timeout` is negative or `NaN`.
   * @throws {AbortSignal["reason"]} If the signal aborts first, or has aborted.
   */
  lock(owner: object, options: LockOptions = {}): Promise<HeldLock | null> {
    try {
      checkOptions("lock", options);
      checkNonNegative("lock", "timeout", options.timeout ?? 0);
      checkToken("lock", options.token);
      checkSignal("lock", options.signal);
    } catch (error) {
      return Promise.reject(error);
    }
    const { timeout = 0, token, signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#isClosed) return Promise.resolve(null);
    if (this.#isOpenFor(token)) {
      return Promise.resolve(this.#give(owner, token));
    }
    if (timeout === 0) return Promise.resolve(null);
    const line = this.#line ??= new Set();
    const ms = timeout === Infinity ? undefined : timeout;
    const limits = { signal, ms, clock: this.#clock };
    return new Promise((resolve, reject) =>
      new LockWait(resolve, reject, limits, owner, token, line)
    );
  }

  /**
   * Unlocks for an owner, or for anybody with the token.
   *
   * @returns Whether the owner does not stand before a lock of others: `true`
   * also when it was not locked.
   * @throws {TypeError} If `token` is not a non-empty string.
   */
  unlock(owner: object, token?: string): boolean {
    checkToken("unlock", token);
    const tenure = this.#tenure;
    if (tenure === undefined) return true;
    if (!tenure.owners.has(owner) && !tenure.isOpenedBy(token)) return false;
    this.#handOver();
    return true;
  }

  /** Unlocks, whoever holds it. Does nothing when nobody does. */
  forceUnlock(): void {
    this.#handOver();
  }

  /**
   * Checks that somebody may use what is locked.
   *
   * @throws {LockedError} If it is locked and he is not an owner.
   */
  check(owner: object, action: string): void {
    if (this.#tenure === undefined || this.#tenure.owners.has(owner)) return;
    throw new LockedError(this.#name, action);
  }

  /**
   * Sends everybody in line away with `null`, and all who come later. Who holds
   * it keeps it until he unlocks.
   */
  close(): void {
    this.#isClosed = true;
    if (this.#line === undefined) return;
    for (const wait of this.#line) wait.resolve(null);
  }

  #give(owner: object, token: string | undefined): HeldLock {
    const tenure = this.#tenure ??= new Tenure(token);
    tenure.owners.add(owner);
    return new Held(
      tenure,
      (tenure) => tenure === this.#tenure,
      () => this.#handOver(),
    );
  }

  #handOver(): void {
    this.#tenure = undefined;
    if (this.#line === undefined) return;
    for (const wait of this.#line) {
      wait.obeySignal();
      if (!wait.isOpen || !this.#isOpenFor(wait.token)) continue;
      wait.resolve(this.#give(wait.owner, wait.token));
      // Nobody else in line can know a token that is yet to be made.
      if (wait.token === undefined) return;
    }
  }

  #isOpenFor(token: string | undefined): boolean {
    return this.#tenure === undefined || this.#tenure.isOpenedBy(token);
  }
}
