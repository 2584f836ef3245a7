// Copyright 2026 the Longrun authors. MIT license.

import type { RestartPolicy } from "@longrun/tasks/backoff";
import { abortable, CancelScope, sleep } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import type { Logger } from "@longrun/tasks/logger";
import { createParser } from "eventsource-parser";
import { ProcedureClientError } from "./_client_error.ts";
import type { HttpCaller } from "./_client_http.ts";
import { gapEvent, readEvent, type RemoteEvent } from "./_client_wire.ts";

/** The longest event, and the longest line, in characters. */
const MAX_EVENT = 16 * 1024 * 1024;
/** The longest advice of the service that is heeded, in milliseconds. */
const LONGEST_HINT = 60_000;

/** The events of a service, over as many connections as it takes. */
export interface ProcedureEvents
  extends AsyncIterableIterator<RemoteEvent, undefined>, AsyncDisposable {
  /**
   * Connects, if that has not happened yet: what is published from then on is
   * not missed. `next()` does it otherwise.
   *
   * @throws {ProcedureClientError} If the first connection fails.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  connect(): Promise<void>;
  /** The id of the last event that was read: where another stream could go on. */
  readonly lastEventId: string;
  /** Ends the stream. */
  return(): Promise<IteratorResult<RemoteEvent, undefined>>;
}

/** What a stream is made of. */
export interface StreamSettings {
  readonly caller: HttpCaller;
  readonly path: string;
  readonly lastEventId: string;
  readonly restart: RestartPolicy;
  /** After how many silent milliseconds a connection counts as lost. */
  readonly silence: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal | undefined;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** A connection that stands. */
interface Connection {
  readonly reader: Reader;
  readonly since: number;
  /** Ends the request; a reader alone does not while nothing comes. */
  readonly scope: CancelScope;
}

const bootOf = (id: string): string => id.slice(0, id.lastIndexOf("-") + 1);

/** The stream. Reads only what is asked for, so that nothing piles up. */
export class EventStream implements ProcedureEvents {
  readonly #settings: StreamSettings;
  readonly #scope: CancelScope;
  readonly #pending: RemoteEvent[] = [];
  #lastId: string;
  /** The id of the last event that was handed out. */
  #given: string;
  /** The id of the last event, when the parser already knows the next one's. */
  #lastSeen: string;
  /** The advice of the service how long to wait, in milliseconds. */
  #hint = 0;
  #attempt = 0;
  #connection: Connection | undefined = undefined;
  #connecting: Promise<void> | undefined = undefined;
  /** The next event tells whether the service remembers the last one. */
  #isResumed = false;
  #isEnded = false;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #parser: ReturnType<typeof createParser>;
  #decoder: TextDecoder = new TextDecoder();

