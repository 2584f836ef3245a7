// Copyright 2026 the Longrun authors. MIT license.

/**
 * The processes of the scripts, and what they share with the service.
 *
 * @module
 */

import { abortable } from "@longrun/tasks/cancellation";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import {
  checkFunction,
  checkLogger,
  checkOptions,
  checkPositive,
  checkType,
} from "./_arguments.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { checkStopPolicy } from "./_script_options.ts";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ProcedureBus, WaitOptions } from "./procedure_service.ts";
import type { ExecutableScript, ScriptKinds } from "./script.ts";
import type {
  LoadedScript,
  LoadScriptOptions,
  ScriptLoader,
} from "./script_loader.ts";
import type {
  CreateScriptOptions,
  ScriptEnd,
  ScriptPool,
} from "./script_pool.ts";
import { ScriptWorker } from "./script_worker.ts";
import type {
  ScriptWorkerOptions,
  StopPolicy,
} from "./script_worker_options.ts";

/** The loaders of scripts, by the names of their types. */
export type ScriptLoaders = {
  readonly [Kind in keyof ScriptKinds]?: ScriptLoader<ScriptKinds[Kind]>;
};

/** Options of {@linkcode ScriptWorkerPool}. */
export interface ScriptWorkerPoolOptions {
  /** Where the events of the scripts and their output are published. */
  bus: ProcedureBus;
  /**
   * Who brings scripts here. A kind without a loader is refused.
   *
   * @default {{}}
   */
  loaders?: ScriptLoaders;
  /** How long each step of a stop may take. */
  stopPolicy?: StopPolicy;
  /**
   * How long a process may take to start, in milliseconds.
   *
   * @default {10_000}
   */
  startupTimeout?: number;
  /**
   * Told of what the processes could not be given.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

interface Seat {
  readonly pid: number;
  readonly abort: AbortController;
  worker: ScriptWorker | undefined;
  place: LoadedScript | undefined;
  /** Ends the events that its script has subscribed to. */
  silence: (() => void) | undefined;
  /** Resolves when it is known whether there is a worker. */
  created: Promise<unknown>;
}

/**
 * What a script hears of only if it asks for it: two that write a line for each
 * event would never come to an end.
 */
const OUTPUT = "script.output";
const OUTPUTS: readonly string[] = [OUTPUT, "script.*"];

const NO_TIME: StopPolicy = Object.freeze({ abort: 0 });

/**
 * The processes of the scripts: creates them where the policy says so, hands on
 * what they publish and what they subscribe to, and ends them.
 * `ScriptWorkerPool` of `ska_oso_oet`.
 *
 * @example Usage
 * ```ts
 * import {
 *   fileSystemScript,
 *   FileSystemScriptLoader,
 *   type ProcedureBus,
 *   ProcedureError,
 *   ScriptWorkerPool,
 * } from "@longrun/procedure";
 * import { EventBus } from "@longrun/tasks/event-bus";
 * import { assertRejects } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * const bus: ProcedureBus = new EventBus();
 * const filesystem = new FileSystemScriptLoader({ roots: [{ path: folder }] });
 * await using pool = new ScriptWorkerPool({ bus, loaders: { filesystem } });
 *
 * await pool.check(fileSystemScript(`file://${folder}/observe.ts`));
 * await assertRejects(
 *   () => pool.check(fileSystemScript("file:///home/observe.ts")),
 *   ProcedureError,
 * );
 * await Deno.remove(folder);
 * ```
 */
export class ScriptWorkerPool implements ScriptPool {
  readonly #bus: ProcedureBus;
  readonly #loaders: ScriptLoaders;
  readonly #options: ScriptWorkerPoolOptions;
  readonly #logger: Logger;
  readonly #seats: Map<number, Seat> = new Map();
  #isClosed = false;

