// Copyright 2026 the Longrun authors. MIT license.

import type { Socket } from "node:net";
import { abortable, onAbort } from "@longrun/tasks/cancellation";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import {
  checkBoolean,
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkOptions,
  checkPort,
  checkPositive,
  checkString,
  checkType,
} from "./_arguments.ts";
import { openSocket } from "./_socket.ts";
import {
  concatenate,
  encodeGreeting,
  encodePing,
  encodePong,
  encodeReady,
  encodeSubscription,
  ZmtpError,
  type ZmtpMetadata,
} from "./_zmtp_codec.ts";
import { MAX_MESSAGE, ZmtpDecoder, type ZmtpItem } from "./_zmtp_decoder.ts";

/** Options of a {@linkcode ZmtpSubscriber}. */
export interface ZmtpSubscriberOptions {
  /**
   * Called with the frames of each message, in order. They may be views of a
   * larger buffer: whoever keeps them for long copies them. An error it throws
   * ends the connection.
   */
  onMessage: (frames: Uint8Array[]) => void;
  /**
   * Whether the connection keeps the process alive.
   *
   * @default {true}
   */
  ref?: boolean;
}

/** Options of {@linkcode ZmtpSubscriber.connect}. */
export interface ZmtpConnectOptions {
  /** Ends the attempt. Once connected it does nothing any more. */
  signal?: AbortSignal | undefined;
  /**
   * How long the connection and the handshake may take together, in
   * milliseconds.
   *
   * @default {3000}
   */
  timeout?: number | undefined;
  /**
   * Measures the timeout.
   *
   * @default {systemClock}
   */
  clock?: Clock | undefined;
  /**
   * How many bytes a message may have.
   *
   * @default {67_108_864}
   */
  maxMessage?: number | undefined;
}

/** Options of {@linkcode ZmtpSubscriber.ping}. */
export interface ZmtpPingOptions {
  /** Ends the wait. */
  signal?: AbortSignal | undefined;
  /** How long the answer may take, in milliseconds. */
  timeout: number;
  /**
   * Measures the timeout.
   *
   * @default {systemClock}
   */
  clock?: Clock | undefined;
}

/** More than this unsent, and the peer is taken not to read its answers. */
const MOST_UNSENT = 1024 * 1024;

const PUBLISHERS: readonly unknown[] = ["PUB", "XPUB"];

/** What an error says; that of the system for several addresses is empty. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `${typeof error} thrown`;
  if (error.message !== "") return error.message;
  if (error instanceof AggregateError && error.errors.length > 0) {
    return describe(error.errors[0]);
  }
  return error.name;
}

/** A number as the context of a PING, and back. */
function contextOf(id: number): Uint8Array {
  const context = new Uint8Array(4);
  new DataView(context.buffer).setUint32(0, id);
  return context;
}

function idOf({ buffer, byteOffset, length }: Uint8Array): number {
  return length === 4 ? new DataView(buffer, byteOffset).getUint32(0) : 0;
}

function checkPublisher(metadata: ZmtpMetadata): void {
  const bytes = metadata.get("socket-type");
  const type = bytes === undefined ? "" : new TextDecoder().decode(bytes);
  if (PUBLISHERS.includes(type)) return;
  throw new ZmtpError(
    `The peer is no publisher: its type is ${JSON.stringify(type)}`,
  );
}

/**
 * One connection of a SUB socket to a publisher, by ZMTP 3.0 without security.
 *
 * It is used once: it connects, and when it has ended, for whatever reason, it
 * stays so. To connect anew is for whoever knows what was lost.
 *
 * The topics may be told before, they are sent when the handshake is over. A
 * topic stands for all that begin with it.
 */
export class ZmtpSubscriber implements AsyncDisposable {
  /**
   * Resolves when the connection has ended: with `undefined` after
   * {@linkcode ZmtpSubscriber.close}, with the error otherwise, or with the
   * reason of the signal. Never rejects.
   */
  readonly closed: Promise<unknown>;

