// Copyright 2026 the Longrun authors. MIT license.

/**
 * The processes of the scripts, and what they share with the service.
 *
 * @module
 */

import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import { checkOptions } from "./_arguments.ts";
import { configIn } from "./_deno_install.ts";
import type { EnvironmentManager } from "./environment_manager.ts";
import type { GitManager } from "./git_manager.ts";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ProcedureBus, WaitOptions } from "./procedure_service.ts";
import type { ExecutableScript, GitScript } from "./script.ts";
import type {
  CreateScriptOptions,
  ScriptEnd,
  ScriptPool,
} from "./script_pool.ts";
import {
  allowRepository,
  resolveFileScript,
  type ScriptGrants,
  type ScriptPolicy,
} from "./script_policy.ts";
import { ScriptWorker } from "./script_worker.ts";
import type {
  ScriptWorkerOptions,
  StopPolicy,
} from "./script_worker_options.ts";

/** Options of {@linkcode ScriptWorkerPool}. */
export interface ScriptWorkerPoolOptions {
  /** Where the events of the scripts and their output are published. */
  bus: ProcedureBus;
  /**
   * Which scripts may be executed, and what they may do.
   *
   * @default {none}
   */
  policy?: ScriptPolicy;
  /** Checks out scripts of repositories; without it they are refused. */
  git?: GitManager;
  /** Installs what they need; without it such scripts are refused. */
  environments?: EnvironmentManager;
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

/** Where a script is, and what comes with it. */
interface Place {
  url: string;
  root: string;
  grants: ScriptGrants;
  configPath?: string;
  flags?: readonly string[];
  env?: Readonly<Record<string, string>>;
  release(): void;
}

interface Seat {
  readonly pid: number;
  readonly abort: AbortController;
  worker: ScriptWorker | undefined;
  place: Place | undefined;
  /** Ends the events that its script has subscribed to. */
  silence: (() => void) | undefined;
  /** Resolves when it is known whether there is a worker. */
  created: Promise<unknown>;
}

/** What only the service publishes. */
const OWN = /^(procedure|activity|request|operator|script|sb)(\.|$)/;

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
 */
export class ScriptWorkerPool implements ScriptPool {
  readonly #bus: ProcedureBus;
  readonly #policy: ScriptPolicy;
  readonly #git: GitManager | undefined;
  readonly #environments: EnvironmentManager | undefined;
  readonly #options: ScriptWorkerPoolOptions;
  readonly #logger: Logger;
  readonly #seats: Map<number, Seat> = new Map();

  /**
   * Creates a pool without processes.
   *
   * @param options What may be executed, and how.
   * @throws {TypeError} If an option is of the wrong type.
   */
  constructor(options: ScriptWorkerPoolOptions) {
    checkOptions("create ScriptWorkerPool", options);
    this.#options = options;
    this.#bus = options.bus;
    this.#policy = options.policy ?? {};
    this.#git = options.git;
    this.#environments = options.environments;
    this.#logger = options.logger ?? defaultLogger;
  }