  /**
   * Creates a pool without processes.
   *
   * @param options What may be executed, and how.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `startupTimeout` is not positive.
   */
  constructor(options: ScriptWorkerPoolOptions) {
    const doing = "create ScriptWorkerPool";
    checkOptions(doing, options);
    const { bus, loaders = {}, logger = defaultLogger } = options;
    checkFunction(doing, "bus.publish", bus?.publish);
    const areLoaders = typeof loaders === "object" && loaders !== null;
    checkType(areLoaders, doing, "loaders", "an object", loaders);
    checkStopPolicy(options.stopPolicy);
    if (options.startupTimeout !== undefined) {
      checkPositive(doing, "startupTimeout", options.startupTimeout);
    }
    checkLogger(doing, logger);
    this.#options = options;
    this.#bus = bus;
    this.#loaders = loaders;
    this.#logger = harmlessLogger(logger);
  }

  /** The numbers of the procedures that have a process. */
  get pids(): readonly number[] {
    return [...this.#seats.keys()];
  }

  /**
   * Checks that a script may be executed, as its loader says.
   *
   * @param script The script.
   * @param options What ends the wait.
   * @throws {ProcedureError} `"script-refused"`.
   */
  async check(
    script: ExecutableScript,
    options: WaitOptions = {},
  ): Promise<void> {
    options.signal?.throwIfAborted();
    const checking = this.#loaderOf(script).check(script, options);
    await abortable(Promise.resolve(checking), options.signal);
  }

  #loaderOf(script: ExecutableScript): ScriptLoader<ExecutableScript> {
    const { type } = script;
    const loader = Object.hasOwn(this.#loaders, type)
      ? this.#loaders[type]
      : undefined;
    if (loader === undefined) {
      throw new ProcedureError(
        "script-refused",
        `There is no loader for scripts of the kind '${type}'`,
      );
    }
    // The one for this kind, which the compiler cannot see.
    return loader as ScriptLoader<ExecutableScript>;
  }

  /**
   * Starts a process, prepares its environment and loads the script in it.
   *
   * @param pid The number of the procedure.
   * @param script The script.
   * @param options What ends it, and who is told of the states.
   * @returns A promise of the names of the functions of the script.
   * @throws {ProcedureError} `"script-refused"`, `"script-not-found"`,
   * `"git-failed"`, `"environment-failed"`, `"startup-failed"`; `"closed"`, or
   * `"invalid-state"` if the procedure has a process.
   * @throws {ScriptError} If the script cannot be loaded.
   */
  create(
    pid: number,
    script: ExecutableScript,
    options: CreateScriptOptions,
  ): Promise<readonly string[]> {
    if (this.#isClosed || this.#seats.has(pid)) {
      return Promise.reject(
        this.#isClosed
          ? new ProcedureError("closed", "The processes are closed")
          : new ProcedureError("invalid-state", `PID #${pid} has a process`),
      );
    }
    const seat: Seat = {
      pid,
      abort: new AbortController(),
      worker: undefined,
      place: undefined,
      silence: undefined,
      created: Promise.resolve(),
    };
    this.#seats.set(pid, seat);
    const signal = AbortSignal.any([seat.abort.signal, options.signal]);
    const { promise, resolve } = Promise.withResolvers<void>();
    seat.created = promise;
    return this.#create(seat, script, { ...options, signal }, resolve)
      .finally(resolve);
  }

  async #create(
    seat: Seat,
    script: ExecutableScript,
    { signal, onState, onProcess }: CreateScriptOptions,
    onCreated: () => void,
  ): Promise<readonly string[]> {
    onState("IDLE");
    const place = seat.place = await this.#load(script, { signal, onState });
    signal.throwIfAborted();
    seat.worker = await ScriptWorker.spawn(
      this.#workerOptions(seat, place, signal),
    );
    onProcess?.(seat.worker.osPid);
    onCreated();
    signal.throwIfAborted();
    const functions = await seat.worker.load(place.url);
    onState("IDLE");
    return functions;
  }

