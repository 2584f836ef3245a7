// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs the activities of scheduling blocks by their names.
 *
 * @module
 */

import { abortable, CancelScope } from "@longrun/tasks/cancellation";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import { announceActivity } from "./_activity_announcements.ts";
import {
  activityOf,
  checkCommand,
  hasCalledMain,
  mergeAll,
  NOTHING,
  withEnv,
} from "./_activity_command.ts";
import {
  ActivityRecords,
  type RequestedActivity,
} from "./_activity_records.ts";
import { follow, isOver } from "./_activity_states.ts";
import { checkFiniteCount, checkFunction, checkOptions } from "./_arguments.ts";
import { hasCode } from "./_error_code.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { MainStarter, type Startable } from "./_main_starter.ts";
import { writeDefinition } from "./_scheduling_block_wire.ts";
import type {
  ActivityState,
  ActivitySummary,
  RunActivityCommand,
} from "./activity.ts";
import {
  mergeInput,
  procedureInput,
  type ProcedureSummary,
} from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type {
  ActivityRunner,
  ProcedureService,
  WaitOptions,
} from "./procedure_service.ts";
import type { ProcedureState } from "./procedure_state.ts";
import {
  InMemoryProcedureStore,
  type ProcedureStore,
} from "./procedure_store.ts";
import type { SchedulingBlockStore } from "./scheduling_block_store.ts";
import type { ExecutableScript } from "./script.ts";

/** Options of {@linkcode ActivityService}. */
export interface ActivityServiceOptions {
  /** What prepares and starts the scripts. It is not closed with the service. */
  procedures: ProcedureService;
  /** Where the scheduling blocks are. It is not closed with the service. */
  blocks: SchedulingBlockStore;
  /**
   * What survives the service. It is not closed with it.
   *
   * @default {a store in memory}
   */
  store?: ProcedureStore;
  /**
   * How many activities are remembered. Those that have not ended always are.
   *
   * @default {1_000}
   */
  historyLimit?: number;
  /**
   * Told of what failed while nobody waited for it.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
  /**
   * The time of day, in milliseconds since the epoch.
   *
   * @default {Date.now}
   */
  now?: () => number;
}

/** An activity that has not ended, and what is known of its procedure. */
interface Followed {
  summary: ActivitySummary;
  /** What the history told at first: events may tell it again. */
  told: Set<string>;
  starts: Startable | undefined;
}

/**
 * Runs activities: makes an instance of the scheduling block, prepares the
 * script of the activity and starts its `main` as soon as it is READY, with an
 * `init` or without. `ActivityService` of `ska_oso_oet`.
 *
 * `main` is called with what the definition and the command say, name by name,
 * and with `sb_json`, the document of the scheduling block as JSON, and
 * `sbi_id`, the name of the instance: scripts need not read a file for it.
 *
 * ```text
 * procedure   CREATING … READY     RUNNING   COMPLETE
 * activity    REQUESTED  PREPARED  RUNNING   COMPLETE
 * ```
 *
 * **When to use.** Where scheduling blocks say what is executed. Scripts that
 * are named themselves need a `ScriptExecutionService` only.
 *
 * **Gotchas.** When another procedure runs, the activity waits in PREPARED until
 * it may run; activities that wait run in the order in which they were READY.
 * To stop one, stop its procedure. Closing the service stops none.
 *
 * @example Usage
 * ```ts
 * import {
 *   ActivityService,
 *   type ActivitySummary,
 *   type ProcedureService,
 *   type SchedulingBlockStore,
 * } from "@longrun/procedure";
 *
 * async function observe(
 *   procedures: ProcedureService,
 *   blocks: SchedulingBlockStore,
 * ): Promise<ActivitySummary> {
 *   await using activities = new ActivityService({ procedures, blocks });
 *   const command = { name: "observe", sbdId: "sbd-1", prepareOnly: true };
 *   return await activities.run(command);
 * }
 *
 * console.assert(typeof observe === "function");
 * ```
 */
export class ActivityService implements ActivityRunner, AsyncDisposable {
  readonly #procedures: ProcedureService;
  readonly #blocks: SchedulingBlockStore;
  readonly #records: ActivityRecords;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #followed: Map<number, Followed> = new Map();
  readonly #starter: MainStarter = new MainStarter();
  readonly #scope: CancelScope = new CancelScope();
  readonly #background: Set<Promise<unknown>> = new Set();
  readonly #endEvents: () => void;

