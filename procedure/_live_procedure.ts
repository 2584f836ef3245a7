// Copyright 2026 the Longrun authors. MIT license.

/**
 * A procedure that has a process, from CREATING until that has ended. It knows
 * nothing of other procedures, nor of how many there may be.
 *
 * @module
 */

import { abortable } from "@longrun/tasks/cancellation";
import type { Logger } from "@longrun/tasks/logger";
import { stackOf } from "./_stack.ts";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import { canMove, isFinal, type ProcedureState } from "./procedure_state.ts";
import type {
  CreateProcessOptions,
  ProcessManagerOptions,
  RunProcessOptions,
} from "./process_manager_options.ts";
import type { ExecutableScript } from "./script.ts";
import type { ScriptPool } from "./script_pool.ts";

/** Where its process is, and who is told. */
export interface LiveProcedureSettings {
  readonly pool: ScriptPool;
  readonly onState: ProcessManagerOptions["onState"];
  readonly onProcess: ProcessManagerOptions["onProcess"];
  /** Told when it has no process any more. */
  readonly onEnd: (pid: number) => void;
  readonly logger: Logger;
}

/** What happens before a script is loaded; all else is known here. */
const STEPS: readonly ProcedureState[] = ["IDLE", "PREP_ENV", "LOADING"];

/** Prepares, calls and stops one script. It moves as the table of states says. */
export class LiveProcedure {
  /** Its number. */
  readonly pid: number;
  readonly #settings: LiveProcedureSettings;
  readonly #abort: AbortController = new AbortController();
  /** Resolves when it is READY or final. */
  readonly #prepared: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: ProcedureState = "CREATING";
  /** The names of its functions, once they are known. */
  #functions: readonly string[] | undefined = undefined;
  #isCalled = false;
  /** The call that waits for READY. */
  #waiting: { readonly fn: string } | undefined = undefined;
  #life: Promise<void> = Promise.resolve();
  /** Resolves when its process has ended; `undefined` before there is one. */
  #ended: Promise<void> | undefined = undefined;
  #stopping: Promise<ProcedureState> | undefined = undefined;

  constructor(pid: number, settings: LiveProcedureSettings) {
    this.pid = pid;
    this.#settings = settings;
  }

  /** Its state. */
  get state(): ProcedureState {
    return this.#state;
  }

  /** Whether a call has been accepted and has not ended. */
  get isCalled(): boolean {
    return this.#isCalled;
  }

  /** Resolves when all that it began has ended. */
  get life(): Promise<void> {
    return this.#life;
  }

