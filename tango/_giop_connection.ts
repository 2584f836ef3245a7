// Copyright 2026 the Longrun authors. MIT license.

import { onAbort } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import type { Socket } from "node:net";
import { MarshalError } from "./_cdr_reader.ts";
import type { CdrWriter } from "./_cdr_writer.ts";
import { GiopAssembler } from "./_giop_assembler.ts";
import {
  encodeCancelRequest,
  encodeCloseConnection,
  encodeRequest,
  type MessageHeader,
  MessageType,
  readReply,
  type Reply,
} from "./_giop_message.ts";
import { MinorCode } from "./_minor_code.ts";
import { openSocket } from "./_socket.ts";
import { SystemException } from "./_system_exception.ts";

/** After how many milliseconds without a word a server counts as silent. */
const SILENCE = 1000;

/** More bytes unsent, and the server is taken not to read them. */
const MOST_UNSENT = 65_536;

/** Where a server listens. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What ends a wait for a server. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** After so many milliseconds. */
  readonly timeout: number;
}

/** Options of {@linkcode GiopConnection.open}. */
export interface GiopConnectionOptions extends WaitOptions {
  readonly clock: Clock;
  /** How many bytes a message of the server may have. */
  readonly maxMessage: number;
}

/** An operation of an object. */
export interface Call<T> {
  /** Ends the call as the signal does. */
  readonly until?: AbortSignal;
  /**
   * Measures the timeout.
   *
   * @default {the clock of the connection}
   */
  readonly clock?: Clock;
  readonly objectKey: Uint8Array;
  readonly operation: string;
  /** Writes the arguments. */
  readonly write?: ((writer: CdrWriter) => unknown) | undefined;
  /** Makes the result of the answer, or throws. */
  readonly read: (reply: Reply) => T;
}

interface PendingCall {
  settle(reply: Reply): void;
  fail(error: unknown): void;
}

/** What those are told who wait for somebody that has closed. */
export function closedHere(): SystemException {
  return new SystemException("COMM_FAILURE", "The connection was closed here");
}

function timedOut(what: string, timeout: number): SystemException {
  return new SystemException(
    "TRANSIENT",
    `${what} took longer than ${timeout} ms`,
    { minor: MinorCode.TRANSIENT_CallTimedout },
  );
}

/** What those are told who have waited too long for a connection. */
export function connectTimedOut(
  { host, port }: Endpoint,
  timeout: number,
): SystemException {
  return timedOut(`Connecting to ${host}:${port}`, timeout);
}

function connectFailed({ host, port }: Endpoint, cause?: unknown) {
  return new SystemException(
    "TRANSIENT",
    `Cannot connect to ${host}:${port}`,
    {
      minor: MinorCode.TRANSIENT_ConnectFailed,
      completed: "no",
      ...cause === undefined ? {} : { cause },
    },
  );
}

function open(endpoint: Endpoint): Socket {
  try {
    return openSocket(endpoint.host, endpoint.port);
  } catch (error) {
    // What a server, or a database, has said is no host at all.
    throw connectFailed(endpoint, error);
  }
}

/**
 * A connection to a server, for any number of calls at a time. Once it has
 * failed, or was closed by either side, it stays so: `isOpen` tells.
 */
