// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

interface Follower<T> {
  resolve: (value: T) => void;
  reject: (reason: unknown) => void;
}

// `Promise.race([longLived, next])` leaves a reaction on the long-lived
// promise each time, until it settles. Here a promise gets one reaction in its
// life and its followers can leave.
const followers = new WeakMap<object, Set<Follower<never>>>();

/** Whether the value has a `then`. */
export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return ((typeof value === "object" && value !== null) ||
    typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function";
}

/**
 * Is told how the promise settles, until the returned function is called.
 * From the first call on the promise counts as handled.
 */
export function followPromise<T>(
  promise: PromiseLike<T>,
  resolve: (value: T) => void,
  reject: (reason: unknown) => void,
): () => void {
  const follower: Follower<T> = { resolve, reject };
  let set = followers.get(promise) as Set<Follower<T>> | undefined;
  if (set === undefined) {
    const created = set = new Set<Follower<T>>();
    followers.set(promise, created);
    const settle = (tell: (follower: Follower<T>) => void): void => {
      // A later follower needs a reaction of its own to be told at all.
      followers.delete(promise);
      for (const follower of created) {
        try {
          tell(follower);
        } catch {
          // A clock that cannot cancel keeps nobody from going on.
        }
      }
      created.clear();
    };
    Promise.resolve(promise).then(
      (value) => settle((follower) => follower.resolve(value)),
      (reason) => settle((follower) => follower.reject(reason)),
    );
  }
  const joined = set;
  joined.add(follower);
  return () => {
    joined.delete(follower);
  };
}