  readonly #onMessage: (frames: Uint8Array[]) => void;
  readonly #ref: boolean;
  readonly #topics: Map<string, number> = new Map();
  readonly #connected: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #closed: PromiseWithResolvers<unknown> = Promise.withResolvers();
  /** Resolves when nothing is left of the socket. */
  readonly #released: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: "idle" | "connecting" | "ready" | "closed" = "idle";
  #peer = "";
  #socket: Socket | undefined = undefined;
  #decoder: ZmtpDecoder = new ZmtpDecoder();
  /** Who waits for an answer to which PING. */
  readonly #pings: Map<number, (isAnswered: boolean) => void> = new Map();
  #lastPing = 0;
  #forgetSignal: (() => void) | undefined = undefined;
  #cancelTimer: (() => void) | undefined = undefined;

  /**
   * Creates a subscriber without a connection.
   *
   * @throws {TypeError} If an option is of the wrong type.
   */
  constructor(options: ZmtpSubscriberOptions) {
    const action = "create ZmtpSubscriber";
    checkOptions(action, options);
    const { onMessage, ref = true } = options;
    checkFunction(action, "onMessage", onMessage);
    checkBoolean(action, "ref", ref);
    this.#onMessage = onMessage;
    this.#ref = ref;
    this.closed = this.#closed.promise;
    // Rejected also where nobody has called `connect`.
    this.#connected.promise.catch(() => {});
  }

  /** Whether the handshake is over and the connection stands. */
  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** Whether the connection has ended. */
  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /**
   * Connects, once.
   *
   * @returns A promise that resolves when the handshake is over and the topics
   * are sent.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If a number is out of its range.
   * @throws {ZmtpError} If there is no connection to a publisher in time. Its
   * `cause` says why.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async connect(
    host: string,
    port: number,
    options: ZmtpConnectOptions = {},
  ): Promise<void> {
    const action = "connect";
    checkString(action, "host", host);
    checkType(host !== "", action, "host", "a name or an address", host);
    checkPort(action, "port", port);
    checkOptions(action, options);
    checkCommon(action, options);
    const { signal, timeout = 3000, clock = systemClock } = options;
    const { maxMessage = MAX_MESSAGE } = options;
    checkPositive(action, "timeout", timeout);
    checkFiniteCount(action, "maxMessage", maxMessage, 1);
    this.#peer = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    if (this.#state !== "idle") {
      throw new ZmtpError(`Cannot connect to ${this.#peer}: used already`);
    }
    this.#state = "connecting";
    this.#decoder = new ZmtpDecoder({ maxMessage });
    if (signal !== undefined) {
      this.#forgetSignal = onAbort(signal, (reason) => this.#end(reason));
    }
    if (!this.isClosed) {
      try {
        this.#startTimer(timeout, clock);
        this.#open(host, port);
      } catch (error) {
        this.#fail(describe(error), error);
      }
    }
    await this.#connected.promise;
  }

  /**
   * Begins to receive what begins with a topic. Topics are counted: each call
   * needs one of {@linkcode ZmtpSubscriber.unsubscribe}.
   *
   * @throws {TypeError} If the topic is not a string.
   */
  subscribe(topic: string): void {
    checkString("subscribe", "topic", topic);
    const count = this.#topics.get(topic) ?? 0;
    this.#topics.set(topic, count + 1);
    if (count === 0 && this.#state === "ready") {
      this.#socket?.write(encodeSubscription(topic, true));
    }
  }

  /**
   * Takes back one call of {@linkcode ZmtpSubscriber.subscribe}. Messages that
   * are under way still come. Does nothing if there was no such call.
   *
   * @throws {TypeError} If the topic is not a string.
   */
  unsubscribe(topic: string): void {
    checkString("unsubscribe", "topic", topic);
    const count = this.#topics.get(topic) ?? 0;
    if (count > 1) this.#topics.set(topic, count - 1);
    if (count !== 1) return;
    this.#topics.delete(topic);
    if (this.#state === "ready") {
      this.#socket?.write(encodeSubscription(topic, false));
    }
  }