  /**
   * Creates a service. It remembers the activities of its store, and follows
   * those that have not ended.
   *
   * @param options What it works with.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `historyLimit` is not a positive integer.
   */
  constructor(options: ActivityServiceOptions) {
    const doing = "create ActivityService";
    checkOptions(doing, options);
    const {
      procedures,
      blocks,
      store = new InMemoryProcedureStore(),
      historyLimit = 1_000,
      logger = defaultLogger,
      now = Date.now,
    } = options;
    checkFiniteCount(doing, "historyLimit", historyLimit, 1);
    checkFunction(doing, "now", now);
    checkFunction(doing, "procedures.prepare", procedures?.prepare);
    checkFunction(doing, "blocks.getDefinition", blocks?.getDefinition);
    this.#procedures = procedures;
    this.#blocks = blocks;
    this.#logger = harmlessLogger(logger);
    this.#now = now;
    this.#records = new ActivityRecords(store, historyLimit, this.#logger);
    this.#endEvents = procedures.bus.onEvent(
      "procedure.lifecycle.statechange",
      ({ data }) => this.#onState(data.pid, data.state, data.time),
    );
    for (const summary of this.#records.all()) this.#resume(summary);
  }

  /**
   * Runs an activity. Resolves when it has a procedure.
   *
   * @param command The activity, and what its functions are called with.
   * @param options What ends the wait. Once there is an instance the activity
   * goes on without it.
   * @returns A promise of its summary.
   * @throws {TypeError} If the command is not as it should be.
   * @throws {ProcedureError} `"scheduling-block-not-found"`,
   * `"activity-not-defined"`, `"arguments-refused"` if arguments by place are
   * laid over others, `"closed"`, and those of the procedure. An activity whose
   * procedure was refused has FAILED.
   */
  async run(
    command: RunActivityCommand,
    options: WaitOptions = {},
  ): Promise<ActivitySummary> {
    checkCommand(command);
    checkOptions("run an activity", options);
    this.#checkOpen();
    options.signal?.throwIfAborted();
    using scope = new CancelScope(this.#scope.signal, options.signal);
    const { signal } = scope;
    const { name, sbdId, prepareOnly = false, createEnv = false } = command;
    const definition = await abortable(
      this.#blocks.getDefinition(sbdId, { signal }),
      signal,
    );
    const activity = activityOf(definition, name);
    const args = mergeAll(activity.args, command.args ?? {});
    const document = JSON.stringify(
      definition.content ?? writeDefinition(definition),
    );
    const instance = await abortable(
      this.#blocks.addInstance(
        { sbdId, sbdVersion: definition.version, activityName: name },
        { signal },
      ),
      signal,
    );
    const scriptArgs = {
      ...args,
      main: mergeInput(
        args.main ?? NOTHING,
        procedureInput({
          sb_json: document,
          sbi_id: instance.id,
        }),
      ),
    };
    const followed = this.#add({
      sbdId,
      sbiId: instance.id,
      name,
      prepareOnly,
      scriptArgs,
    });
    const script = withEnv(activity.script, createEnv);
    const begun = this.#inBackground(this.#begin(followed, script));
    try {
      return await abortable(begun, signal);
    } catch (error) {
      if (options.signal?.aborted) {
        begun.catch((e) => this.#report(followed, e));
      }
      throw error;
    }
  }

  /**
   * Describes activities.
   *
   * @param ids Their numbers; without, all.
   * @returns Their summaries, in this order.
   * @throws {ProcedureError} `"activity-not-found"`.
   */
  summarise(ids?: readonly number[]): readonly ActivitySummary[] {
    return ids === undefined ? this.#records.all() : this.#records.some(ids);
  }

  /**
   * Ends the service: it follows no procedure any more, and starts none.
   *
   * @returns A promise that resolves when nothing is under way any more.
   */
  async close(): Promise<void> {
    this.#endEvents();
    this.#starter.clear();
    this.#scope.abort(
      new ProcedureError("closed", "The service of activities is closed"),
    );
    await Promise.allSettled(this.#background);
  }

  /** The same as {@linkcode ActivityService.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#scope.aborted) throw this.#scope.reason;
  }

  /** Waits with nobody, until it has ended or the service has. */
  #inBackground<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#scope;
    const bounded = abortable(work, signal);
    const forget = (): void => void this.#background.delete(bounded);
    this.#background.add(bounded);
    bounded.then(forget, forget);
    return bounded;
  }

  #report({ summary }: Followed, error: unknown): void {
    if (this.#scope.aborted) return;
    this.#logger.error(
      `Activity ${summary.id} '${summary.name}' has failed: ${error}`,
      { activity: summary.id, error },
    );
  }

  async #begin(
    followed: Followed,
    script: ExecutableScript,
  ): Promise<ActivitySummary> {
    const { init = NOTHING } = followed.summary.scriptArgs;
    try {
      const { id } = await this.#procedures.prepare(
        { script, initArgs: init },
        { signal: this.#scope.signal },
      );
      if (!this.#scope.aborted) this.#link(followed, id);
    } catch (error) {
      if (!this.#scope.aborted) this.#move(followed, "FAILED", this.#now());
      throw error;
    }
    return followed.summary;
  }

  #add(requested: RequestedActivity): Followed {
    const summary = this.#records.add(requested, this.#now());
    announceActivity(this.#procedures.bus, summary);
    return { summary, told: new Set(), starts: undefined };
  }

  /** What the store knew: its procedure may have gone on, or be no more. */
  #resume(summary: ActivitySummary): void {
    if (isOver(summary.state)) return;
    const followed: Followed = { summary, told: new Set(), starts: undefined };
    const { procedureId } = summary;
    if (procedureId === null || this.#find(procedureId) === undefined) {
      this.#move(followed, "FAILED", this.#now());
    } else this.#link(followed, procedureId);
  }

  #link(followed: Followed, pid: number): void {
    const isKnown = followed.summary.procedureId === pid;
    if (!isKnown) {
      followed.summary = this.#records.link(followed.summary, pid);
    }
    this.#followed.set(pid, followed);
    const since = isKnown ? followed.summary.states.at(-1)?.[1] ?? 0 : 0;
    for (const [state, time] of this.#find(pid)?.history.states ?? []) {
      followed.told.add(`${state} ${time}`);
      if (time >= since) this.#onProcedure(followed, pid, state, time);
    }
  }

  #find(pid: number): ProcedureSummary | undefined {
    try {
      return this.#procedures.summarise([pid])[0];
    } catch {
      return undefined;
    }
  }

  #onState(pid: number, state: ProcedureState, time: number): void {
    const followed = this.#followed.get(pid);
    if (followed !== undefined) {
      if (!followed.told.has(`${state} ${time}`)) {
        followed.told.clear();
        this.#onProcedure(followed, pid, state, time);
      }
    }
    if (state !== "RUNNING") this.#starter.tryAgain();
  }

  #onProcedure(
    followed: Followed,
    pid: number,
    state: ProcedureState,
    time: number,
  ): void {
    const isCalled = hasCalledMain(this.#find(pid));
    const next = follow(followed.summary.state, state, isCalled);
    if (next !== undefined) this.#move(followed, next, time);
    const { summary: { prepareOnly }, starts } = followed;
    if (state === "READY" && !prepareOnly && !isCalled) {
      followed.starts = starts ?? this.#startable(followed, pid);
      this.#starter.add(followed.starts);
    }
  }

  #startable(followed: Followed, pid: number): Startable {
    const { main = NOTHING } = followed.summary.scriptArgs;
    const find = (): ProcedureSummary | undefined => this.#find(pid);
    const isWaiting = (): boolean => {
      const procedure = find();
      return !this.#scope.aborted && procedure?.state === "READY" &&
        !hasCalledMain(procedure);
    };
    return {
      get isWaiting(): boolean {
        return isWaiting();
      },
      start: () =>
        this.#inBackground(
          this.#procedures.start(
            { pid, fn: "main", args: main },
            { signal: this.#scope.signal },
          ),
        ),
      fail: (error) => {
        // Somebody else has started or stopped it, or does: the events tell.
        if (this.#scope.aborted || !isWaiting()) return;
        if (hasCode(error, "invalid-state")) return;
        // With the service all procedures are stopped: the events tell.
        if (hasCode(error, "closed")) return;
        this.#report(followed, error);
        this.#move(followed, "FAILED", this.#now());
        this.#inBackground(this.#procedures.stop({ pid })).catch((reason) =>
          this.#report(followed, reason)
        );
      },
    };
  }

  #move(followed: Followed, state: ActivityState, time: number): void {
    const summary = this.#records.move(followed.summary, state, time);
    followed.summary = summary;
    if (isOver(state) && summary.procedureId !== null) {
      this.#followed.delete(summary.procedureId);
    }
    announceActivity(this.#procedures.bus, summary);
  }
}