  /** The numbers of the procedures that have a process. */
  get pids(): readonly number[] {
    return [...this.#seats.keys()];
  }

  /**
   * Checks that the policy allows a script. That its file is there is another
   * question: one that is not fails when it is loaded.
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
    if (script.type === "git") {
      allowRepository(this.#policy, script.git.repo);
      if (this.#git === undefined) {
        throw new ProcedureError("script-refused", "There is no git here");
      }
      if (script.createEnv && this.#environments === undefined) {
        throw new ProcedureError(
          "script-refused",
          "There are no environments here",
        );
      }
      return;
    }
    try {
      await resolveFileScript(this.#policy, script);
    } catch (error) {
      if (codeOf(error) !== "script-not-found") throw error;
    }
  }

  /**
   * Starts a process, prepares its environment and loads the script in it.
   *
   * @param pid The number of the procedure.
   * @param script The script.
   * @param options What ends it, and who is told of the states.
   * @returns A promise of the names of the functions of the script.
   * @throws {ProcedureError} `"script-refused"`, `"script-not-found"`,
   * `"git-failed"`, `"environment-failed"`, `"startup-failed"`.
   * @throws {ScriptError} If the script cannot be loaded.
   */
  create(
    pid: number,
    script: ExecutableScript,
    options: CreateScriptOptions,
  ): Promise<readonly string[]> {
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
    if (script.type === "git" && script.createEnv) {
      onState("PREP_ENV");
      seat.place = await this.#placeInEnvironment(script, signal);
      onState("IDLE");
    }
    onState("LOADING");
    const place = seat.place ??= script.type === "git"
      ? await this.#placeInCheckout(script, signal)
      : await this.#placeOfFile(script);
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

  #workerOptions(
    seat: Seat,
    place: Place,
    signal: AbortSignal,
  ): ScriptWorkerOptions {
    const { pid } = seat;
    const { startupTimeout, stopPolicy } = this.#options;
    const source = String(pid);
    return {
      pid,
      roots: [place.root],
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
      onPublish: (topic, data) => {
        if (OWN.test(topic)) {
          this.#logger.warn(`PID #${pid} must not publish '${topic}'`, { pid });
          return;
        }
        try {
          this.#bus.publish(topic, data, { source });
        } catch (error) {
          this.#logger.warn(`PID #${pid} published nonsense`, { pid, error });
        }
      },
    };
  }

  #subscribe(seat: Seat, patterns: readonly string[]): void {
    seat.silence?.();
    seat.silence = undefined;
    if (patterns.length === 0) return;
    const source = String(seat.pid);
    const hearsOutput = patterns.some((one) => OUTPUTS.includes(one));
    try {
      seat.silence = this.#bus.onEvent(patterns, (event) => {
        if (event.source === source) return;
        if (event.topic === OUTPUT && !hearsOutput) return;
        seat.worker?.deliver(event);
      });
    } catch (error) {
      this.#logger.warn(`PID #${seat.pid} subscribed to nonsense`, {
        pid: seat.pid,
        error,
      });
    }
  }

  async #placeOfFile(script: ExecutableScript): Promise<Place> {
    if (script.type !== "filesystem") throw new TypeError("not a file");
    const { url, root, grants } = await resolveFileScript(this.#policy, script);
    const configPath = await configIn(root);
    return { url, root, grants, configPath, release: () => {} };
  }

  async #placeInCheckout(
    { git, uri }: GitScript,
    signal: AbortSignal,
  ): Promise<Place> {
    const grants = allowRepository(this.#policy, git.repo);
    const manager = this.#git;
    if (manager === undefined) throw new TypeError("no git");
    const checkout = await manager.checkout(git, { signal });
    try {
      const path = await manager.scriptPath(checkout, uri);
      return {
        url: fileUrl(path),
        root: checkout.directory,
        grants,
        release: () => checkout.release(),
      };
    } catch (error) {
      checkout.release();
      throw error;
    }
  }

  async #placeInEnvironment(
    { git, uri }: GitScript,
    signal: AbortSignal,
  ): Promise<Place> {
    const grants = allowRepository(this.#policy, git.repo);
    const environments = this.#environments;
    const manager = this.#git;
    if (environments === undefined || manager === undefined) {
      throw new TypeError("no environments");
    }
    const environment = await environments.get(git, { signal });
    try {
      const path = await manager.scriptPath(environment, uri);
      return {
        url: fileUrl(path),
        root: environment.directory,
        grants,
        flags: environment.flags,
        env: environment.env,
        release: () => environment.release(),
      };
    } catch (error) {
      environment.release();
      throw error;
    }
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
    return { reason: reason ?? "it ended by itself", stack: error?.stack };
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
    try {
      if (seat.worker === undefined) return "stopped";
      return await seat.worker.stop(force ? NO_TIME : undefined);
    } finally {
      seat.silence?.();
      seat.place?.release();
      this.#seats.delete(pid);
    }
  }

  /** Ends all processes. Resolves when they have ended. */
  async close(): Promise<void> {
    await Promise.all([...this.#seats.keys()].map((pid) => this.stop(pid)));
  }

  /** {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof ProcedureError ? error.code : undefined;
}

function fileUrl(path: string): string {
  const url = new URL("file:///");
  url.pathname = path.replaceAll("%", "%25");
  return url.href;
}
