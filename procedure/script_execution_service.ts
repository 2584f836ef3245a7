// Copyright 2026 the Longrun authors. MIT license.

/**
 * Prepares, starts, stops and remembers procedures.
 *
 * @module
 */

import { abortable, timeout } from "@longrun/tasks/cancellation";
import { EventBus } from "@longrun/tasks/event-bus";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import { AbortScript } from "./_abort_script.ts";
import {
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkLogger,
  checkOptions,
  checkPositive,
  checkScript,
  checkType,
} from "./_arguments.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { announceProcedure } from "./_procedure_announcements.ts";
import {
  checkPrepare,
  checkStart,
  checkStates,
  checkStop,
  copyInput,
} from "./_procedure_commands.ts";
import { ProcedureRecords } from "./_procedure_records.ts";
import { scriptContext } from "./_script_context.ts";
import { StateWaits } from "./_state_waits.ts";
import { subarrayOf } from "./_subarray_args.ts";
import {
  type PrepareProcessCommand,
  type ProcedureInput,
  procedureInput,
  type ProcedureSummary,
  type ScriptContext,
  type StartProcessCommand,
  type StopProcessCommand,
} from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type {
  OutputOptions,
  ProcedureBus,
  ProcedureService,
  StoredOutput,
  WaitForStateOptions,
  WaitOptions,
} from "./procedure_service.ts";
import { isFinal, type ProcedureState } from "./procedure_state.ts";
import { InMemoryProcedureStore } from "./procedure_store.ts";
import type { ScriptExecutionServiceOptions } from "./script_execution_options.ts";
import { ProcessManager } from "./process_manager.ts";
import type { ExecutableScript } from "./script.ts";
import type { ScriptOutput } from "./procedure_topics.ts";
import type { ScriptPool } from "./script_pool.ts";

export type { ScriptExecutionServiceOptions } from "./script_execution_options.ts";

