// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * What starts, stops and watches a task. A `TaskContext` makes a runner for
 * each task and gives it out as a handle.
 *
 * ```text
 *          start()              run() returns, or throws TaskStopError
 *  stopped -------> starting -> running ------------------------------> stopped
 *     |                 |          |                                       ^
 *     | stop()          +----+-----+                                       |
 *     v                      | stop()                                      |
 *  stopped, for ever         v              run() ends                     |
 *                         stopping ----------------------------------------+
 *
 *  starting, running, stopping -- run() throws anything else --> errored
 * ```
 *
 * A task is used once: whatever its end, it cannot be started again.
 *
 * @module
 */

import { checkOptions, checkSignal } from "./_arguments.ts";
import { Failure } from "./_failure.ts";
import { Latch } from "./_latch.ts";
import { reportTask } from "./_report.ts";
import { checkStopOptions, Run } from "./_run.ts";
import { StateLog } from "./_state_log.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { LoopStatistics } from "./loop.ts";
import {
  type JoinOptions,
  RunState,
  type StateChange,
  type StatesOptions,
  type StopOptions,
  type StopOutcome,
} from "./run_state.ts";
import type { AnyTask, SettingsOf, StatusOf, TopicsOf } from "./task.ts";
import { type ReadableTopic, Topic } from "./topic.ts";

/** The constructor of a task has thrown: the error is the `cause`. */
export class TaskInitError extends Error {
  /** The name of the error. */
  override readonly name: string = "TaskInitError";
}

/** The `run()` of a task has thrown: the error is the `cause`. */
export class TaskRunError extends Error {
  /** The name of the error. */
  override readonly name: string = "TaskRunError";
}

/**
 * How a task has ended: by itself, by a stop, by the policy of its loop, by an
 * error, or not at all although it was stopped.
 */
export type TaskOutcome =
  | "completed"
  | "stopped"
  | "terminated"
  | "failed"
  | "abandoned";

/** A task as its runner sees it, in this thread or in another. */
export interface TaskBody<T extends AnyTask> {
  /** The name of its class. */
  readonly className: string;
  /** The settings in effect. */
  readonly settings: SettingsOf<T>;
  /** The settings that wait for the task. */
  readonly pending: { readonly settings: SettingsOf<T> } | undefined;
  /** What the task is at. */
  readonly status: StatusOf<T>;
  /** Its topics by name. */
  readonly topics: TopicsOf<T>;
  /** How its rounds have gone. */
  readonly statistics: LoopStatistics;
  /** Whether the policy of its loop has ended it. */
  readonly terminated: boolean;
  /** Whether it has ended because its thread was ended. */
  readonly isKilled: boolean;
  /** Is told when the task itself asks for a stop, also of a request before. */
  onStopRequest(callback: (reason: unknown) => void): void;
  /** Sends settings; those that wait are replaced. */
  send(settings: SettingsOf<T>): void;
  /** Runs the task. A stop is a normal end. */
  run(): Promise<void>;
  /** Tells the task to stop. */
  abort(reason: unknown): void;
  /** Ends what the task has needed. */
  close(): void;
}

/** What a `TaskContext` gives to a {@linkcode TaskRunner}. */
export interface TaskRunnerInit<T extends AnyTask> {
  /** The name of the task. */
  readonly name: string;
  /** The task. */
  readonly body: TaskBody<T>;
  /** Measures the time. */
  readonly clock: Clock;
  /** Told of errors that nobody looked at, and of abandoned work. */
  readonly logger: Logger;
  /** Each of them stops the task. */
  readonly signals: readonly (AbortSignal | undefined)[];
  /** How long a stop waits for the task to end, in milliseconds. */
  readonly grace: number | undefined;
}

/**
 * Starts, stops and watches one task.
 *
 * **When to use.** A `TaskContext` makes runners, and handles of them; there is
 * no need to call the constructor. A subclass adds methods to the handle: it
 * is given to `makeTask()` as the option `runner`.
 *
 * **Gotchas.** While a handle holds the lock, the methods of all other handles
 * fail, those of subclasses included; getters and `join()` and `states()` do
 * not. So write what only looks as a getter.
 *
 * The system of `QMI_TaskRunner`, with these differences: a `join()` keeps
 * nobody from anything else; it rejects for a task that was never started,
 * instead of waiting for ever; `stop()` can be awaited; and a failure that
 * nobody joins is logged once, and published as {@linkcode TaskRunner.failed}.
 *
 * @typeParam T The type of the task.
 *
 * @example A runner with a method of its own
 * ```ts
 * import { LoopTask } from "@longrun/tasks/loop-task";
 * import { TaskContext } from "@longrun/tasks/task-context";
 * import { TaskRunner } from "@longrun/tasks/task-runner";
 * import { assertEquals } from "@std/assert";
 *
 * class Focuser extends LoopTask<{ position: number; speed: number }> {
 *   override settings = { position: 0, speed: 1 };
 * }
 *
 * class FocuserRunner extends TaskRunner<Focuser> {
 *   moveTo(position: number): void {
 *     const settings = this.pendingSettings ?? this.settings;
 *     this.setSettings({ ...settings, position });
 *   }
 * }
 *
 * await using context = new TaskContext();
 * const focuser = await context.makeTask("focuser", Focuser, [], {
 *   runner: FocuserRunner,
 * });
 * focuser.moveTo(1200);
 * assertEquals(focuser.pendingSettings, { position: 1200, speed: 1 });
 * ```
 */