  constructor(settings: StreamSettings) {
    this.#settings = settings;
    this.#scope = new CancelScope(settings.signal);
    this.#lastId = settings.lastEventId;
    this.#given = settings.lastEventId;
    this.#lastSeen = settings.lastEventId;
    this.#isResumed = settings.lastEventId !== "";
    this.#parser = createParser({
      maxBufferSize: MAX_EVENT,
      onEvent: ({ data, id }) => this.#take(id ?? "", data),
      onId: (id) => this.#lastId = id,
      onRetry: (ms) => this.#hint = Math.min(ms, LONGEST_HINT),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") throw error;
      },
    });
  }

  get lastEventId(): string {
    return this.#pending.length === 0 ? this.#lastId : this.#given;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  connect(): Promise<void> {
    return this.#connecting ??= this.#open();
  }

  next(): Promise<IteratorResult<RemoteEvent, undefined>> {
    const turn = this.#turn.then(() => this.#next());
    this.#turn = turn.catch(() => {});
    return turn;
  }

  return(): Promise<IteratorResult<RemoteEvent, undefined>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #end(): void {
    this.#isEnded = true;
    this.#lastId = this.lastEventId;
    this.#pending.length = 0;
    this.#scope.abort();
    this.#drop();
  }

  async #next(): Promise<IteratorResult<RemoteEvent, undefined>> {
    const { signal } = this.#settings;
    try {
      for (;;) {
        if (this.#isEnded) return { done: true, value: undefined };
        signal?.throwIfAborted();
        const event = this.#pending.shift();
        if (event !== undefined) {
          this.#given = event.id || this.#given;
          return { done: false, value: event };
        }
        await this.connect();
        await this.#read();
      }
    } catch (error) {
      if (this.#isEnded) return { done: true, value: undefined };
      this.#end();
      throw signal?.aborted ? signal.reason : error;
    }
  }

  async #open(): Promise<void> {
    const { caller, path, clock } = this.#settings;
    const id = this.#lastId;
    const scope = new CancelScope(this.#scope.signal);
    try {
      const body = await caller.open({
        method: "GET",
        path,
        headers: id === "" ? {} : { "last-event-id": id },
        signal: scope.signal,
      });
      this.#parser.reset();
      this.#decoder = new TextDecoder();
      this.#connection = {
        reader: body.getReader(),
        since: clock.now(),
        scope,
      };
    } catch (error) {
      scope.dispose();
      throw error;
    }
  }

  /** Reads once, or connects again. */
  async #read(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return await this.#reconnect();
    let error: unknown;
    try {
      const { done, value } = await this.#chunk(connection);
      if (!done) {
        this.#parser.feed(this.#decoder.decode(value, { stream: true }));
        return;
      }
    } catch (failure) {
      this.#scope.signal.throwIfAborted();
      error = failure;
    }
    const { restart: { resetAfter = Infinity }, clock } = this.#settings;
    if (clock.now() - connection.since >= resetAfter) this.#attempt = 0;
    this.#drop();
    this.#log("The stream of events has broken", error);
    await this.#pause(error);
  }

  async #chunk(
    { reader, scope }: Connection,
  ): Promise<ReadableStreamReadResult<Uint8Array>> {
    const { clock, silence } = this.#settings;
    const cancel = silence === Infinity ? () => {} : clock.setTimer(() => {
      scope.abort(
        new ProcedureClientError(
          "timeout",
          `The stream was silent for ${silence} ms`,
        ),
      );
    }, silence);
    try {
      return await abortable(reader.read(), scope.signal);
    } finally {
      cancel();
    }
  }

  async #reconnect(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      this.#scope.signal.throwIfAborted();
      if (error instanceof ProcedureClientError) {
        if (error.isFinal) throw error;
        this.#hint = Math.min(error.retryAfter, LONGEST_HINT);
      }
      await this.#pause(error);
      return;
    }
    this.#log("The stream of events stands again", undefined);
    if (this.#lastId === "") this.#pending.push(gapEvent(null));
    else this.#isResumed = true;
  }

  async #pause(error: unknown): Promise<void> {
    const { restart, clock } = this.#settings;
    const delay = restart.delay(++this.#attempt, error);
    if (delay === undefined) {
      throw error ?? new ProcedureClientError(
        "unreachable",
        "The stream of events has ended",
      );
    }
    const { signal } = this.#scope;
    await sleep(Math.max(delay, this.#hint), { signal, clock });
    this.#hint = 0;
  }

  #take(id: string, data: string): void {
    const event = readEvent(id, data);
    if (event === undefined) return;
    if (this.#isResumed) {
      this.#isResumed = false;
      const isSame = bootOf(id) === bootOf(this.#lastSeen);
      if (!isSame && event.topic !== "stream.gap") {
        this.#pending.push(gapEvent(null));
      }
    }
    if (id !== "") this.#lastSeen = id;
    this.#pending.push(event);
  }

  #drop(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    connection.scope.abort();
    connection.reader.cancel().catch(() => {});
  }

  #log(sentence: string, error: unknown): void {
    try {
      this.#settings.logger.debug(sentence, { error });
    } catch {
      // A logger does no harm.
    }
  }
}