/**
 * Prepares, starts and stops procedures, one process each, and remembers what
 * became of them. `ScriptExecutionService` of `ska_oso_oet`.
 *
 * **When to use.** `serve()` puts it behind a REST interface and a command line.
 * Use the service itself to execute scripts in a program of your own.
 *
 * **Gotchas.** `prepare()` resolves as soon as there is a procedure, as the
 * original's does: wait for READY with `waitForState()`, or start with
 * `forceStart`. A stop with an abort computes the arguments of the abort script
 * before anything is stopped, and is refused when it cannot; once the procedure
 * has been stopped it stays so, whatever becomes of the abort script.
 *
 * ```text
 * prepare   CREATING IDLE LOADING IDLE INITIALISING READY
 * start                                             RUNNING READY COMPLETE
 * stop      ──────────────── from any of these ──────────── STOPPED
 * ```
 *
 * @example Usage
 * ```ts
 * import {
 *   fileSystemScript,
 *   FileSystemScriptLoader,
 *   type ProcedureBus,
 *   ScriptExecutionService,
 *   ScriptWorkerPool,
 * } from "@longrun/procedure";
 * import { EventBus } from "@longrun/tasks/event-bus";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = await Deno.realPath(await Deno.makeTempDir());
 * const text = "export function main() { console.log('exposed'); }";
 * await Deno.writeTextFile(`${folder}/expose.ts`, text);
 *
 * const bus: ProcedureBus = new EventBus();
 * const filesystem = new FileSystemScriptLoader({ roots: [{ path: folder }] });
 * const pool = new ScriptWorkerPool({ bus, loaders: { filesystem } });
 * await using procedures = new ScriptExecutionService({ bus, pool });
 *
 * const script = fileSystemScript(`file://${folder}/expose.ts`);
 * const { id: pid } = await procedures.prepare({ script });
 * await procedures.start({ pid, forceStart: true });
 * await procedures.waitForState(pid, "COMPLETE");
 * assertEquals(procedures.output(pid).map(({ text }) => text), ["exposed"]);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class ScriptExecutionService
  implements ProcedureService, AsyncDisposable {
  /** Where the events of the procedures are published. */
  readonly bus: ProcedureBus;
  readonly #pool: ScriptPool;
  readonly #manager: ProcessManager;
  readonly #records: ProcedureRecords;
  readonly #waits: StateWaits;
  readonly #abort: AbortScript;
  readonly #abortTimeout: number;
  readonly #silence: () => void;
  /** What is being told, and what comes after it. */
  #news: (() => void)[] = [];
  /** The stops that run the abort script, by procedure. */
  readonly #aborts: Map<number, Promise<readonly ProcedureSummary[]>> =
    new Map();
  #closing: Promise<void> | undefined = undefined;
  readonly #logger: Logger;
  readonly #now: () => number;
  #context: ScriptContext;

  /**
   * Creates a service. It remembers the procedures of its store.
   *
   * @param options The pool, and what is remembered where.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If a limit is not a positive integer, or
   * `abortTimeout` not positive.
   */
  constructor(options: ScriptExecutionServiceOptions) {
    const doing = "create ScriptExecutionService";
    checkOptions(doing, options);
    const {
      historyLimit = 10,
      abortScript,
      abortArgs = subarrayOf,
      abortTimeout = 30_000,
      now = Date.now,
      logger = defaultLogger,
    } = options;
    checkCommon(doing, options);
    checkFunction(doing, "pool.create", options.pool?.create);
    checkLogger(doing, logger);
    checkFiniteCount(doing, "historyLimit", historyLimit, 1);
    if (abortScript !== undefined) {
      checkScript(doing, "abortScript", abortScript);
    }
    checkFunction(doing, "abortArgs", abortArgs);
    checkPositive(doing, "abortTimeout", abortTimeout);
    checkFunction(doing, "now", now);
    this.bus = options.bus ?? new EventBus({ name: "procedures", logger });
    this.#pool = options.pool;
    this.#abort = new AbortScript({
      script: abortScript,
      argsOf: abortArgs,
      check: (script) =>
        timeout(
          (signal) => this.#pool.check(script, { signal }),
          abortTimeout,
          { clock: options.clock },
        ),
      call: (script, initArgs) => this.#callAbort(script, initArgs),
    });
    this.#abortTimeout = abortTimeout;
    this.#logger = harmlessLogger(logger);
    this.#now = now;
    this.#context = scriptContext(options.context ?? {});
    const store = options.store ?? new InMemoryProcedureStore();
    this.#records = new ProcedureRecords(
      store,
      historyLimit,
      this.#logger,
    );
    this.#waits = new StateWaits(options.clock);
    this.#silence = this.bus.onEvent(
      "script.output",
      ({ data }) => this.#records.write(data as ScriptOutput, this.#now()),
    );
    this.#manager = new ProcessManager({
      pool: options.pool,
      onState: (pid, state, stack) => this.#note(pid, state, stack),
      onProcess: (pid, osPid) => this.#records.process(pid, osPid),
      maxRunning: options.maxRunning,
      maxLive: options.maxLive,
      lastPid: store.lastProcedureId,
      logger,
    });
  }

  /** What holds for the scripts that are called from now on. */
  get context(): ScriptContext {
    return this.#context;
  }

  /** How many procedures have a process. */
  get live(): number {
    return this.#manager.live;
  }

  /** How many procedures run, or have been told to. */
  get running(): number {
    return this.#manager.running;
  }

  /**
   * Changes what holds for the scripts that are called from now on.
   *
   * @param changes What is different: plain data.
   * @throws {TypeError} If it is no object, or `waitForQaReady` no boolean.
   * @throws {RangeError} If all of it has more than 65,536 characters.
   * @throws {DOMException} If a value cannot be cloned.
   */
  setContext(changes: Readonly<Record<string, unknown>>): void {
    checkType(
      typeof changes === "object" && changes !== null,
      "set the context of scripts",
      "changes",
      "an object",
      changes,
    );
    this.#context = scriptContext({ ...this.#context, ...changes });
  }

  /**
   * Prepares a procedure: starts a process, loads the script in it and calls
   * its `init`.
   *
   * @param command The script, and what its `init` is called with.
   * @param options What ends the wait.
   * @returns A promise of the summary, as soon as there is a procedure.
   * @throws {TypeError} If the command is none.
   * @throws {DOMException} If an argument cannot be cloned.
   * @throws {ProcedureError} `"script-refused"`, `"too-many-procedures"`,
   * `"closed"`.
   */
  async prepare(
    command: PrepareProcessCommand,
    options: WaitOptions = {},
  ): Promise<ProcedureSummary> {
    checkPrepare(command, options);
    const { script } = command;
    const initArgs = copyInput(command.initArgs);
    await this.#pool.check(script, options);
    options.signal?.throwIfAborted();
    return this.#create(script, initArgs, false);
  }

  #create(
    script: ExecutableScript,
    initArgs: ProcedureInput,
    urgent: boolean,
  ): ProcedureSummary {
    const call = { fn: "init", input: initArgs, time: this.#now() };
    const pid = this.#manager.create(script, {
      initArgs,
      context: this.#context,
      urgent,
      onNumber: (number) => {
        if (!urgent) this.#makeRoom();
        this.#records.add(number, script, call);
      },
    });
    return this.#records.get(pid);
  }

  /**
   * Calls a function of a procedure.
   *
   * @param command The procedure, the function, and what it is called with.
   * @param options What ends the wait.
   * @returns A promise of the summary when the call has begun.
   * @throws {TypeError} If the command is none.
   * @throws {DOMException} If an argument cannot be cloned.
   * @throws {ProcedureError} `"procedure-not-found"`, `"invalid-state"`,
   * `"another-running"`, `"function-not-found"`, `"closed"`.
   */
  async start(
    command: StartProcessCommand,
    options: WaitOptions = {},
  ): Promise<ProcedureSummary> {
    checkStart(command, options);
    const { pid, fn = "main", forceStart } = command;
    const args = copyInput(command.args);
    return await this.#start(pid, fn, args, { ...options, forceStart });
  }

  async #start(
    pid: number,
    fn: string,
    args: ProcedureInput,
    options: WaitOptions & { forceStart?: boolean; urgent?: boolean },
  ): Promise<ProcedureSummary> {
    this.#refuseEnded(pid, "start");
    await this.#manager.run(pid, fn, {
      args,
      context: () => this.#context,
      onCall: () =>
        this.#records.call(pid, { fn, input: args, time: this.#now() }),
      ...options,
    });
    return this.#records.get(pid);
  }

  /**
   * Stops a procedure, and perhaps runs the abort script then.
   *
   * @param command The procedure, and whether the abort script runs.
   * @param options What ends the wait; not the stop, nor the abort script.
   * @returns A promise of the summaries of the procedures that the stop began:
   * that of the abort script, or none.
   * @throws {ProcedureError} `"procedure-not-found"`, `"invalid-state"`;
   * `"abort-refused"` if the abort script cannot be called, and nothing was
   * stopped; `"abort-failed"` if the procedure was stopped and the abort script
   * failed.
   */
  async stop(
    command: StopProcessCommand,
    options: WaitOptions = {},
  ): Promise<readonly ProcedureSummary[]> {
    checkStop(command, options);
    const { pid, runAbort = false } = command;
    const work = runAbort ? this.#stopOnce(pid) : this.#stop(pid, false);
    try {
      return await abortable(work, options.signal);
    } catch (error) {
      if (options.signal?.aborted) this.#reportLater(pid, work);
      throw error;
    }
  }

  /** Whoever asks for the same abort meanwhile gets the same one. */
  #stopOnce(pid: number): Promise<readonly ProcedureSummary[]> {
    const aborting = this.#aborts.get(pid);
    if (aborting !== undefined) return aborting;
    const work = this.#stop(pid, true).finally(() => this.#aborts.delete(pid));
    this.#aborts.set(pid, work);
    return work;
  }

  /** Once it has begun it goes on, whoever waits for it. */
  async #stop(
    pid: number,
    runAbort: boolean,
  ): Promise<readonly ProcedureSummary[]> {
    this.#refuseEnded(pid, "stop");
    const abort = runAbort
      ? await this.#abort.plan(this.#records.get(pid))
      : undefined;
    this.#refuseEnded(pid, "stop");
    await this.#manager.stop(pid);
    return abort === undefined ? [] : [await abort()];
  }

  async #callAbort(
    script: ExecutableScript,
    initArgs: ProcedureInput,
  ): Promise<ProcedureSummary> {
    const { id } = this.#create(script, initArgs, true);
    try {
      await this.#waits.wait(id, ["READY"], this.#records, {
        timeout: this.#abortTimeout,
      });
    } catch (error) {
      // Nobody would call it any more, and it would keep its process.
      if (!isFinal(this.#records.get(id).state)) {
        this.#reportLater(id, this.#manager.stop(id));
      }
      throw error;
    }
    return await this.#start(id, "main", procedureInput(), { urgent: true });
  }

  #reportLater(pid: number, work: Promise<unknown>): void {
    work.catch((error) =>
      this.#logger.error(
        `The stop of PID #${pid} has failed, and nobody waits for it: ${error}`,
        { pid, error },
      )
    );
  }

  /**
   * Describes procedures.
   *
   * @param pids Their numbers; without, all.
   * @returns Their summaries, in this order.
   * @throws {ProcedureError} `"procedure-not-found"`.
   */
  summarise(pids?: readonly number[]): readonly ProcedureSummary[] {
    if (pids === undefined) return this.#records.all();
    const missing = pids.filter((pid) => !this.#records.has(pid));
    if (missing.length > 0) {
      throw new ProcedureError(
        "procedure-not-found",
        `Process IDs not found: ${missing.join(", ")}`,
      );
    }
    return pids.map((pid) => this.#records.get(pid));
  }

  /**
   * Waits until a procedure is, or has been since the call, in one of these
   * states.
   *
   * @param pid Its number.
   * @param states The state, or the states.
   * @param options What ends the wait.
   * @returns A promise of its summary when it was.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {ProcedureError} `"procedure-not-found"`; `"invalid-state"` when it
   * ends in another state.
   * @throws {DOMException & { name: "TimeoutError" }} If the time is over first.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async waitForState(
    pid: number,
    states: ProcedureState | readonly ProcedureState[],
    options: WaitForStateOptions = {},
  ): Promise<ProcedureSummary> {
    const wanted = checkStates(states, options);
    return await this.#waits.wait(pid, wanted, this.#records, options);
  }

  /**
   * What the script of a procedure wrote.
   *
   * @param pid Its number.
   * @param options Which lines.
   * @returns The lines, in order.
   * @throws {ProcedureError} `"procedure-not-found"`.
   */
  output(pid: number, options?: OutputOptions): readonly StoredOutput[] {
    this.#records.get(pid);
    return this.#records.output(pid, options);
  }

  /**
   * Ends the service: stops all procedures. Resolves when they have ended.
   * What is prepared or started from now on is refused.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#manager.close().finally(this.#silence);
  }

  /** {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #refuseEnded(pid: number, what: "start" | "stop"): void {
    const { state } = this.#records.get(pid);
    if (!isFinal(state)) return;
    throw new ProcedureError(
      "invalid-state",
      what === "start"
        ? `PID #${pid} unrunnable in state ${state}`
        : `Cannot stop PID ${pid} with state ${state}`,
    );
  }

  #note(pid: number, state: ProcedureState, stack: string | undefined): void {
    // It may have been UNKNOWN for so long that it is forgotten.
    if (!this.#records.has(pid)) return;
    const summary = this.#records.move(pid, state, this.#now(), stack);
    // A listener may have started it: all that is told is told in order.
    const news = this.#news.push(() => this.#tell(summary, stack));
    if (news > 1) return;
    try {
      for (const tell of this.#news) tell();
    } finally {
      this.#news = [];
    }
  }

  #tell(summary: ProcedureSummary, stack: string | undefined): void {
    const { id: pid, state } = summary;
    announceProcedure(this.bus, summary, stack);
    this.#waits.tell(summary);
    if (isFinal(state)) {
      this.#logger.info(`PID #${pid} is ${state}`, { pid });
    }
  }

  #makeRoom(): void {
    for (const pid of this.#records.makeRoom()) {
      this.bus.publish("procedure.lifecycle.removed", { pid });
    }
  }
}