export class GiopConnection {
  /**
   * Opens a connection.
   *
   * @throws {SystemException} If there is no server, or not in time.
   */
  static open(
    endpoint: Endpoint,
    options: GiopConnectionOptions,
  ): Promise<GiopConnection> {
    const { signal, timeout, clock } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const socket = open(endpoint);
      let cancelTimer: (() => void) | undefined = undefined;
      let forgetSignal: (() => void) | undefined = undefined;
      const settle = (then: () => void): void => {
        forgetSignal?.();
        socket.off("connect", onConnect);
        socket.off("error", onError);
        try {
          // A clock of the user's may throw here.
          cancelTimer?.();
        } catch (error) {
          drop(error);
          return;
        }
        then();
      };
      const drop = (error: unknown): void => {
        // What the socket has to say later is of no interest.
        socket.on("error", () => {});
        socket.destroy();
        reject(error);
      };
      const giveUp = (error: unknown): void => settle(() => drop(error));
      const onConnect = (): void =>
        settle(() => resolve(new GiopConnection(socket, endpoint, options)));
      const onError = (error: Error): void =>
        giveUp(connectFailed(endpoint, error));
      socket.on("connect", onConnect);
      socket.on("error", onError);
      try {
        cancelTimer = clock.setTimer(
          () => giveUp(connectTimedOut(endpoint, timeout)),
          timeout,
        );
      } catch (error) {
        giveUp(error);
        return;
      }
      forgetSignal = signal && onAbort(signal, giveUp);
    });
  }

  readonly #socket: Socket;
  readonly #endpoint: Endpoint;
  readonly #clock: Clock;
  readonly #assembler: GiopAssembler;
  readonly #pending = new Map<number, PendingCall>();
  #lastId = 0;
  #failure: SystemException | undefined = undefined;
  /** When the first call was sent since the server was heard of. */
  #askedAt: number | undefined = undefined;
  #isSilent = false;

  private constructor(
    socket: Socket,
    endpoint: Endpoint,
    options: GiopConnectionOptions,
  ) {
    this.#socket = socket;
    this.#endpoint = endpoint;
    this.#clock = options.clock;
    this.#assembler = new GiopAssembler(
      options.maxMessage,
      (message, header) => this.#take(message, header),
    );
    socket.on("data", (data: Uint8Array) => this.#push(data));
    socket.on("error", (error) => this.#fail(this.#lost(error)));
    // Whoever says no more does not answer either.
    socket.on("end", () => this.#fail(this.#lost()));
    socket.on("close", () => this.#fail(this.#lost()));
    // A connection by itself keeps no process alive, calls on it do.
    socket.unref();
  }

  /**
   * Whether calls should be made. It is over, too, nobody waits any more after
   * a while without a word of the server: the way to it may be broken. The calls that
   * wait still do, then the connection is closed.
   */
  get isOpen(): boolean {
    return this.#failure === undefined && !this.#isSilent;
  }

  /** Why the connection has failed. */
  get failure(): SystemException | undefined {
    return this.#failure;
  }

  /** How many calls wait for their answers. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Calls an operation.
   *
   * @throws {SystemException} If the way to the server fails.
   * @throws {MarshalError} If the answer is not what it should be.
   */
  call<T>(call: Call<T>, { signal, timeout }: WaitOptions): Promise<T> {
    const { until, clock = this.#clock } = call;
    return new Promise((resolve, reject) => {
      for (const one of [signal, until]) if (one?.aborted) throw one.reason;
      if (this.#failure !== undefined) throw this.#failure;
      const id = this.#nextId();
      const message = encodeRequest({ id, ...call });
      const end = (settle: () => void): void => {
        try {
          forgetSignal?.();
          forgetUntil?.();
          this.#remove(id);
          // Not before, because a clock of the user's may throw here.
          cancelTimer();
          settle();
        } catch (error) {
          reject(error);
        }
      };
      const leave = (reason: unknown): void => {
        this.#checkSilence();
        this.#socket.write(encodeCancelRequest(id));
        end(() => reject(reason));
      };
      // The first, for the same reason.
      const cancelTimer = clock.setTimer(
        () => leave(timedOut(`'${call.operation}'`, timeout)),
        timeout,
      );
      this.#add(id, {
        settle: (reply) => end(() => resolve(call.read(reply))),
        fail: (error) => end(() => reject(error)),
      });
      const forgetSignal = signal && onAbort(signal, leave);
      const forgetUntil = until && onAbort(until, leave);
      this.#askedAt ??= this.#clock.now();
      this.#socket.write(message);
    });
  }

  /** Closes the connection; calls that wait fail. */
  close(): void {
    if (this.#failure !== undefined) return;
    this.#socket.write(encodeCloseConnection());
    this.#fail(closedHere(), true);
  }

  #nextId(): number {
    do {
      this.#lastId = (this.#lastId + 1) >>> 0;
    } while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  #add(id: number, call: PendingCall): void {
    if (this.#pending.size === 0) this.#socket.ref();
    this.#pending.set(id, call);
  }

  #remove(id: number): void {
    this.#pending.delete(id);
    if (this.#pending.size > 0) return;
    this.#socket.unref();
    if (this.#isSilent) this.#fail(this.#lost(), true);
  }

  #checkSilence(): void {
    const silence = this.#clock.now() - (this.#askedAt ?? Infinity);
    if (silence >= SILENCE) this.#isSilent = true;
  }

  #push(data: Uint8Array): void {
    if (this.#failure !== undefined) return;
    this.#askedAt = undefined;
    try {
      // A Buffer would give views of itself where an array gives copies.
      this.#assembler.push(
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      );
    } catch (cause) {
      const { host, port } = this.#endpoint;
      this.#fail(
        new SystemException(
          "COMM_FAILURE",
          `What ${host}:${port} has sent is not understood`,
          { cause },
        ),
      );
    }
  }

  #take(message: Uint8Array, header: MessageHeader): void {
    const { host, port } = this.#endpoint;
    switch (header.type) {
      case MessageType.REPLY: {
        const reply = readReply(message, header);
        // Who has left does not want the answer any more.
        this.#pending.get(reply.id)?.settle(reply);
        return;
      }
      case MessageType.CLOSE_CONNECTION:
        this.#fail(
          new SystemException(
            "TRANSIENT",
            `${host}:${port} has closed the connection`,
            {
              minor: MinorCode.TRANSIENT_ConnectionClosed,
              completed: "no",
            },
          ),
        );
        return;
      case MessageType.MESSAGE_ERROR:
        this.#fail(
          new SystemException(
            "COMM_FAILURE",
            `${host}:${port} has not understood a message`,
          ),
        );
        return;
      default:
        throw new MarshalError(`Message type ${header.type} is not expected`);
    }
  }

  #lost(cause?: unknown): SystemException {
    const { host, port } = this.#endpoint;
    return new SystemException(
      "COMM_FAILURE",
      `The connection to ${host}:${port} was lost`,
      cause === undefined ? {} : { cause },
    );
  }

  #fail(failure: SystemException, isPolite = false): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    const socket = this.#socket;
    // What was written last may still go out, if anybody reads it.
    if (isPolite && socket.writableLength <= MOST_UNSENT) socket.destroySoon();
    else socket.destroy();
    for (const call of [...this.#pending.values()]) call.fail(failure);
  }
}