  /**
   * Asks the peer to answer. It reads what it gets in order: when it has
   * answered it knows of all topics that it was told of before. Peers older than
   * ZMTP 3.1 do not answer.
   *
   * @returns A promise of whether it has answered in time.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If the timeout is not positive.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async ping(options: ZmtpPingOptions): Promise<boolean> {
    checkOptions("ping", options);
    checkCommon("ping", options);
    const { signal, timeout, clock = systemClock } = options;
    checkPositive("ping", "timeout", timeout);
    if (this.#state !== "ready") return false;
    const id = this.#lastPing = (this.#lastPing + 1) >>> 0;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#pings.set(id, resolve);
    this.#socket?.write(encodePing(contextOf(id)));
    const cancel = clock.setTimer(() => resolve(false), timeout, {
      ref: this.#ref,
    });
    try {
      return await abortable(promise, signal);
    } finally {
      cancel();
      this.#pings.delete(id);
    }
  }

  /**
   * Ends the connection. No message comes from now on.
   *
   * @returns A promise that resolves when the socket is closed.
   */
  close(): Promise<void> {
    this.#end(
      undefined,
      new ZmtpError(`Cannot connect to ${this.#peer}: closed meanwhile`),
    );
    return this.#released.promise;
  }

  /** The same as {@linkcode ZmtpSubscriber.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #startTimer(timeout: number, clock: Clock): void {
    if (timeout === Infinity) return;
    this.#cancelTimer = clock.setTimer(
      () => {
        const cause = new DOMException(
          `Timed out after ${timeout} ms`,
          "TimeoutError",
        );
        this.#fail(`no answer after ${timeout} ms`, cause);
      },
      timeout,
      { ref: this.#ref },
    );
  }

  #open(host: string, port: number): void {
    const socket = openSocket(host, port);
    this.#socket = socket;
    if (!this.#ref) socket.unref();
    socket.on("connect", () => socket.write(encodeGreeting()));
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("end", () => this.#peerEnded());
    socket.on("error", (error) => this.#fail(describe(error), error));
    socket.on("close", () => {
      this.#peerEnded();
      socket.removeAllListeners();
      this.#released.resolve();
    });
  }

  #receive(chunk: Uint8Array): void {
    if (this.isClosed) return;
    const decoder = this.#decoder;
    try {
      decoder.push(chunk);
      while (!this.isClosed) {
        const item = decoder.next();
        if (item === undefined) return;
        this.#take(item);
      }
    } catch (error) {
      this.#fail(describe(error), error);
    }
  }

  #take(item: ZmtpItem): void {
    switch (item.kind) {
      case "message":
        this.#onMessage(item.frames);
        break;
      case "greeting":
        this.#socket?.write(encodeReady({ "Socket-Type": "SUB" }));
        break;
      case "ready":
        checkPublisher(item.metadata);
        this.#becomeReady();
        break;
      case "ping":
        this.#answer(item.context);
        break;
      case "pong":
        this.#pings.get(idOf(item.context))?.(true);
        break;
    }
  }

  #becomeReady(): void {
    this.#state = "ready";
    this.#letGo();
    const topics = [...this.#topics.keys()];
    if (topics.length > 0) {
      this.#socket?.write(
        concatenate(topics.map((topic) => encodeSubscription(topic, true))),
      );
    }
    this.#connected.resolve();
  }

  #answer(context: Uint8Array): void {
    this.#socket?.write(encodePong(context));
    if ((this.#socket?.writableLength ?? 0) > MOST_UNSENT) {
      throw new ZmtpError("The peer does not read the answers to its PINGs");
    }
  }

  #peerEnded(): void {
    if (this.isClosed) return;
    try {
      this.#decoder.end();
      this.#fail("the peer closed the connection");
    } catch (error) {
      this.#fail(describe(error), error);
    }
  }

  #fail(why: string, cause?: unknown): void {
    const what = this.#state === "ready"
      ? `Lost the connection to ${this.#peer}`
      : `Cannot connect to ${this.#peer}`;
    const options = cause === undefined ? undefined : { cause };
    this.#end(new ZmtpError(`${what}: ${why}`, options));
  }

  /** Ends for good: tells whom it concerns why, and who waits to connect. */
  #end(reason: unknown, refusal: unknown = reason): void {
    if (this.isClosed) return;
    this.#state = "closed";
    this.#decoder = new ZmtpDecoder();
    this.#connected.reject(refusal);
    this.#closed.resolve(reason);
    for (const answer of this.#pings.values()) answer(false);
    if (this.#socket === undefined) this.#released.resolve();
    else this.#socket.destroy();
    // The last, because a clock of the user's may throw here.
    this.#letGo();
  }

  /** Lets go of the signal and of the timer. */
  #letGo(): void {
    this.#forgetSignal?.();
    this.#forgetSignal = undefined;
    const cancel = this.#cancelTimer;
    this.#cancelTimer = undefined;
    cancel?.();
  }
}
