// Copyright 2026 the Longrun authors. MIT license.

/**
 * The process of one script, as its parent sees it.
 *
 * The process has two threads: one holds the connection to the parent and the
 * signals, and the script runs in a Worker beside it. Whatever the script does,
 * the process can be asked to end, and ended, and it leaves when its parent
 * does.
 *
 * @module
 */

import { deserialize, serialize } from "node:v8";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import { checkName, checkString } from "./_arguments.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
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
import { readErrorValue } from "./_script_error_value.ts";
import { Outbox } from "./_script_outbox.ts";
import { Budget, OUTPUT_LIMITS } from "./_script_output.ts";
import { Pauses, type Pipes } from "./_script_pipes.ts";
import { kill, killGroup } from "./_script_process.ts";
import { startUp } from "./_script_startup.ts";
import { checkSpawnOptions, checkStopPolicy } from "./_script_options.ts";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import { ScriptError } from "./script_error.ts";
import type { ScriptEvent } from "./script_module.ts";
import type {
  ScriptExit,
  ScriptWorkerOptions,
  StopPolicy,
} from "./script_worker_options.ts";

const CLONER: Cloner = { serialize, deserialize };

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * The process of one script.
 *
 * @example Usage
 * ```ts
 * import { procedureInput, ScriptWorker } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeTextFile(
 *   `${folder}/greet.ts`,
 *   "export function main({ kwargs }) { console.log('Hello', kwargs.name); }",
 * );
 *
 * const lines: string[] = [];
 * await using worker = await ScriptWorker.spawn({
 *   pid: 1,
 *   roots: [folder],
 *   onOutput: ({ text }) => lines.push(text),
 * });
 * await worker.load(`file://${folder}/greet.ts`);
 * await worker.run("main", procedureInput({ name: "Ada" }), {
 *   waitForQaReady: false,
 * });
 * assertEquals(lines, ["Hello Ada"]);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class ScriptWorker implements AsyncDisposable {
  /** Resolves when the process has ended, and all that it wrote has come. */
  readonly exited: Promise<ScriptExit>;

  readonly #options: ScriptWorkerOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #process: Deno.ChildProcess;
  readonly #connection: Deno.TcpConn;
  readonly #outbox: Outbox;
  readonly #pipes: Pipes;
  readonly #events: Budget;
  readonly #bytes: Budget;
  readonly #pauses: Pauses;
  readonly #onAbort = (): void => void this.stop();
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
  #onNotice: (() => void) | undefined;

  /** Use {@linkcode ScriptWorker.spawn}. */
  private constructor(
    options: ScriptWorkerOptions,
    process: Deno.ChildProcess,
    connection: Deno.TcpConn,
    pipes: Pipes,
  ) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = harmlessLogger(options.logger ?? defaultLogger);
    this.#process = process;
    this.#connection = connection;
    this.#outbox = new Outbox(connection, CLONER);
    this.#pipes = pipes;
    const { eventsPerSecond, bytesPerSecond } = {
      ...OUTPUT_LIMITS,
      ...options.outputLimits,
    };
    const budget = (rate: number) =>
      new Budget(rate, rate, () => this.#clock.now());
    this.#events = budget(eventsPerSecond);
    this.#bytes = budget(bytesPerSecond);
    this.#pauses = new Pauses(this.#clock);
    const listening = this.#listen();
    this.exited = this.#watch(listening);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * Starts a process.
   *
   * @param options What it may, and who hears of it.
   * @returns The process, once it is up. No script is loaded yet.
   * @throws {ProcedureError} `"startup-failed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  static async spawn(options: ScriptWorkerOptions): Promise<ScriptWorker> {
    checkSpawnOptions(options);
    options.signal?.throwIfAborted();
    const { process, connection, pipes } = await startUp(options);
    const worker = new ScriptWorker(options, process, connection, pipes);
    // Nobody listened for a moment.
    if (options.signal?.aborted) {
      await worker.stop({ abort: 0 });
      throw options.signal.reason;
    }
    return worker;
  }

  /** The number that the process has for the system. */
  get osPid(): number {
    return this.#process.pid;
  }

  /**
   * Imports the script. Its top level runs. Once for a process.
   *
   * @param url The address: `file://` and an absolute path.
   * @returns The names of the functions that it exports.
   * @throws {ScriptError} If it cannot be imported or throws.
   */
  load(url: string): Promise<readonly string[]> {
    checkString("load script", "url", url);
    if (new URL(url).protocol !== "file:") {
      throw new TypeError(`Cannot load script as '${url}' is no file`);
    }
    if (this.#loading !== undefined || this.#names !== undefined) {
      throw new TypeError("Cannot load script as this process has one already");
    }
    if (this.#hasEnded) return this.exited.then(() => this.#throwEnd());
    const { promise, resolve, reject } = Promise.withResolvers<
      readonly string[]
    >();
    this.#loading = { resolve, reject };
    this.#outbox.command({ type: "load", url });
    return promise;
  }

  /**
   * Calls a function of the script. What it wrote and published until then has
   * come when the call ends. One call at a time.
   *
   * @param fn The name of the function.
   * @param input What it is called with.
   * @param context What holds for the call.
   * @throws {ScriptError} If it throws, or the process ends.
   * @throws {ProcedureError} `"function-not-found"`.
   * @throws {DOMException} An `AbortError` if the process is stopped.
   */
  async run(
    fn: string,
    input: ProcedureInput,
    context: ScriptContext,
  ): Promise<void> {
    checkName("run script", "fn", fn);
    if (this.#hasEnded) return await this.exited.then(() => this.#throwEnd());
    if (this.#names === undefined) {
      throw new TypeError("Cannot run script as none has been loaded");
    }
    if (this.#call !== undefined) {
      throw new TypeError("Cannot run script as a call of it is under way");
    }
    if (!this.#names.includes(fn)) {
      throw new ProcedureError(
        "function-not-found",
        `The script of procedure #${this.#options.pid} has no function '${fn}'`,
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

  /**
   * Hands an event of the bus to the script. When the script does not read fast
   * enough it is lost, and the script can see how many were.
   *
   * @param event The event.
   */
  deliver(event: ScriptEvent): void {
    if (!this.#hasEnded) this.#outbox.event(event);
  }

  /**
   * Ends the process: asks the script, sends SIGTERM, sends SIGKILL.
   *
   * @param policy How long each stage may take.
   * @returns `"unknown"` if it was not seen to end.
   */
  async stop(policy?: StopPolicy): Promise<"stopped" | "unknown"> {
    checkStopPolicy(policy);
    const { abort = 1_000, term = 1_000, kill: last = 2_000 } = {
      ...this.#options.stopPolicy,
      ...policy,
    };
    this.#isStopping = true;
    if (!this.#hasEnded && abort > 0) {
      const deadline = this.#clock.now() + abort;
      this.#outbox.command({ type: "abort" });
      await this.#isNoticed(abort / 2);
      if (this.#hasNoticed) await this.#ends(deadline - this.#clock.now());
    }
    if (!this.#hasEnded && term > 0) {
      kill(this.#process, "SIGTERM");
      await this.#ends(term);
    }
    if (!this.#hasEnded && last > 0) {
      kill(this.#process, "SIGKILL");
      await this.#ends(last);
    }
    if (!this.#hasEnded) return "unknown";
    await this.exited;
    return "stopped";
  }

  /** Stops the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Waits for the end, not longer than this. */
  async #ends(ms: number): Promise<void> {
    if (ms > 0) await this.#unless(this.#process.status, ms);
  }

  /** Waits for the script to look whether it is to end; or for the end. */
  #isNoticed(ms: number): Promise<void> {
    if (this.#hasNoticed) return Promise.resolve();
    const noticed = new Promise<void>((resolve) => this.#onNotice = resolve);
    return this.#unless(Promise.race([noticed, this.#process.status]), ms);
  }

  async #unless(event: Promise<unknown>, ms: number): Promise<void> {
    let cancel = () => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.setTimer(resolve, ms);
    });
    await Promise.race([event, late]);
    cancel();
  }

  /** Takes the messages of the child, no faster than it may send them. */
  async #listen(): Promise<void> {
    try {
      // A connection that breaks has ended.
      const reader = {
        read: (bytes: Uint8Array) =>
          this.#connection.read(bytes).catch(() => null),
      };
      for await (const frame of readFrames(reader)) {
        const began = this.#clock.now();
        const message = decodeFrame(frame, CLONER);
        const isEvent = await this.#take(message as FromRunner);
        if (!isEvent) continue;
        await this.#pauses.wait(
          Math.max(
            this.#events.spend(1),
            this.#bytes.spend(frame.body.length),
            this.#pipes.effort.spend(this.#clock.now() - began),
          ),
        );
        this.#acknowledge();
      }
    } catch (error) {
      this.#reason ??= "it broke the protocol";
      this.#report("Its process said something odd", error);
      kill(this.#process, "SIGKILL");
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
        this.#loading?.reject(this.#errorOf(message.error));
        return false;
      case "returned":
      case "threw": {
        const call = this.#call;
        if (call === undefined || call.id !== message.id) return false;
        await this.#pipes.callEnd();
        this.#call = undefined;
        if (message.type === "returned") call.resolve();
        else call.reject(this.#errorOf(message.error));
        return false;
      }
      case "log":
        for (const line of String(message.text).split("\n")) {
          this.#pipes.line("log", line.slice(0, 16_384));
        }
        return true;
      case "publish":
        if (!isScriptTopic(message.topic)) break;
        this.#tell(() =>
          this.#options.onPublish?.(message.topic, message.data)
        );
        return true;
      case "subscribe": {
        const { patterns } = message;
        if (!arePatterns(patterns)) break;
        this.#tell(() => this.#options.onSubscribe?.(Object.freeze(patterns)));
        return true;
      }
      case "noticed":
        this.#hasNoticed = true;
        this.#onNotice?.();
        return false;
      case "gone":
        this.#reason = String(message.reason).slice(0, 1_000);
        if (message.error !== undefined) {
          this.#error = this.#errorOf(message.error);
        }
        return false;
    }
    throw new TypeError(`Nobody knows a message '${String(message?.type)}'`);
  }

  #errorOf(value: unknown): ScriptError {
    return new ScriptError(readErrorValue(value));
  }

  #tell(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#report("What it published was not taken", error);
    }
  }

  #report(what: string, error: unknown): void {
    this.#logger.error(`Procedure #${this.#options.pid}: ${what}`, { error });
  }

  async #watch(listening: Promise<void>): Promise<ScriptExit> {
    const { code, signal } = await this.#process.status;
    this.#hasEnded = true;
    // Only those who may run programs can have left any.
    if ((this.#options.grants?.run ?? []).length > 0) killGroup(this.#process);
    this.#onNotice?.();
    this.#pauses.end();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#outbox.close();
    await this.#pipes.drain();
    // What the child had sent can still be read.
    await this.#unless(listening, 500);
    try {
      this.#connection.close();
    } catch {
      // It is closed already.
    }
    await listening;
    const { lastErrors } = this.#pipes;
    const reason = this.#reason ?? guessReason(code, signal, lastErrors);
    const error = this.#error;
    const exit: ScriptExit = Object.freeze({
      code,
      signal,
      ...(reason === undefined ? {} : { reason }),
      ...(error === undefined ? {} : { error }),
      lastErrors: Object.freeze([...lastErrors]),
    });
    this.#reason = reason;
    for (const waiting of [this.#loading, this.#call]) {
      waiting?.reject(this.#endError());
    }
    this.#call = undefined;
    return exit;
  }

  #throwEnd(): never {
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
    return new DOMException(
      `Procedure #${this.#options.pid} is stopped`,
      "AbortError",
    );
  }
}

function guessReason(
  code: number,
  signal: string | null,
  lastErrors: readonly string[],
): string | undefined {
  if (lastErrors.some((line) => /JavaScript.*out of memory/.test(line))) {
    return "out of memory";
  }
  if (signal !== null) return `it was ended by ${signal}`;
  if (code === 143) return "it was ended by SIGTERM";
  return code === 0 ? undefined : `it ended with code ${code}`;
}
