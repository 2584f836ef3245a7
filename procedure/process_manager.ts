// Copyright 2026 the Longrun authors. MIT license.

/**
 * Takes procedures through their states.
 *
 * @module
 */

import { abortable } from "@longrun/tasks/cancellation";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import { checkFiniteCount, checkOptions } from "./_arguments.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { stackOf } from "./_stack.ts";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { WaitOptions } from "./procedure_service.ts";
import { canMove, isFinal, type ProcedureState } from "./procedure_state.ts";
import type { ExecutableScript } from "./script.ts";
import type { ScriptPool } from "./script_pool.ts";

/** Options of {@linkcode ProcessManager}. */
export interface ProcessManagerOptions {
  /** Where the processes are. */
  pool: ScriptPool;
  /**
   * Told of each change, at once. With `FAILED` comes the stack of what failed.
   */
  onState: (pid: number, state: ProcedureState, stack?: string) => void;
  /** Told which process of the operating system is that of a procedure. */
  onProcess?: (pid: number, osPid: number) => void;
  /**
   * How many procedures may be RUNNING. The original allows one.
   *
   * @default {1}
   */
  maxRunning?: number;
  /**
   * How many procedures may have a process.
   *
   * @default {64}
   */
  maxLive?: number;
  /**
   * The last number that was given to a procedure.
   *
   * @default {0}
   */
  lastPid?: number;
  /**
   * Told of moves that were refused.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

/** Options of {@linkcode ProcessManager.create}. */
export interface CreateProcessOptions {
  /** What `init` is called with. */
  readonly initArgs: ProcedureInput;
  /** What holds for it. */
  readonly context: ScriptContext;
  /** Whether it may exceed the limits: the abort script may. */
  readonly urgent?: boolean;
  /** Told the number before the first state. */
  readonly onNumber?: (pid: number) => void;
}

/** Options of {@linkcode ProcessManager.run}. */
export interface RunProcessOptions extends WaitOptions {
  /** What the function is called with. */
  readonly args: ProcedureInput;
  /** What holds for it, asked for when the call begins. */
  readonly context: () => ScriptContext;
  /** Whether to wait for READY. */
  readonly forceStart?: boolean;
  /** Whether it may exceed the limits: the abort script may. */
  readonly urgent?: boolean;
  /** Called just before the function is. */
  readonly onCall?: () => void;
}

interface Entry {
  readonly pid: number;
  readonly abort: AbortController;
  state: ProcedureState;
  /** The names of its functions, once they are known. */
  functions: readonly string[] | undefined;
  /** Whether a call has been accepted and has not ended. */
  isCalled: boolean;
  /** The call that waits for READY. */
  waiting: { readonly fn: string } | undefined;
  /** Resolves when it is READY or final. */
  readonly prepared: Promise<void>;
  readonly onPrepared: () => void;
  /** Resolves when all that it began has ended. */
  life: Promise<void>;
  /** Resolves when its process has ended; `undefined` before there is one. */
  ended: Promise<void> | undefined;
  stopping: Promise<ProcedureState> | undefined;
}

/**
 * Creates, runs and stops the processes of procedures, and knows the state of
 * each. It keeps no history: a {@linkcode ScriptExecutionService} does.
 *
 * `ProcessManager` of `ska_oso_oet`, which sends requests to another process
 * that manages them; here the {@linkcode ScriptPool} is called.
 *
 * A state that is not next in {@linkcode TRANSITIONS} is refused and logged.
 *
 * @example Usage
 * ```ts
 * import {
 *   fileSystemScript,
 *   type ProcedureBus,
 *   procedureInput,
 *   ProcessManager,
 *   ScriptWorkerPool,
 * } from "@longrun/procedure";
 * import { EventBus } from "@longrun/tasks/event-bus";
 * import { assertEquals } from "@std/assert";
 *
 * const bus: ProcedureBus = new EventBus();
 * const states: string[] = [];
 * await using manager = new ProcessManager({
 *   pool: new ScriptWorkerPool({ bus }),
 *   onState: (pid, state) => states.push(`${pid} is ${state}`),
 * });
 * const pid = manager.create(fileSystemScript("file:///scripts/observe.ts"), {
 *   initArgs: procedureInput(),
 *   context: { waitForQaReady: true },
 * });
 * assertEquals(await manager.stop(pid), "STOPPED");
 * assertEquals(states, ["1 is CREATING", "1 is STOPPED"]);
 * ```
 */
export class ProcessManager implements AsyncDisposable {
  readonly #pool: ScriptPool;
  readonly #onState: ProcessManagerOptions["onState"];
  readonly #onProcess: ProcessManagerOptions["onProcess"];
  readonly #maxRunning: number;
  readonly #maxLive: number;
  readonly #logger: Logger;
  readonly #entries: Map<number, Entry> = new Map();
  #lastPid: number;
  #closing: Promise<void> | undefined = undefined;

