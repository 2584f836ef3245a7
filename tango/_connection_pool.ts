// Copyright 2026 the Longrun authors. MIT license.

import { abortable } from "@longrun/tasks/cancellation";
import {
  type Endpoint,
  GiopConnection,
  type GiopConnectionOptions,
} from "./_giop_connection.ts";

interface Shared {
  readonly opening: Promise<GiopConnection>;
  connection: GiopConnection | undefined;
  readonly users: Set<object>;
}

/** One connection to a server for all who talk to it. */
export class ConnectionPool {
  readonly #shared = new Map<string, Shared>();

  /** How many connections there are, those being opened too. */
  get size(): number {
    return this.#shared.size;
  }

  /**
   * The connection to a server, opened if there is none.
   *
   * @param user Who needs it, until {@linkcode release} is called.
   */
  connect(
    endpoint: Endpoint,
    user: object,
    options: GiopConnectionOptions,
  ): Promise<GiopConnection> {
    const { signal, ...others } = options;
    const key = `${endpoint.host} ${endpoint.port} ${options.maxMessage}`;
    let shared = this.#shared.get(key);
    if (shared === undefined || shared.connection?.isOpen === false) {
      shared = this.#open(key, endpoint, others);
    }
    shared.users.add(user);
    return abortable(shared.opening, signal);
  }

  /** Lets go of all connections of a user; those that nobody needs are closed. */
  release(user: object): void {
    for (const [key, shared] of this.#shared) {
      if (!shared.users.delete(user) || shared.users.size > 0) continue;
      this.#shared.delete(key);
      shared.connection?.close();
    }
  }

  #open(
    key: string,
    endpoint: Endpoint,
    options: GiopConnectionOptions,
  ): Shared {
    const shared: Shared = {
      opening: GiopConnection.open(endpoint, options),
      connection: undefined,
      users: new Set(),
    };
    this.#shared.set(key, shared);
    shared.opening.then(
      (connection) => {
        shared.connection = connection;
        // Everybody may have left meanwhile.
        if (shared.users.size === 0) connection.close();
      },
      () => {
        if (this.#shared.get(key) === shared) this.#shared.delete(key);
      },
    );
    return shared;
  }
}

/** The connections of this program. */
export const connections: ConnectionPool = new ConnectionPool();
