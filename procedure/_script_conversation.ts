// Copyright 2026 the Longrun authors. MIT license.

import { deserialize, serialize } from "node:v8";
import type { Clock } from "@longrun/tasks/clock";
import type { Logger } from "@longrun/tasks/logger";
import { within } from "./_bounded_wait.ts";
import { readErrorValue } from "./_script_error_value.ts";
import {
  arePatterns,
  type Cloner,
  decodeFrame,
  encodeFrame,
  FRAME_LIMIT,
  type FromRunner,
  isScriptTopic,
  readFrames,
} from "./_script_messages.ts";
import { Outbox } from "./_script_outbox.ts";
import { Budget, OUTPUT_LIMITS } from "./_script_output.ts";
import { Pauses, type Pipes } from "./_script_pipes.ts";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import { ScriptError } from "./script_error.ts";
import type { ScriptEvent } from "./script_module.ts";
import type { ScriptWorkerOptions } from "./script_worker_options.ts";

const CLONER: Cloner = { serialize, deserialize };

/** What the child had sent is read for so long after its end. */
const DRAIN = 500;

/** What a {@linkcode ScriptConversation} needs. */
export interface ConversationInit {
  /** Who hears of what the script says, and how much it may say. */
  readonly options: Pick<
    ScriptWorkerOptions,
    "pid" | "outputLimits" | "onPublish" | "onSubscribe"
  >;
  readonly connection: Deno.TcpConn;
  /** What the script writes belongs to its calls. */
  readonly pipes: Pick<Pipes, "line" | "callEnd" | "drain" | "effort">;
  readonly clock: Clock;
  /** One that never throws. */
  readonly logger: Logger;
  /** Is called when the child says what nobody understands. */
  onBreach(): void;
}

/** What a child has said of its end, or what is guessed of it. */
export interface LastWords {
  readonly reason?: string;
  /** What nobody in the script has caught. */
  readonly error?: ScriptError;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * What the service and the process of a script say to each other, from the
 * first message to the last: one load, calls one after the other, events both
 * ways. It knows nothing of how the process is started and ended.
 *
 * The child may be hostile. Nothing that it says is believed, it is listened to
 * no faster than it may speak, and whoever waits for an answer gets one, at the
 * latest when the process has ended.
 */
export class ScriptConversation {
  readonly #init: ConversationInit;
  readonly #outbox: Outbox;
  readonly #events: Budget;
  readonly #bytes: Budget;
  readonly #pauses: Pauses;
  readonly #listening: Promise<void>;
  readonly #notice = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #loading: Waiting<readonly string[]> | undefined;
  #names: readonly string[] | undefined;
  #call: (Waiting<void> & { readonly id: number }) | undefined;
  #calls = 0;
  #taken = 0;
  #reason: string | undefined;
  #error: ScriptError | undefined;
  #hasEnded = false;
  #isStopping = false;
  #hasNoticed = false;

  /** Begins to listen. */
  constructor(init: ConversationInit) {
    const { options, connection, clock } = init;
    this.#init = init;
    this.#outbox = new Outbox(connection, CLONER);
    const { eventsPerSecond, bytesPerSecond } = {
      ...OUTPUT_LIMITS,
      ...options.outputLimits,
    };
    const budget = (rate: number) => new Budget(rate, rate, () => clock.now());
    this.#events = budget(eventsPerSecond);
    this.#bytes = budget(bytesPerSecond);
    this.#pauses = new Pauses(clock);
    this.#listening = this.#listen();
  }

