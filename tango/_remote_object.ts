// Copyright 2026 the Longrun authors. MIT license.

import { abortable, CancelScope } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { type CdrReader, MarshalError } from "./_cdr_reader.ts";
import type { CdrWriter } from "./_cdr_writer.ts";
import type { ConnectionPool } from "./_connection_pool.ts";
import {
  closedHere,
  type GiopConnection,
  type WaitOptions,
} from "./_giop_connection.ts";
import { type Reply, ReplyStatus } from "./_giop_message.ts";
import { readDevErrors, readNamedErrors } from "./_idl.ts";
import {
  type ObjectReference,
  readObjectReference,
} from "./_object_reference.ts";
import { readSystemException, SystemException } from "./_system_exception.ts";

/** How often a call may be sent elsewhere. */
const MAX_FORWARDS = 5;

/** What a server says of an object that it does not have. */
const NOT_THERE = "OBJECT_NOT_EXIST";

/** Says where an object is. */
export type Resolve = (options: WaitOptions) => Promise<ObjectReference>;

/** An operation of an object. */
export interface Operation<T> {
  /** Its name. */
  readonly name: string;
  /** Writes its arguments. */
  readonly write?: (writer: CdrWriter) => unknown;
  /** Reads its result. */
  readonly read: (reader: CdrReader) => T;
  /** Whether it may be done twice. */
  readonly isRepeatable?: boolean;
}

/** Not an answer, but where there will be one. */
class Forward {
  readonly reference: ObjectReference;

  constructor(reference: ObjectReference) {
    this.reference = reference;
  }
}

function readUserException(reader: CdrReader): Error {
  const id = reader.string();
  switch (id) {
    case "IDL:Tango/DevFailed:1.0":
      return new DeviceError(readDevErrors(reader));
    case "IDL:Tango/MultiDevFailed:1.0":
      return new DeviceError(
        readNamedErrors(reader).flatMap(({ errors }) => errors),
      );
    default:
      return new MarshalError(`Exception '${id}' is not known`);
  }
}

function readResult<T>(reply: Reply, read: (reader: CdrReader) => T): T {
  const { status, body } = reply;
  switch (status) {
    case ReplyStatus.NO_EXCEPTION:
      return read(body);
    case ReplyStatus.USER_EXCEPTION:
      throw readUserException(body);
    case ReplyStatus.SYSTEM_EXCEPTION:
      throw readSystemException(body);
    case ReplyStatus.LOCATION_FORWARD:
    case ReplyStatus.LOCATION_FORWARD_PERM:
      throw new Forward(readObjectReference(body));
    default:
      throw new MarshalError(`Reply status ${status} is not supported`);
  }
}

/** What {@linkcode RemoteObject} needs to reach others. */
export interface RemoteObjectOptions {
  readonly pool: ConnectionPool;
  readonly clock: Clock;
  readonly maxMessage: number;
}

/** How an object is reached. */
interface Route {
  readonly connection: GiopConnection;
  readonly host: string;
  readonly objectKey: Uint8Array;
}

/**
 * An object in a server. Its connection is opened when it is needed, and anew
 * when it was lost: then the object is looked for again.
 */
export class RemoteObject {
  readonly #resolve: Resolve;
  readonly #options: RemoteObjectOptions;
  #reference: ObjectReference | undefined = undefined;
  #route: Route | undefined = undefined;
  /** Ends what goes on. */
  #scope = new CancelScope();

  constructor(resolve: Resolve, options: RemoteObjectOptions) {
    this.#resolve = resolve;
    this.#options = options;
  }

  /** The server by which the object was reached last. */
  get host(): string | undefined {
    return this.#route?.host;
  }

  /** The connection to the object, as long as it stands. */
  get connection(): object | undefined {
    return this.#openRoute()?.connection;
  }

  /**
   * Calls an operation. If the connection was closed before the server took
   * the call, it is made again, once.
   *
   * @throws {DeviceError} If the object answers so.
   * @throws {SystemException} If the way to it fails.
   * @throws {MarshalError} If the answer is not what it should be.
   */
  async call<T>(operation: Operation<T>, options: WaitOptions): Promise<T> {
    const { clock } = this.#options;
    const until = this.#scope.signal;
    const began = clock.now();
    let forwards = 0;
    let isSecond = false;
    let left = options;
    for (;;) {
      const route = this.#openRoute() ?? await this.#reach(until, left);
      left = remaining(options, clock.now() - began);
      try {
        return await route.connection.call({
          objectKey: route.objectKey,
          operation: operation.name,
          write: operation.write,
          read: (reply) => readResult(reply, operation.read),
          until,
          clock,
        }, left);
      } catch (error) {
        if (error instanceof Forward) {
          if (++forwards > MAX_FORWARDS) {
            throw new SystemException(
              "TRANSIENT",
              "The object is sent in circles",
            );
          }
          this.#route = undefined;
          this.#reference = error.reference;
        } else if (!isSecond && canRepeat(operation, error, route.connection)) {
          isSecond = true;
        } else {
          this.#forgetWrong(route, error);
          throw error;
        }
        left = remaining(options, clock.now() - began);
      }
    }
  }

  /** Lets go of the connection. */
  close(): void {
    const scope = this.#scope;
    this.#scope = new CancelScope();
    this.#route = undefined;
    scope.abort(closedHere());
    this.#options.pool.release(this);
  }

  #openRoute(): Route | undefined {
    return this.#route?.connection.isOpen ? this.#route : undefined;
  }

  /** Another server may have taken the place of its own. */
  #forgetWrong(route: Route, error: unknown): void {
    if (!(error instanceof SystemException) || error.kind !== NOT_THERE) return;
    if (this.#route === route) this.#route = this.#reference = undefined;
  }

  async #reach(until: AbortSignal, options: WaitOptions): Promise<Route> {
    // Meanwhile it may have gone somewhere else.
    if (this.#route !== undefined) this.#route = this.#reference = undefined;
    const scope = new CancelScope(options.signal, until);
    try {
      return await this.#connect({ ...options, signal: scope.signal });
    } finally {
      scope.dispose();
    }
  }

  async #connect(
    options: WaitOptions & { signal: AbortSignal },
  ): Promise<Route> {
    const { pool, clock, maxMessage } = this.#options;
    const { signal } = options;
    const began = clock.now();
    signal.throwIfAborted();
    const reference = this.#reference ??= await abortable(
      this.#resolve(options),
      signal,
    );
    const { endpoints, objectKey } = reference;
    let failure: unknown;
    for (const [index, endpoint] of endpoints.entries()) {
      const { timeout } = remaining(options, clock.now() - began);
      try {
        signal.throwIfAborted();
        const connection = await pool.connect(endpoint, this, {
          signal,
          // One that does not answer leaves time for the others.
          timeout: timeout / (endpoints.length - index),
          clock,
          maxMessage,
        });
        signal.throwIfAborted();
        return this.#route = { connection, host: endpoint.host, objectKey };
      } catch (error) {
        if (signal.aborted) throw error;
        failure ??= error;
      }
    }
    this.#reference = undefined;
    throw failure;
  }
}

function remaining(options: WaitOptions, elapsed: number): WaitOptions {
  return { ...options, timeout: Math.max(0, options.timeout - elapsed) };
}

/** Whether a call that was lost with its connection may be made again. */
function canRepeat(
  operation: Operation<unknown>,
  error: unknown,
  { failure }: GiopConnection,
): boolean {
  if (failure === undefined || error !== failure) return false;
  return failure.completed === "no" || operation.isRepeatable === true;
}