  /** Starts the process and loads the script. Whoever listens is told. */
  prepare(script: ExecutableScript, options: CreateProcessOptions): void {
    this.#tell("CREATING");
    this.#life = this.#prepare(script, options)
      .finally(this.#prepared.resolve);
  }

  async #prepare(
    script: ExecutableScript,
    { initArgs, context }: CreateProcessOptions,
  ): Promise<void> {
    const { pid } = this;
    const { pool, onProcess } = this.#settings;
    const { signal } = this.#abort;
    // A listener may stop it at CREATING.
    await Promise.resolve();
    if (signal.aborted) return;
    try {
      const functions = await pool.create(pid, script, {
        signal,
        onState: (state) => this.#step(state),
        onProcess: (osPid) => this.#safely(() => onProcess?.(pid, osPid)),
      });
      if (signal.aborted) return;
      this.#functions = functions;
      // A place that is given back now is heard of by the state that follows.
      const waiting = this.#waiting;
      if (waiting !== undefined && !functions.includes(waiting.fn)) {
        this.#giveBack(waiting);
      }
      this.#watch();
      if (functions.includes("init")) {
        this.#move("INITIALISING");
        await pool.run(pid, "init", initArgs, context);
      }
      // Told to end, init may have done so by itself.
      if (this.#stopping === undefined) this.#move("READY");
    } catch (error) {
      await this.#fail(stackOf(error));
    }
  }

  #watch(): void {
    this.#ended = this.#settings.pool.ended(this.pid).then(
      ({ reason, stack }) => this.#fail(stack ?? `ProcessEnded: ${reason}`),
    );
  }

  /**
   * Checks that a function may be called, or could be at READY.
   *
   * @param forceStart Whether the call would wait for READY.
   * @throws {ProcedureError} `"invalid-state"`.
   */
  checkRunnable(forceStart: boolean): void {
    const canWait = forceStart && !isFinal(this.#state);
    const isNext = this.#state === "READY" || canWait;
    if (this.#isCalled || !isNext) throw this.#unrunnable();
  }

  /**
   * Calls a function, at READY. Resolves when the call has begun. From now on
   * it is called, until that has ended or come to nothing.
   *
   * @throws {ProcedureError} `"invalid-state"`, `"function-not-found"`.
   * @throws {AbortSignal["reason"]} If the signal aborts before the call has
   * begun.
   * @throws What `context` and `onCall` throw: then the call does not begin.
   */
  async run(fn: string, options: RunProcessOptions): Promise<void> {
    const { args, context, signal, onCall } = options;
    if (this.#functions !== undefined) this.#checkFunction(fn);
    const waiting = { fn };
    this.#isCalled = true;
    this.#waiting = waiting;
    let holds: ScriptContext;
    try {
      if (this.#state !== "READY") {
        await abortable(this.#prepared.promise, signal);
      }
      if (this.#stopping !== undefined || this.#state !== "READY") {
        throw this.#unrunnable();
      }
      this.#checkFunction(fn);
      holds = context();
      onCall?.();
    } catch (error) {
      this.#giveBack(waiting);
      throw error;
    }
    this.#waiting = undefined;
    this.#move("RUNNING");
    this.#life = this.#call(fn, args, holds);
  }

  /** The call comes to nothing. Another may have taken the place already. */
  #giveBack(waiting: { readonly fn: string }): void {
    if (this.#waiting !== waiting) return;
    this.#waiting = undefined;
    this.#isCalled = false;
  }

  async #call(
    fn: string,
    args: ProcedureInput,
    context: ScriptContext,
  ): Promise<void> {
    try {
      await this.#settings.pool.run(this.pid, fn, args, context);
    } catch (error) {
      await this.#fail(stackOf(error));
      return;
    }
    this.#isCalled = false;
    if (this.#stopping !== undefined || isFinal(this.#state)) return;
    if (fn !== "main") {
      this.#move("READY");
      return;
    }
    // RUNNING until the last line of its output is there.
    this.#isCalled = true;
    this.#stopping = this.#end("COMPLETE");
    await this.#stopping;
  }

  /**
   * Ends the process, whatever the procedure is at. Resolves with its state
   * when the process has ended: another than STOPPED and UNKNOWN if it was
   * about to end by itself.
   */
  stop(): Promise<ProcedureState> {
    if (this.#stopping === undefined) {
      this.#abort.abort(new DOMException("Stopped", "AbortError"));
      this.#stopping = this.#end("STOPPED");
    }
    return this.#stopping;
  }

  async #end(wanted: ProcedureState): Promise<ProcedureState> {
    const ended = await this.#endProcess(wanted === "COMPLETE");
    this.#isCalled = false;
    const state = ended === "unknown" ? "UNKNOWN" : wanted;
    if (state === "COMPLETE") this.#move("READY");
    this.#move(state);
    this.#forget();
    if (state === "UNKNOWN") {
      // It may be seen to end after all.
      void this.#ended?.then(() => this.#move("STOPPED"));
    }
    return state;
  }

  async #fail(stack: string): Promise<void> {
    if (this.#stopping !== undefined) return;
    this.#isCalled = false;
    const { promise, resolve } = Promise.withResolvers<ProcedureState>();
    // A stop that comes now waits for the end of the process.
    this.#stopping = promise;
    this.#move("FAILED", stack);
    const ended = await this.#endProcess(true);
    if (ended === "unknown") {
      const { pid } = this;
      this.#settings.logger.error(`The process of PID #${pid} did not end`, {
        pid,
      });
    }
    this.#forget();
    resolve("FAILED");
  }

  /** Never rejects. */
  async #endProcess(force: boolean): Promise<"stopped" | "unknown"> {
    const { pid } = this;
    const { pool, logger } = this.#settings;
    try {
      return await pool.stop(pid, force);
    } catch (error) {
      const what = `The process of PID #${pid} could not be ended`;
      logger.error(what, { pid, error });
      return "unknown";
    }
  }

  /** Whoever waits for it to be prepared waits no longer. */
  #forget(): void {
    this.#settings.onEnd(this.pid);
    this.#prepared.resolve();
  }

  /** What the pool, or a loader, says that it is at. */
  #step(to: ProcedureState): void {
    if (STEPS.includes(to)) this.#move(to);
    else this.#refuse(to);
  }

  #move(to: ProcedureState, stack?: string): void {
    if (!canMove(this.#state, to)) return this.#refuse(to);
    this.#state = to;
    this.#tell(to, stack);
  }

  #refuse(to: ProcedureState): void {
    const { pid } = this;
    const from = this.#state;
    const what = `PID #${pid} was not moved from ${from} to ${to}`;
    this.#settings.logger.warn(what, { pid, from, to });
  }

  #tell(state: ProcedureState, stack?: string): void {
    this.#safely(() => this.#settings.onState(this.pid, state, stack));
  }

  /** What whoever is told throws keeps no procedure from its end. */
  #safely(tell: () => void): void {
    const { pid } = this;
    try {
      tell();
    } catch (error) {
      const what = `Whoever is told of PID #${pid} has thrown`;
      this.#settings.logger.error(what, { pid, error });
    }
  }

  #checkFunction(fn: string): void {
    if (this.#functions?.includes(fn)) return;
    throw new ProcedureError(
      "function-not-found",
      `The script of PID #${this.pid} has no function '${fn}'`,
    );
  }

  #unrunnable(): ProcedureError {
    const state = this.#state;
    const why = this.#stopping !== undefined && !isFinal(state)
      ? ": it is about to end"
      : this.#isCalled && state !== "RUNNING"
      ? ": it has been told to start"
      : "";
    return new ProcedureError(
      "invalid-state",
      `PID #${this.pid} unrunnable in state ${state}${why}`,
    );
  }
}
