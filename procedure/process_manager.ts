// Copyright 2026 the Longrun authors. MIT license.

/**
 * Takes procedures through their states.
 *
 * @module
 */

import { defaultLogger } from "@longrun/tasks/logger";
import {
  checkFiniteCount,
  checkFunction,
  checkLogger,
  checkOptions,
} from "./_arguments.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import {
  LiveProcedure,
  type LiveProcedureSettings,
} from "./_live_procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ProcedureState } from "./procedure_state.ts";
import type {
  CreateProcessOptions,
  ProcessManagerOptions,
  RunProcessOptions,
} from "./process_manager_options.ts";
import type { ExecutableScript } from "./script.ts";
import type { ScriptPool } from "./script_pool.ts";

export type {
  CreateProcessOptions,
  ProcessManagerOptions,
  RunProcessOptions,
} from "./process_manager_options.ts";

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
  readonly #settings: LiveProcedureSettings;
  readonly #maxRunning: number;
  readonly #maxLive: number;
  readonly #procedures: Map<number, LiveProcedure> = new Map();
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
    const { onProcess, logger = defaultLogger } = options;
    checkFunction("create ProcessManager", "pool.create", pool?.create);
    checkFunction("create ProcessManager", "onState", onState);
    if (onProcess !== undefined) {
      checkFunction("create ProcessManager", "onProcess", onProcess);
    }
    checkFiniteCount("create ProcessManager", "lastPid", lastPid, 0);
    checkLogger("create ProcessManager", logger);
    checkFiniteCount("create ProcessManager", "maxRunning", maxRunning, 1);
    checkFiniteCount("create ProcessManager", "maxLive", maxLive, 1);
    this.#pool = pool;
    this.#settings = {
      pool,
      onState,
      onProcess,
      onEnd: (pid) => void this.#procedures.delete(pid),
      logger: harmlessLogger(logger),
    };
    this.#maxRunning = maxRunning;
    this.#maxLive = maxLive;
    this.#lastPid = lastPid;
  }

  /** How many procedures have a process, or are about to. */
  get live(): number {
    return this.#procedures.size;
  }

  /** How many procedures run, or have been told to. */
  get running(): number {
    let count = 0;
    for (const { isCalled } of this.#procedures.values()) if (isCalled) count++;
    return count;
  }

  /** Whether any procedure is RUNNING. */
  hasRunning(): boolean {
    for (const { state } of this.#procedures.values()) {
      if (state === "RUNNING") return true;
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
    return this.#procedures.get(pid)?.state;
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
    if (!options.urgent && this.#procedures.size >= this.#maxLive) {
      throw new ProcedureError(
        "too-many-procedures",
        `Cannot prepare a procedure: ${this.#procedures.size} of ` +
          `${this.#maxLive} are alive`,
      );
    }
    const pid = ++this.#lastPid;
    const procedure = new LiveProcedure(pid, this.#settings);
    options.onNumber?.(pid);
    this.#procedures.set(pid, procedure);
    procedure.prepare(script, options);
    return pid;
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
    const { forceStart = false, urgent, signal } = options;
    this.#checkOpen();
    signal?.throwIfAborted();
    const procedure = this.#find(pid);
    procedure.checkRunnable(forceStart);
    if (!urgent && this.running >= this.#maxRunning) {
      const others = [...this.#procedures.values()].filter((one) =>
        one.isCalled
      );
      const running = others.find(({ state }) => state === "RUNNING");
      const why = running === undefined
        ? `#${others[0]?.pid} has been told to start`
        : `#${running.pid} is RUNNING`;
      throw new ProcedureError(
        "another-running",
        `Cannot start PID ${pid}: PID ${why}`,
      );
    }
    await procedure.run(fn, options);
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
    const state = await this.#find(pid).stop();
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
      [...this.#procedures.values()].map(async (procedure) => {
        const state = await this.stop(procedure.pid);
        // A process that nobody could end may never say so.
        if (state !== "UNKNOWN") await procedure.life;
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

  #find(pid: number): LiveProcedure {
    const procedure = this.#procedures.get(pid);
    if (procedure !== undefined) return procedure;
    throw new ProcedureError("procedure-not-found", `PID #${pid} not found`);
  }
}
