// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Words about locking an object, so that nobody but the owner of the lock can
 * use it: a camera for the length of an exposure, a stage for a scan.
 *
 * ```ts
 * import type { HeldLock, LockOptions } from "@longrun/tasks/lock";
 *
 * interface Camera {
 *   lock(options?: LockOptions): Promise<HeldLock | null>;
 *   expose(seconds: number): Promise<void>;
 * }
 *
 * export async function takeDark(camera: Camera): Promise<void> {
 *   using lock = await camera.lock({ timeout: 5000 });
 *   if (lock === null) throw new Error("The camera is in use");
 *   await camera.expose(60);
 * }
 * ```
 *
 * @module
 */

/** Options of a `lock()`. */
export interface LockOptions {
  /**
   * How long to wait for the lock, in milliseconds. Zero tries once; `Infinity`
   * waits for ever.
   *
   * @default {0}
   */
  timeout?: number;
  /**
   * A secret of one's own. Whoever presents the token of the lock that is held
   * is given it, too, at once, and may unlock it for all.
   *
   * @default {a token that nobody can guess}
   */
  token?: string;
  /** Ends the wait with the signal's reason. A lock once given stays. */
  signal?: AbortSignal;
}

/**
 * A lock that was given. Disposing of it unlocks.
 *
 * **Gotchas.** Locks are not counted: when several have presented the same
 * token, the first that unlocks does so for all of them. A `lock()` without the
 * token waits also for a lock that one holds oneself.
 */
export interface HeldLock extends Disposable {
  /** Shows that one may use the lock: whoever knows it is an owner, too. */
  readonly token: string;
  /**
   * Whether it is still held. Not so after it was unlocked, by whomever, even
   * if the object was locked again since with the same token.
   */
  readonly held: boolean;
  /**
   * Unlocks. Does nothing if it is not held any more: a lock that somebody was
   * given since is not touched.
   *
   * @returns Whether it was held until now.
   */
  unlock(): boolean;
  /** The same as {@linkcode HeldLock.unlock}. */
  [Symbol.dispose](): void;
}

/**
 * The error of a use of an object that somebody else has locked.
 *
 * @example Usage
 * ```ts
 * import { LockedError } from "@longrun/tasks/lock";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new LockedError("camera", "set settings");
 * assertEquals(
 *   error.message,
 *   "Cannot set settings as 'camera' is locked by another owner",
 * );
 * ```
 */
export class LockedError extends Error {
  /** The name of the class. */
  override readonly name: string = "LockedError";

  /**
   * Creates an error.
   *
   * @param object The name of the object that is locked.
   * @param action What cannot be done, as in "set settings".
   */
  constructor(object: string, action: string) {
    super(`Cannot ${action} as '${object}' is locked by another owner`);
  }
}