  /** Has the script imported; resolves to the functions that it exports. */
  load(url: string): Promise<readonly string[]> {
    if (this.#loading !== undefined || this.#names !== undefined) {
      throw new TypeError("Cannot load script as this process has one already");
    }
    if (this.#hasEnded) return this.#failAtEnd();
    const { promise, resolve, reject } = Promise.withResolvers<
      readonly string[]
    >();
    this.#loading = { resolve, reject };
    this.#outbox.command({ type: "load", url });
    return promise;
  }

  /** Has a function called. */
  async run(
    fn: string,
    input: ProcedureInput,
    context: ScriptContext,
  ): Promise<void> {
    if (this.#hasEnded) return await this.#failAtEnd();
    if (this.#names === undefined) {
      throw new TypeError("Cannot run script as none has been loaded");
    }
    if (this.#call !== undefined) {
      throw new TypeError("Cannot run script as a call of it is under way");
    }
    if (!this.#names.includes(fn)) {
      throw new ProcedureError(
        "function-not-found",
        `The script of procedure #${this.#pid} has no function '${fn}'`,
      );
    }
    if (this.#isStopping) throw this.#abortError();
    const id = ++this.#calls;
    const { args, kwargs } = input;
    const message = { type: "run", id, fn, args, kwargs, context };
    const frame = encodeFrame(message, CLONER);
    if (frame.length > FRAME_LIMIT) {
      throw new RangeError(
        `Cannot run script as its arguments have ${frame.length} bytes`,
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#call = { id, resolve, reject };
    this.#outbox.frame(frame);
    return await promise;
  }

  /** Hands on an event; it is lost if the child does not read. */
  deliver(event: ScriptEvent): void {
    if (!this.#hasEnded) this.#outbox.event(event);
  }

  /** No call is begun any more: an end of the process is a stop from now on. */
  beginStop(): void {
    this.#isStopping = true;
  }

  /**
   * Asks the script to end.
   *
   * @returns Whether it has looked, in so many milliseconds, whether it was
   * asked.
   */
  async askToEnd(ms: number): Promise<boolean> {
    this.#outbox.command({ type: "abort" });
    await within(ms, this.#notice.promise, this.#init.clock);
    return this.#hasNoticed;
  }

  /**
   * The process has ended: takes what it had written and sent, and tells those
   * who wait for an answer. To be called once.
   *
   * @param guess Why it has ended, where it has not said so itself.
   */
  async end(guess: () => string | undefined): Promise<LastWords> {
    const { pipes, clock } = this.#init;
    this.#hasEnded = true;
    this.#notice.resolve();
    this.#pauses.end();
    this.#outbox.close();
    await pipes.drain();
    await within(DRAIN, this.#listening, clock);
    this.#close();
    await this.#listening;
    const error = this.#error;
    const reason = this.#reason ??= guess();
    for (const waiting of [this.#loading, this.#call]) {
      waiting?.reject(this.#endError());
    }
    this.#call = undefined;
    this.#over.resolve();
    return {
      ...(reason === undefined ? {} : { reason }),
      ...(error === undefined ? {} : { error }),
    };
  }

  get #pid(): number {
    return this.#init.options.pid;
  }

  /** Takes the messages of the child, no faster than it may send them. */
  async #listen(): Promise<void> {
    const { connection, pipes, clock } = this.#init;
    try {
      // A connection that breaks has ended.
      const reader = {
        read: (bytes: Uint8Array) => connection.read(bytes).catch(() => null),
      };
      for await (const frame of readFrames(reader)) {
        const began = clock.now();
        const message = decodeFrame(frame, CLONER);
        const isEvent = await this.#take(message as FromRunner);
        if (!isEvent) continue;
        await this.#pauses.wait(
          Math.max(
            this.#events.spend(1),
            this.#bytes.spend(frame.body.length),
            pipes.effort.spend(clock.now() - began),
          ),
        );
        this.#acknowledge();
      }
      // A child that has said all waits for this before it ends.
      this.#close();
    } catch (error) {
      this.#reason ??= "it broke the protocol";
      this.#report("Its process said something odd", error);
      this.#init.onBreach();
    }
  }

  #close(): void {
    try {
      this.#init.connection.close();
    } catch {
      // It is closed already.
    }
  }

  /** Makes room for more events, with one message for several. */
  #acknowledge(): void {
    this.#taken++;
    if (this.#taken > 1) return;
    queueMicrotask(() => {
      const count = this.#taken;
      this.#taken = 0;
      this.#outbox.command({ type: "taken", count });
    });
  }

  /** Nothing in a message is believed. Returns whether it was an event. */
  async #take(message: FromRunner): Promise<boolean> {
    const { options, pipes } = this.#init;
    switch (message?.type) {
      case "loaded": {
        const { names } = message;
        if (!Array.isArray(names)) break;
        this.#names = Object.freeze(
          names.slice(0, 1_000).filter((name) => typeof name === "string"),
        );
        this.#loading?.resolve(this.#names);
        return false;
      }
      case "notLoaded":
        this.#loading?.reject(errorOf(message.error));
        return false;
      case "returned":
      case "threw": {
        const call = this.#call;
        if (call === undefined || call.id !== message.id) return false;
        await pipes.callEnd();
        this.#call = undefined;
        if (message.type === "returned") call.resolve();
        else call.reject(errorOf(message.error));
        return false;
      }
      case "log":
        for (const line of String(message.text).split("\n")) {
          pipes.line("log", line.slice(0, 16_384));
        }
        return true;
      case "publish":
        if (!isScriptTopic(message.topic)) break;
        this.#tell(() => options.onPublish?.(message.topic, message.data));
        return true;
      case "subscribe": {
        const { patterns } = message;
        if (!arePatterns(patterns)) break;
        this.#tell(() => options.onSubscribe?.(Object.freeze(patterns)));
        return true;
      }
      case "noticed":
        this.#hasNoticed = true;
        this.#notice.resolve();
        return false;
      case "gone":
        this.#reason = String(message.reason).slice(0, 1_000);
        if (message.error !== undefined) this.#error = errorOf(message.error);
        return false;
    }
    throw new TypeError(`Nobody knows a message '${String(message?.type)}'`);
  }

  #tell(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#report("What it published was not taken", error);
    }
  }

  #report(what: string, error: unknown): void {
    this.#init.logger.error(`Procedure #${this.#pid}: ${what}`, { error });
  }

  async #failAtEnd(): Promise<never> {
    await this.#over.promise;
    throw this.#endError();
  }

  #endError(): unknown {
    if (this.#isStopping) return this.#abortError();
    if (this.#error !== undefined) return this.#error;
    const message = `The process of the script has ended: ${
      this.#reason ?? "nobody knows why"
    }`;
    return new ScriptError({ name: "Error", message, stack: message });
  }

  #abortError(): DOMException {
    return new DOMException(`Procedure #${this.#pid} is stopped`, "AbortError");
  }
}

function errorOf(value: unknown): ScriptError {
  return new ScriptError(readErrorValue(value));
}