export class TaskRunner<T extends AnyTask> implements AsyncDisposable {
  readonly #init: TaskRunnerInit<T>;
  readonly #body: TaskBody<T>;
  readonly #states: StateLog;
  /** Opens when the task has ended, or when nobody waits for that any more. */
  readonly #over: Latch = new Latch();
  readonly #failure: Failure = new Failure();
  readonly #failed: Topic<TaskRunError>;
  #run: Run | undefined = undefined;
  #error: TaskRunError | undefined = undefined;
  #outcome: TaskOutcome | undefined = undefined;
  #wasStopped = false;
  #wasLookedAt = false;

  /**
   * Creates a runner. A `TaskContext` calls this.
   *
   * @param init The task and what it runs with.
   */
  constructor(init: TaskRunnerInit<T>) {
    this.#init = init;
    const { logger } = init;
    this.#failed = new Topic({ name: "failed", logger });
    this.#body = init.body;
    this.#states = new StateLog(init.clock);
    this.#body.onStopRequest((reason) => {
      this.#stop({ reason }).catch((error) =>
        this.#log("error", "could not stop itself", { error })
      );
    });
  }

  /** Publishes the error of the task if it fails. */
  get failed(): ReadableTopic<TaskRunError> {
    return this.#failed;
  }

  /** The name of the task. */
  get name(): string {
    return this.#init.name;
  }

  /** The name of the task's class. */
  get className(): string {
    return this.#body.className;
  }

  /** What kind of thing this is; a subclass may say something else. */
  get category(): string {
    return "task";
  }

  /** The current state. */
  get state(): RunState {
    return this.#states.state;
  }

  /**
   * Whether the task has been started and has not ended yet. It is still
   * running while it stops.
   */
  get running(): boolean {
    return this.#run !== undefined && !this.#run.hasEnded;
  }

  /** Whether the task has ended, or was stopped before it was started. */
  get ended(): boolean {
    return this.#run === undefined ? this.#over.isOpen : this.#run.hasEnded;
  }

  /** Whether a stop has given up waiting for the task. */
  get abandoned(): boolean {
    return this.#run?.isAbandoned ?? false;
  }

  /** How the task has ended, `undefined` as long as it has not. */
  get outcome(): TaskOutcome | undefined {
    return this.#outcome;
  }

  /** The error that the task has failed with, `undefined` if it has not. */
  get exception(): TaskRunError | undefined {
    this.#look();
    return this.#error;
  }

  /**
   * Whether the task has failed and nobody has looked at the error yet, by
   * {@linkcode TaskRunner.join} or {@linkcode TaskRunner.exception}.
   */
  get unhandled(): boolean {
    return this.#error !== undefined && !this.#wasLookedAt;
  }

  /** The settings in effect. */
  get settings(): SettingsOf<T> {
    return this.#body.settings;
  }

  /** The settings that were sent and not taken over yet, if there are any. */
  get pendingSettings(): SettingsOf<T> | undefined {
    return this.#body.pending?.settings;
  }

  /** What the task is at. */
  get status(): StatusOf<T> {
    return this.#body.status;
  }

  /** The topics that the task has as public fields. They end with the task. */
  get topics(): TopicsOf<T> {
    return this.#body.topics;
  }

  /** How the rounds of a loop have gone so far. */
  get statistics(): LoopStatistics {
    const { rounds, missed, overruns, worstLateness } = this.#body.statistics;
    return { rounds, missed, overruns, worstLateness };
  }

  /**
   * Starts the task. Its `run()` begins soon after, not within this call.
   *
   * @throws {Error} If the task was started or stopped before.
   */
  start(): void {
    const { name, signals, grace, clock } = this.#init;
    if (this.#run !== undefined || this.ended) {
      throw new Error(
        `Cannot start task '${name}' as it was ${
          this.#run === undefined ? "stopped" : "started"
        } before: make a new one`,
      );
    }
    this.#states.enter(RunState.Starting);
    this.#run = new Run(() => this.#body.run(), signals, grace, clock, {
      onStart: () => this.#states.enter(RunState.Running),
      onStopping: (reason) => {
        this.#wasStopped = true;
        this.#states.enter(RunState.Stopping);
        this.#body.abort(reason);
      },
      onAbandon: () => this.#abandon(),
      onEnd: (failure) => this.#end(failure),
    });
  }

  /**
   * Stops the task: what it waits for ends at once, and `stopRequested` is
   * true from now on. A task that was not started ends without having run.
   *
   * Any number of calls at any moment all wait for the same end. There is no
   * need to wait.
   *
   * @param options Why, and how long to wait for the task to end.
   * @returns `"stopped"` when the task has ended, also by an error or before;
   * `"abandoned"` when it had not ended within the grace.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    checkStopOptions("stop", options);
    return await this.#stop(options);
  }

  /**
   * Waits until the task has ended, or until a stop has abandoned it.
   *
   * @param options What ends the wait early.
   * @returns A promise that resolves when the task has ended normally, which
   * includes that it was stopped.
   * @throws {TaskRunError} If the task has failed; again at each call.
   * @throws {Error} If the task was neither started nor stopped.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async join(options: JoinOptions = {}): Promise<void> {
    checkOptions("join", options);
    const { signal } = options;
    checkSignal("join", signal);
    if (this.#run === undefined && !this.ended) {
      throw new Error(
        `Cannot join task '${this.name}' as it was never started`,
      );
    }
    await this.#over.wait({ signal });
    if (this.#error !== undefined) {
      this.#look();
      throw this.#error;
    }
  }

  /**
   * Sends settings to the task, which takes them over when it wants to. Those
   * that it has not taken over yet are replaced: the newest win.
   *
   * @param settings The settings. They are not copied.
   */
  setSettings(settings: SettingsOf<T>): void {
    this.#body.send(settings);
  }

  /**
   * Follows the states of the task: the current one first, then every
   * transition, to the end of the task.
   *
   * @param options What ends the iteration early.
   * @returns The transitions with their times.
   * @throws {TypeError} If an option is of the wrong type.
   */
  states(options: StatesOptions = {}): AsyncIterableIterator<StateChange> {
    checkOptions("follow states", options);
    checkSignal("follow states", options.signal);
    return this.#states.subscribe(options.signal);
  }

  /** Stops the task and waits for it, at most for its grace. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Nobody waits a second time for what did not hear the first.
    if (!this.abandoned) await this.#stop({});
  }

  #stop(options: StopOptions): Promise<StopOutcome> {
    if (this.#run !== undefined) return this.#run.stop(options);
    try {
      this.#stopUnstarted(options.reason);
      return Promise.resolve("stopped");
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #stopUnstarted(reason: unknown): void {
    if (this.ended) return;
    this.#outcome = "stopped";
    // Before anybody hears of the stop, so that none of them can start it.
    this.#over.open();
    this.#body.abort(reason);
    this.#states.end();
    this.#close();
  }

  #look(): void {
    // Who looks before it has failed has seen nothing.
    if (this.#error === undefined) return;
    this.#failure.see();
    this.#wasLookedAt = true;
  }

  #abandon(): void {
    this.#outcome = "abandoned";
    this.#log("warn", "was abandoned: it did not end when stopped", {});
    this.#close();
  }

  #end(failure: { error: unknown } | undefined): void {
    if (failure !== undefined) {
      const { error } = failure;
      this.#error = new TaskRunError(`Task '${this.name}' failed`, {
        cause: error,
      });
    }
    this.#outcome = this.#outcomeOf(failure);
    this.#states.enter(
      failure === undefined ? RunState.Stopped : RunState.Errored,
    );
    this.#states.end();
    if (this.#over.waiting > 0) this.#failure.see();
    this.#failure.record(
      failure,
      (error) => this.#log("error", "failed", { error }),
    );
    if (this.#error !== undefined) this.#failed.publish(this.#error);
    this.#close();
  }

  #outcomeOf(failure: { error: unknown } | undefined): TaskOutcome {
    if (failure !== undefined) return "failed";
    if (this.#body.terminated) return "terminated";
    if (this.#body.isKilled) return "abandoned";
    return this.#wasStopped ? "stopped" : "completed";
  }

  #close(): void {
    this.#over.open();
    this.#body.close();
    this.#failed.close();
  }

  #log(
    level: "warn" | "error",
    what: string,
    details: Record<string, unknown>,
  ): void {
    reportTask(this.#init.logger, level, this.name, what, details);
  }
}
