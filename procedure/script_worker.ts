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

import { onAbort } from "@longrun/tasks/cancellation";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger } from "@longrun/tasks/logger";
import { checkName, checkString } from "./_arguments.ts";
import { within } from "./_bounded_wait.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { ScriptConversation } from "./_script_conversation.ts";
import type { Pipes } from "./_script_pipes.ts";
import { kill, killGroup } from "./_script_process.ts";
import { startUp } from "./_script_startup.ts";
import { checkSpawnOptions, checkStopPolicy } from "./_script_options.ts";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import type { ScriptEvent } from "./script_module.ts";
import type {
  ScriptExit,
  ScriptWorkerOptions,
  StopPolicy,
} from "./script_worker_options.ts";

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
  readonly #process: Deno.ChildProcess;
  readonly #pipes: Pipes;
  readonly #conversation: ScriptConversation;
  readonly #forget: (() => void) | undefined;
  #hasEnded = false;

  /** Use {@linkcode ScriptWorker.spawn}. */
  private constructor(
    options: ScriptWorkerOptions,
    process: Deno.ChildProcess,
    connection: Deno.TcpConn,
    pipes: Pipes,
  ) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#process = process;
    this.#pipes = pipes;
    this.#conversation = new ScriptConversation({
      options,
      connection,
      pipes,
      clock: this.#clock,
      logger: harmlessLogger(options.logger ?? defaultLogger),
      onBreach: () => kill(process, "SIGKILL"),
    });
    this.exited = this.#watch();
    const { signal } = options;
    this.#forget = signal && onAbort(signal, () => void this.stop());
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
    return this.#conversation.load(url);
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
    await this.#conversation.run(fn, input, context);
  }

  /**
   * Hands an event of the bus to the script. When the script does not read fast
   * enough it is lost, and the script can see how many were.
   *
   * @param event The event.
   */
  deliver(event: ScriptEvent): void {
    this.#conversation.deliver(event);
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
    this.#conversation.beginStop();
    if (!this.#hasEnded && abort > 0) {
      const deadline = this.#clock.now() + abort;
      if (await this.#conversation.askToEnd(abort / 2)) {
        await this.#ends(deadline - this.#clock.now());
      }
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
    if (ms > 0) await within(ms, this.#process.status, this.#clock);
  }

  async #watch(): Promise<ScriptExit> {
    const { code, signal } = await this.#process.status;
    this.#hasEnded = true;
    // Only those who may run programs can have left any.
    if ((this.#options.grants?.run ?? []).length > 0) killGroup(this.#process);
    this.#forget?.();
    const { lastErrors } = this.#pipes;
    const lastWords = await this.#conversation.end(
      () => guessReason(code, signal, lastErrors),
    );
    return Object.freeze({
      code,
      signal,
      ...lastWords,
      lastErrors: Object.freeze([...lastErrors]),
    });
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
