// Copyright 2026 the Longrun authors. MIT license.

import process from "node:process";
import { checkType, complain } from "./_arguments.ts";
import { Database } from "./_database.ts";
import { type DeviceName, parseTangoHost } from "./_device_name.ts";
import type { EventChannel } from "./_event_channel.ts";
import { channelOf } from "./_event_channels.ts";
import type { Endpoint } from "./_giop_connection.ts";
import { RemoteObject, type RemoteObjectOptions } from "./_remote_object.ts";
import { encodeText } from "./_text.ts";

/** An object, and how all that it needs is let go. */
export interface Reachable {
  readonly object: RemoteObject;
  close(): void;
}

/** Where the databases are that know a device. */
function databaseEndpoints(
  { endpoint }: DeviceName,
  tangoHost: string | undefined,
  doing: string,
): readonly Endpoint[] {
  if (endpoint !== undefined) return [endpoint];
  const text = tangoHost ?? process.env.TANGO_HOST;
  checkType(
    typeof text === "string",
    doing,
    "tangoHost",
    "given, or in the environment as TANGO_HOST",
    text,
  );
  const endpoints = parseTangoHost(text ?? "");
  if (endpoints !== undefined) return endpoints;
  throw new TypeError(
    complain(doing, "tangoHost", "'host:port,host:port'", text),
  );
}

/** The way to a device and to what else is in its server. */
export class DeviceRoute {
  /**
   * Finds the way.
   *
   * @throws {TypeError} If nobody has said where the database is.
   */
  static to(
    name: DeviceName,
    tangoHost: string | undefined,
    options: RemoteObjectOptions,
    doing: string,
  ): DeviceRoute {
    const databases = name.hasDatabase
      ? databaseEndpoints(name, tangoHost, doing)
      : undefined;
    return new DeviceRoute(name.endpoint, databases, options);
  }

  readonly #endpoint: Endpoint | undefined;
  readonly #databases: readonly Endpoint[] | undefined;
  readonly #options: RemoteObjectOptions;

  private constructor(
    endpoint: Endpoint | undefined,
    databases: readonly Endpoint[] | undefined,
    options: RemoteObjectOptions,
  ) {
    this.#endpoint = endpoint;
    this.#databases = databases;
    this.#options = options;
  }

  /** An object of the server, or of another that the database knows. */
  reach(name: string): Reachable {
    const objectKey = encodeText(name);
    const options = this.#options;
    const database = this.#databases && new Database(this.#databases, options);
    const direct = {
      endpoints: this.#endpoint === undefined ? [] : [this.#endpoint],
      objectKey,
    };
    const object = new RemoteObject(
      (wait) => database?.importDevice(name, wait) ?? Promise.resolve(direct),
      options,
    );
    return {
      object,
      close() {
        object.close();
        database?.close();
      },
    };
  }

  /** The events of a server, which an object with this name looks after. */
  channel(admin: string, timeout: number): EventChannel {
    const { clock, maxMessage } = this.#options;
    const { object, close } = this.reach(admin);
    const where = this.#databases ?? [this.#endpoint];
    const server = `${JSON.stringify(where)} ${admin} ${maxMessage}`;
    const options = { admin: object, clock, timeout, maxMessage };
    return channelOf(server, options, close);
  }
}