  /** A loader that does not heed the signal keeps nobody from a stop. */
  async #load(
    script: ExecutableScript,
    options: LoadScriptOptions,
  ): Promise<LoadedScript> {
    const loading = this.#loaderOf(script).load(script, options);
    try {
      return await abortable(loading, options.signal);
    } catch (error) {
      void loading.then((place) => this.#release(place), () => {});
      throw error;
    }
  }

  #release(place: LoadedScript | undefined): void {
    try {
      place?.release?.();
    } catch (error) {
      this.#logger.warn("A script could not be let go of", { error });
    }
  }

  #workerOptions(
    seat: Seat,
    place: LoadedScript,
    signal: AbortSignal,
  ): ScriptWorkerOptions {
    const { pid } = seat;
    const { startupTimeout, stopPolicy } = this.#options;
    const source = String(pid);
    return {
      pid,
      roots: place.roots,
      grants: place.grants,
      configPath: place.configPath,
      flags: place.flags,
      env: place.env,
      startupTimeout,
      stopPolicy,
      logger: this.#logger,
      signal,
      onSubscribe: (patterns) => this.#subscribe(seat, patterns),
      onOutput: (output) =>
        this.#bus.publish(OUTPUT, { pid, ...output }, { source }),
      onPublish: (topic, data) =>
        void this.#bus.publish(topic, data, { source }),
    };
  }

  #subscribe(seat: Seat, patterns: readonly string[]): void {
    seat.silence?.();
    seat.silence = undefined;
    if (patterns.length === 0) return;
    const source = String(seat.pid);
    const hearsOutput = patterns.some((one) => OUTPUTS.includes(one));
    seat.silence = this.#bus.onEvent(patterns, (event) => {
      if (event.source === source) return;
      if (event.topic === OUTPUT && !hearsOutput) return;
      seat.worker?.deliver(event);
    });
  }

  /**
   * Calls a function of a script and waits until it has ended.
   *
   * @param pid The number of the procedure.
   * @param fn The name of the function.
   * @param input What it is called with.
   * @param context What the operator has set.
   * @throws {ScriptError} If the function fails.
   * @throws {ProcedureError} `"procedure-not-found"`, `"function-not-found"`.
   */
  async run(
    pid: number,
    fn: string,
    input: ProcedureInput,
    context: ScriptContext,
  ): Promise<void> {
    const worker = this.#seats.get(pid)?.worker;
    if (worker === undefined) {
      throw new ProcedureError(
        "procedure-not-found",
        `PID #${pid} has no process`,
      );
    }
    await worker.run(fn, input, context);
  }

  /**
   * Resolves when the process of a procedure has ended, however it did.
   *
   * @param pid The number of the procedure.
   * @returns A promise of why it ended.
   */
  async ended(pid: number): Promise<ScriptEnd> {
    const worker = this.#seats.get(pid)?.worker;
    if (worker === undefined) return { reason: "there is no process" };
    const { reason, error } = await worker.exited;
    return {
      reason: reason ?? "it ended by itself",
      stack: error?.remoteStack,
    };
  }

  /**
   * Ends the process of a procedure, whatever it is at, and forgets it.
   *
   * @param pid The number of the procedure.
   * @param force Leaves the script no time to end by itself.
   * @returns A promise of whether the process has ended.
   */
  async stop(pid: number, force = false): Promise<"stopped" | "unknown"> {
    const seat = this.#seats.get(pid);
    if (seat === undefined) return "stopped";
    seat.abort.abort(new DOMException("Stopped", "AbortError"));
    await seat.created;
    const { worker } = seat;
    try {
      if (worker === undefined) return "stopped";
      return await worker.stop(force ? NO_TIME : undefined);
    } finally {
      seat.silence?.();
      this.#leave(seat);
      if (this.#seats.get(pid) === seat) this.#seats.delete(pid);
    }
  }

  /** Lets go of a script, once, when its process has ended. */
  #leave(seat: Seat): void {
    const { place, worker } = seat;
    seat.place = undefined;
    if (worker === undefined) this.#release(place);
    else void worker.exited.then(() => this.#release(place));
  }

  /** Ends all processes. Resolves when they have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#seats.keys()].map((pid) => this.stop(pid)));
  }

  /** {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
