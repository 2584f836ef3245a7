// Copyright 2026 the Longrun authors. MIT license.

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

/**
 * An object in a server. Its connection is opened when it is needed, and anew
 * when it was lost: then the object is looked for again.
 */
export class RemoteObject {
  readonly #resolve: Resolve;
  readonly #options: RemoteObjectOptions;
  #reference: ObjectReference | undefined = undefined;
  #connection: GiopConnection | undefined = undefined;
  #closings = 0;

  constructor(resolve: Resolve, options: RemoteObjectOptions) {
    this.#resolve = resolve;
    this.#options = options;
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
    const began = clock.now();
    let forwards = 0;
    let isSecond = false;
    let left = options;
    for (;;) {
      try {
        return await this.#callOnce(operation, left);
      } catch (error) {
        if (error instanceof Forward && forwards++ < MAX_FORWARDS) {
          this.#reference = error.reference;
          this.#connection = undefined;
        } else if (!isSecond && this.#canRepeat(operation, error)) {
          isSecond = true;
        } else {
          throw error instanceof Forward
            ? new SystemException("TRANSIENT", "The object is sent in circles")
            : error;
        }
        const timeout = options.timeout - (clock.now() - began);
        left = { ...options, timeout: Math.max(0, timeout) };
      }
    }
  }

  /** Lets go of the connection. */
  close(): void {
    this.#closings++;
    this.#connection?.leave(this);
    this.#connection = undefined;
    this.#options.pool.release(this);
  }

  async #callOnce<T>(
    operation: Operation<T>,
    options: WaitOptions,
  ): Promise<T> {
    const { clock } = this.#options;
    const began = clock.now();
    let connection = this.#connection;
    if (connection === undefined || !connection.isOpen) {
      // Meanwhile it may have gone somewhere else.
      if (connection !== undefined) this.#reference = undefined;
      connection = await this.#connect(options);
    }
    const { objectKey } = this.#reference ?? await this.#resolve(options);
    try {
      return await connection.call({
        owner: this,
        objectKey,
        operation: operation.name,
        write: operation.write,
        read: (reply) => readResult(reply, operation.read),
      }, {
        ...options,
        timeout: Math.max(0, options.timeout - (clock.now() - began)),
      });
    } catch (error) {
      // Another server may have taken the place of its own.
      if (error instanceof SystemException && error.kind === NOT_THERE) {
        this.#reference = undefined;
        this.#connection = undefined;
      }
      throw error;
    }
  }

  async #connect(options: WaitOptions): Promise<GiopConnection> {
    const { pool, clock, maxMessage } = this.#options;
    const began = clock.now();
    const closings = this.#closings;
    const reference = this.#reference ??= await this.#resolve(options);
    let failure: unknown;
    for (const [index, endpoint] of reference.endpoints.entries()) {
      if (closings !== this.#closings) throw closedHere();
      const left = Math.max(0, options.timeout - (clock.now() - began));
      // One that does not answer leaves time for the others.
      const timeout = left / (reference.endpoints.length - index);
      try {
        const connection = await pool.connect(endpoint, this, {
          ...options,
          timeout,
          clock,
          maxMessage,
        });
        if (closings !== this.#closings) throw closedHere();
        return this.#connection = connection;
      } catch (error) {
        if (options.signal?.aborted) throw error;
        failure ??= error;
      }
    }
    this.#reference = undefined;
    throw failure;
  }

  #canRepeat(operation: Operation<unknown>, error: unknown): boolean {
    if (!(error instanceof SystemException)) return false;
    // What was not reached now is not reached a moment later.
    if (this.#connection === undefined || this.#connection.isOpen) return false;
    return error.completed === "no" || operation.isRepeatable === true;
  }
}