  /**
   * Creates a manager without procedures.
   *
   * @param options The pool, the limits, and who is told.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If a limit is not a positive integer.
   */
  constructor(options: ProcessManagerOptions) {
    checkOptions("create ProcessManager", options);
    const { pool, onState, maxRunning = 1, maxLive = 64, lastPid = 0 } =
      options;
    checkFiniteCount("create ProcessManager", "maxRunning", maxRunning, 1);
    checkFiniteCount("create ProcessManager", "maxLive", maxLive, 1);
    this.#pool = pool;
    this.#onState = onState;
    this.#onProcess = options.onProcess;
    this.#maxRunning = maxRunning;
    this.#maxLive = maxLive;
    this.#lastPid = lastPid;
    this.#logger = harmlessLogger(options.logger ?? defaultLogger);
  }

  /** How many procedures have a process, or are about to. */
  get live(): number {
    return this.#entries.size;
  }

  /** How many procedures run, or have been told to. */
  get running(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.isCalled) count++;
    return count;
  }

  /** Whether any procedure is RUNNING. */
  hasRunning(): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.state === "RUNNING") return true;
    }
    return false;
  }

  /**
   * The state of a procedure.
   *
   * @param pid Its number.
   * @returns Its state; `undefined` once it has ended, or if it never was.
   */
  state(pid: number): ProcedureState | undefined {
    return this.#entries.get(pid)?.state;
  }

  /**
   * Creates a process and prepares the script in it.
   *
   * @param script The script.
   * @param options What `init` is called with.
   * @returns The number of the procedure.
   * @throws {ProcedureError} `"too-many-procedures"`, `"closed"`.
   */
  create(script: ExecutableScript, options: CreateProcessOptions): number {
    this.#checkOpen();
    if (!options.urgent && this.#entries.size >= this.#maxLive) {
      throw new ProcedureError(
        "too-many-procedures",
        `Cannot prepare a procedure: ${this.#entries.size} of ` +
          `${this.#maxLive} are alive`,
      );
    }
    const pid = ++this.#lastPid;
    const { promise: prepared, resolve: onPrepared } = Promise.withResolvers<
      void
    >();
    const entry: Entry = {
      pid,
      abort: new AbortController(),
      state: "CREATING",
      functions: undefined,
      isCalled: false,
      waiting: undefined,
      prepared,
      onPrepared,
      life: Promise.resolve(),
      ended: undefined,
      stopping: undefined,
    };
    this.#entries.set(pid, entry);
    options.onNumber?.(pid);
    this.#onState(pid, "CREATING");
    entry.life = this.#prepare(entry, script, options).finally(onPrepared);
    return pid;
  }

  async #prepare(
    entry: Entry,
    script: ExecutableScript,
    { initArgs, context }: CreateProcessOptions,
  ): Promise<void> {
    const { pid, abort: { signal } } = entry;
    // A listener may stop it at CREATING.
    await Promise.resolve();
    if (signal.aborted) return;
    try {
      const functions = await this.#pool.create(pid, script, {
        signal,
        onState: (state) => this.#move(entry, state),
        onProcess: (osPid) => this.#onProcess?.(pid, osPid),
      });
      if (signal.aborted) return;
      entry.functions = functions;
      // A place that is given back now is heard of by the state that follows.
      const { waiting } = entry;
      if (waiting !== undefined && !functions.includes(waiting.fn)) {
        this.#giveBack(entry, waiting);
      }
      this.#watch(entry);
      if (functions.includes("init")) {
        this.#move(entry, "INITIALISING");
        await this.#pool.run(pid, "init", initArgs, context);
      }
      // Told to end, init may have done so by itself.
      if (entry.stopping === undefined) this.#move(entry, "READY");
    } catch (error) {
      await this.#fail(entry, error);
    }
  }

  #watch(entry: Entry): void {
    entry.ended = this.#pool.ended(entry.pid).then(({ reason, stack }) => {
      const text = stack ?? `ProcessEnded: ${reason}`;
      return this.#failWith(entry, text);
    });
  }

  /**
   * Calls a function of a procedure.
   *
   * @param pid The number of the procedure.
   * @param fn The name of the function.
   * @param options What it is called with.
   * @returns A promise that resolves when the call has begun.
   * @throws {ProcedureError} `"procedure-not-found"`, `"invalid-state"`,
   * `"another-running"`, `"function-not-found"`, `"closed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts before the call has
   * begun: then it does not begin.
   */
  async run(
    pid: number,
    fn: string,
    options: RunProcessOptions,
  ): Promise<void> {
    const { args, context, forceStart = false, urgent, signal } = options;
    this.#checkOpen();
    signal?.throwIfAborted();
    const entry = this.#find(pid);
    if (
      entry.isCalled ||
      (entry.state !== "READY" && (!forceStart || isFinal(entry.state)))
    ) {
      throw unrunnable(entry);
    }
    if (!urgent && this.running >= this.#maxRunning) {
      const other = [...this.#entries.values()].find((one) => one.isCalled);
      throw new ProcedureError(
        "another-running",
        `Cannot start PID ${pid}: PID #${other?.pid} is RUNNING`,
      );
    }
    if (entry.functions !== undefined) checkFunctionOf(entry, fn);
    // From here on it counts as running: nobody else takes the place.
    const waiting = { fn };
    entry.isCalled = true;
    entry.waiting = waiting;
    try {
      if (entry.state !== "READY") await abortable(entry.prepared, signal);
      if (entry.stopping !== undefined || entry.state !== "READY") {
        throw unrunnable(entry);
      }
      checkFunctionOf(entry, fn);
    } catch (error) {
      this.#giveBack(entry, waiting);
      throw error;
    }
    entry.waiting = undefined;
    options.onCall?.();
    this.#move(entry, "RUNNING");
    entry.life = this.#call(entry, fn, args, context());
  }

  /** The call comes to nothing. Another may have taken the place already. */
  #giveBack(entry: Entry, waiting: Entry["waiting"]): void {
    if (entry.waiting !== waiting) return;
    entry.waiting = undefined;
    entry.isCalled = false;
  }

  async #call(
    entry: Entry,
    fn: string,
    args: ProcedureInput,
    context: ScriptContext,
  ): Promise<void> {
    try {
      await this.#pool.run(entry.pid, fn, args, context);
    } catch (error) {
      await this.#fail(entry, error);
      return;
    }
    entry.isCalled = false;
    if (entry.stopping !== undefined || isFinal(entry.state)) return;
    if (fn !== "main") {
      this.#move(entry, "READY");
      return;
    }
    // RUNNING until the last line of its output is there.
    entry.isCalled = true;
    entry.stopping = this.#end(entry, "COMPLETE");
    await entry.stopping;
  }

  async #end(entry: Entry, wanted: ProcedureState): Promise<ProcedureState> {
    const ended = await this.#endProcess(entry, wanted === "COMPLETE");
    entry.isCalled = false;
    const state = ended === "unknown" ? "UNKNOWN" : wanted;
    if (state === "COMPLETE") this.#move(entry, "READY");
    this.#move(entry, state);
    this.#forget(entry);
    if (state === "UNKNOWN") {
      // It may be seen to end after all.
      void entry.ended?.then(() => this.#move(entry, "STOPPED"));
    }
    return state;
  }

  #fail(entry: Entry, error: unknown): Promise<void> {
    return this.#failWith(entry, stackOf(error));
  }

  async #failWith(entry: Entry, stack: string): Promise<void> {
    if (entry.stopping !== undefined) return;
    entry.isCalled = false;
    const { promise, resolve } = Promise.withResolvers<ProcedureState>();
    // A stop that comes now waits for the end of the process.
    entry.stopping = promise;
    this.#move(entry, "FAILED", stack);
    const ended = await this.#endProcess(entry, true);
    if (ended === "unknown") {
      const { pid } = entry;
      this.#logger.error(`The process of PID #${pid} did not end`, {
        pid,
      });
    }
    this.#forget(entry);
    resolve("FAILED");
  }

  /** Never rejects. */
  async #endProcess(
    { pid }: Entry,
    force: boolean,
  ): Promise<"stopped" | "unknown"> {
    try {
      return await this.#pool.stop(pid, force);
    } catch (error) {
      const what = `The process of PID #${pid} could not be ended`;
      this.#logger.error(what, { pid, error });
      return "unknown";
    }
  }

  /** Whoever waits for it to be prepared waits no longer. */
  #forget(entry: Entry): void {
    this.#entries.delete(entry.pid);
    entry.onPrepared();
  }

  /**
   * Stops a procedure, whatever it is at.
   *
   * @param pid Its number.
   * @returns A promise of its state when its process has ended: STOPPED, or
   * UNKNOWN if nobody knows whether it has.
   * @throws {ProcedureError} `"procedure-not-found"`; `"invalid-state"` when it
   * ended by itself first.
   */
  async stop(pid: number): Promise<ProcedureState> {
    const entry = this.#find(pid);
    if (entry.stopping === undefined) {
      entry.abort.abort(new DOMException("Stopped", "AbortError"));
      entry.stopping = this.#end(entry, "STOPPED");
    }
    const state = await entry.stopping;
    if (state !== "STOPPED" && state !== "UNKNOWN") {
      throw new ProcedureError(
        "invalid-state",
        `Cannot stop PID ${pid} with state ${state}`,
      );
    }
    return state;
  }

  /** Stops all procedures and ends the pool. Resolves when all have ended. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    // What a listener prepares now is refused already.
    await Promise.resolve();
    await Promise.allSettled(
      [...this.#entries.values()].map(async (entry) => {
        const state = await this.stop(entry.pid);
        // A process that nobody could end may never say so.
        if (state !== "UNKNOWN") await entry.life;
      }),
    );
    await this.#pool[Symbol.asyncDispose]();
  }

  /** {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#closing === undefined) return;
    throw new ProcedureError("closed", "The service has ended");
  }

  #find(pid: number): Entry {
    const entry = this.#entries.get(pid);
    if (entry !== undefined) return entry;
    throw new ProcedureError("procedure-not-found", `PID #${pid} not found`);
  }

  #move(entry: Entry, state: ProcedureState, stack?: string): void {
    const from = entry.state;
    if (!canMove(from, state)) {
      this.#logger.warn(
        `PID #${entry.pid} was not moved from ${from} to ${state}`,
        { pid: entry.pid, from, to: state },
      );
      return;
    }
    entry.state = state;
    this.#onState(entry.pid, state, stack);
  }
}

function checkFunctionOf({ pid, functions = [] }: Entry, fn: string): void {
  if (functions.includes(fn)) return;
  throw new ProcedureError(
    "function-not-found",
    `The script of PID #${pid} has no function '${fn}'`,
  );
}

function unrunnable({ pid, state, isCalled, stopping }: Entry): ProcedureError {
  const why = stopping !== undefined && !isFinal(state)
    ? ": it is about to end"
    : isCalled && state !== "RUNNING"
    ? ": it has been told to start"
    : "";
  return new ProcedureError(
    "invalid-state",
    `PID #${pid} unrunnable in state ${state}${why}`,
  );
}
