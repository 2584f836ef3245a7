// Copyright 2026 the Longrun authors. MIT license.

import { abortable, CancelScope } from "@longrun/tasks/cancellation";
import {
  closedHere,
  connectTimedOut,
  type Endpoint,
  GiopConnection,
  type GiopConnectionOptions,
} from "./_giop_connection.ts";

interface Shared {
  readonly opening: Promise<GiopConnection>;
  /** Ends the opening. */
  readonly scope: CancelScope;
  connection: GiopConnection | undefined;
  readonly users: Set<object>;
  /** How many wait until it is open. */
  waiting: number;
}

/** One connection to a server for all who talk to it. */
export class ConnectionPool {
  readonly #shared = new Map<string, Shared>();

  /** How many connections there are, those being opened too. */
  get size(): number {
    return this.#shared.size;
  }

  /**
   * The connection to a server, opened if there is none. It is opened as long
   * as anybody waits for it, each for a time of his own.
   *
   * @param user Who needs it, until {@linkcode release} is called.
   */
  async connect(
    endpoint: Endpoint,
    user: object,
    options: GiopConnectionOptions,
  ): Promise<GiopConnection> {
    const { clock, maxMessage, signal, timeout } = options;
    const key = `${endpoint.host} ${endpoint.port} ${maxMessage}`;
    let shared = this.#shared.get(key);
    if (shared === undefined || shared.connection?.isOpen === false) {
      shared = this.#open(key, endpoint, options);
    }
    shared.users.add(user);
    shared.waiting++;
    const scope = new CancelScope(signal);
    let cancelTimer: (() => void) | undefined;
    try {
      cancelTimer = clock.setTimer(
        () => scope.abort(connectTimedOut(endpoint, timeout)),
        timeout,
      );
      return await abortable(shared.opening, scope.signal);
    } finally {
      scope.dispose();
      shared.waiting--;
      if (shared.waiting === 0 && shared.connection === undefined) {
        this.#forget(key, shared);
      }
      // The last, because a clock of the user's may throw here.
      cancelTimer?.();
    }
  }

  /** Lets go of all connections of a user; those that nobody needs are closed. */
  release(user: object): void {
    for (const [key, shared] of this.#shared) {
      if (!shared.users.delete(user) || shared.users.size > 0) continue;
      this.#forget(key, shared);
      shared.connection?.close();
    }
  }

  #forget(key: string, shared: Shared): void {
    if (this.#shared.get(key) === shared) this.#shared.delete(key);
    shared.scope.abort(closedHere());
  }

  #open(
    key: string,
    endpoint: Endpoint,
    options: GiopConnectionOptions,
  ): Shared {
    // A server that comes back elsewhere leaves no trace of where it was.
    for (const [other, old] of this.#shared) {
      if (old.connection?.failure !== undefined) this.#forget(other, old);
    }
    const scope = new CancelScope();
    const shared: Shared = {
      opening: GiopConnection.open(endpoint, {
        ...options,
        signal: scope.signal,
        timeout: Infinity,
      }),
      scope,
      connection: undefined,
      users: new Set(),
      waiting: 0,
    };
    this.#shared.set(key, shared);
    shared.opening.then(
      (connection) => {
        shared.connection = connection;
        // Everybody may have left meanwhile.
        if (shared.users.size === 0) connection.close();
      },
      () => this.#forget(key, shared),
    );
    return shared;
  }
}

/** The connections of this program. */
export const connections: ConnectionPool = new ConnectionPool();
