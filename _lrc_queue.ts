// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Latch } from "./_latch.ts";
import {
  describeValue,
  toJsonValue,
  toProgress,
} from "./_lrc_device_values.ts";
import { Job, type QueuedCommand } from "./_lrc_queue_job.ts";
import type { LrcRecord, LrcTables } from "./_lrc_tables.ts";
import { report } from "./_report.ts";
import { isCancellation } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import { ResultCode, TaskStatus } from "./device_proxy.ts";
import type { Logger } from "./logger.ts";
import type { StopOutcome } from "./run_state.ts";

/** What is answered to whoever asks for a command. */
export type LrcAnswer = [codes: [ResultCode], texts: [string]];

type Result = [code: ResultCode, text: string];

/** Settings of {@linkcode LrcQueue}. */
export interface LrcQueueOptions {
  maxQueued: number;
  maxExecuting: number;
  grace: number;
  clock: Clock;
  logger: Logger;
}

const ABORTED: Result = [ResultCode.ABORTED, "Command has been aborted"];

/** An abort that goes on. */
interface Aborting {
  /** The command that asked for it, if it is one to follow. */
  readonly record: LrcRecord | undefined;
  readonly abandoned: string[];
  cancelTimer: (() => void) | undefined;
}

function codeOf(result: unknown): unknown {
  return Array.isArray(result) ? result[0] : undefined;
}

/** Executes commands, so many at a time, the others in order after them. */
export class LrcQueue {
  readonly #tables: LrcTables;
  readonly #maxQueued: number;
  /** How many may be executing beside an abort. */
  readonly #places: number;
  readonly #grace: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #waiting: Job[] = [];
  /** Those that have a place. */
  readonly #jobs: Set<Job> = new Set();
  #aborting: Aborting | undefined = undefined;
  /** How many were abandoned and have not ended since. */
  #hanging = 0;
  readonly #idle: Latch = new Latch();

  constructor(tables: LrcTables, options: LrcQueueOptions) {
    this.#tables = tables;
    this.#maxQueued = options.maxQueued;
    this.#places = options.maxExecuting - 1;
    this.#grace = options.grace;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  get executing(): number {
    return this.#jobs.size + (this.#aborting?.record === undefined ? 0 : 1);
  }

  /**
   * Takes a command, or says why not.
   *
   * @throws {unknown} What `refuse` of the command throws.
   */
  submit(command: QueuedCommand, argument: unknown): LrcAnswer {
    // The user's code comes before anything is counted: it may submit, too.
    const refusal = this.#refuse(command, argument);
    const record = this.#tables.create(command.name);
    const full = this.#limit(command);
    if (full !== undefined) return this.#reject(record, full);
    if (refusal !== undefined) return this.#reject(record, refusal);
    const job = new Job(record, command, argument);
    if (command.immediate) {
      this.#jobs.add(job);
      this.#tables.update(record, { status: TaskStatus.IN_PROGRESS });
      queueMicrotask(() => this.#execute(job));
      return [[ResultCode.STARTED], [record.id]];
    }
    this.#tables.update(record, { status: TaskStatus.QUEUED });
    this.#waiting.push(job);
    this.#fill();
    return [[ResultCode.QUEUED], [record.id]];
  }

  /** Aborts all commands by one more command. */
  submitAbort(name: string): LrcAnswer {
    const record = this.#tables.create(name);
    if (this.#aborting !== undefined) {
      return this.#reject(record, this.#abortingNow());
    }
    this.#tables.update(record, { status: TaskStatus.IN_PROGRESS });
    this.#abort(record, undefined, this.#grace);
    return [[ResultCode.STARTED], [record.id]];
  }

  /** Aborts all commands, unless that goes on already. */
  abort(): void {
    if (this.#aborting !== undefined) return;
    this.#abort(undefined, undefined, this.#grace);
  }

  /** Aborts all commands and waits for their ends, but no longer than that. */
  async stop(reason: unknown, grace: number): Promise<StopOutcome> {
    if (this.#aborting === undefined) this.#abort(undefined, reason, Infinity);
    const ms = grace === Infinity ? undefined : grace;
    if (!await this.#idle.wait({ ms, clock: this.#clock })) {
      this.#abandon(grace);
    }
    return this.#hanging > 0 ? "abandoned" : "stopped";
  }

  #refuse(command: QueuedCommand, argument: unknown): Result | undefined {
    const reason = command.refuse?.(argument);
    if (reason !== undefined) return [ResultCode.REJECTED, String(reason)];
    return command.immediate ? this.#disallow(command, argument) : undefined;
  }

  #disallow(command: QueuedCommand, argument: unknown): Result | undefined {
    if (command.isAllowed === undefined) return undefined;
    try {
      const isAllowed: unknown = command.isAllowed(argument);
      if (isAllowed === true) return undefined;
      if (isAllowed === false) {
        return [ResultCode.NOT_ALLOWED, "Command is not allowed"];
      }
      throw new TypeError(`it gave ${describeValue(isAllowed)}, no boolean`);
    } catch (error) {
      const { name } = command;
      const sentence = `Nobody knows whether command '${name}' is allowed`;
      report(this.#logger, "error", sentence, { command: name, error });
      const text = describeValue(error);
      return [
        ResultCode.REJECTED,
        `Exception from 'is_cmd_allowed' method: ${text}`,
      ];
    }
  }

  #limit(command: QueuedCommand): Result | undefined {
    if (this.#aborting !== undefined) return this.#abortingNow();
    if (this.#jobs.size < this.#places) return undefined;
    if (command.immediate) {
      const text =
        `${this.#jobs.size} commands are being executed, no more can`;
      return [ResultCode.REJECTED, text];
    }
    if (this.#waiting.length < this.#maxQueued) return undefined;
    const text = `The queue is full: it holds ${this.#maxQueued} commands`;
    return [ResultCode.REJECTED, text];
  }

  #abortingNow(): Result {
    return [ResultCode.REJECTED, "Queue is being aborted"];
  }

  #reject(record: LrcRecord, result: Result): LrcAnswer {
    this.#tables.update(record, { status: TaskStatus.REJECTED, result });
    return [[ResultCode.REJECTED], [result[1]]];
  }

  #fill(): void {
    while (this.#jobs.size < this.#places) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#jobs.add(job);
      queueMicrotask(() => this.#begin(job));
    }
  }

  #begin(job: Job): void {
    if (job.isOver) return;
    const result = this.#disallow(job.command, job.argument);
    if (job.isOver) return;
    if (result !== undefined) {
      this.#end(job, TaskStatus.REJECTED, result);
      this.#goOn();
      return;
    }
    this.#tables.update(job.record, { status: TaskStatus.IN_PROGRESS });
    this.#execute(job);
  }

  async #execute(job: Job): Promise<void> {
    if (job.isOver) return;
    job.hasBegun = true;
    const execution = job.execution(
      this.#clock,
      this.#logger,
      (value) => this.#tellProgress(job, value),
    );
    let result: unknown;
    let failure: { error: unknown } | undefined;
    try {
      result = await job.command.execute(execution);
    } catch (error) {
      failure = { error };
    }
    if (job.isOver) {
      this.#noteLateEnd(job, failure);
      return;
    }
    const status = this.#judge(job, result, failure);
    this.#end(job, ...status);
    this.#goOn();
  }

  #judge(
    job: Job,
    result: unknown,
    failure: { error: unknown } | undefined,
  ): [status: TaskStatus, result: unknown] {
    const { scope, record: { id, name } } = job;
    if (failure === undefined) {
      const plain = result === undefined ? undefined : toJsonValue(
        result,
        () => this.#warn(`gave a result that is no JSON`, job),
      );
      if (!scope.aborted) return [TaskStatus.COMPLETED, plain];
      if (plain === undefined) return [TaskStatus.ABORTED, ABORTED];
      // What was done in spite of the abort was done.
      return codeOf(plain) === ResultCode.ABORTED
        ? [TaskStatus.ABORTED, plain]
        : [TaskStatus.COMPLETED, plain];
    }
    const { error } = failure;
    if (scope.aborted && isCancellation(error, scope.signal)) {
      return [TaskStatus.ABORTED, ABORTED];
    }
    const sentence = `Command '${name}' has failed`;
    report(this.#logger, "error", sentence, { command: name, id, error });
    const text = `Unhandled exception during execution: ${
      describeValue(error)
    }`;
    return [TaskStatus.FAILED, [ResultCode.FAILED, text]];
  }

  #tellProgress(job: Job, value: unknown): void {
    if (job.isOver) return;
    const progress = toProgress(value, () => {
      if (job.hasWarned) return;
      job.hasWarned = true;
      this.#warn("told a progress that is not an integer", job);
    });
    this.#tables.update(job.record, { progress });
  }

  #warn(what: string, { record: { id, name } }: Job): void {
    const sentence = `Command '${name}' ${what}`;
    report(this.#logger, "warn", sentence, { command: name, id });
  }

  #end(job: Job, status: TaskStatus, result: unknown): void {
    job.isOver = true;
    this.#jobs.delete(job);
    this.#tables.update(job.record, { status, result });
  }

  #goOn(): void {
    this.#fill();
    this.#finishAbort();
  }

  #abort(record: LrcRecord | undefined, reason: unknown, grace: number): void {
    const aborting: Aborting = {
      record,
      abandoned: [],
      cancelTimer: undefined,
    };
    this.#aborting = aborting;
    for (const job of this.#waiting.splice(0)) {
      this.#end(job, TaskStatus.ABORTED, ABORTED);
    }
    for (const job of [...this.#jobs]) {
      if (job.hasBegun) job.scope.abort(reason);
      else this.#end(job, TaskStatus.ABORTED, ABORTED);
    }
    if (this.#jobs.size === 0) {
      // Not before there is an answer to whoever asked.
      queueMicrotask(() => this.#finishAbort());
    } else if (grace < Infinity) {
      aborting.cancelTimer = this.#clock.setTimer(
        () => this.#abandon(grace),
        grace,
      );
    }
  }

  #finishAbort(): void {
    const aborting = this.#aborting;
    if (aborting === undefined || this.#jobs.size > 0) return;
    this.#aborting = undefined;
    aborting.cancelTimer?.();
    const { record, abandoned } = aborting;
    if (record !== undefined) {
      const result: Result = abandoned.length === 0
        ? [ResultCode.OK, "Abort completed OK"]
        : [ResultCode.FAILED, `Abort has abandoned ${abandoned.join(", ")}`];
      this.#tables.update(record, { status: TaskStatus.COMPLETED, result });
    }
    this.#idle.pulse();
  }

  /** Gives up on those that do not end. */
  #abandon(grace: number): void {
    for (const job of [...this.#jobs]) {
      this.#hanging++;
      this.#aborting?.abandoned.push(job.record.name);
      this.#warn(`has not ended within ${grace} ms and was abandoned`, job);
      this.#end(job, TaskStatus.ABORTED, [
        ResultCode.ABORTED,
        `Command has been aborted, but has not ended within ${grace} ms`,
      ]);
    }
    this.#finishAbort();
  }

  #noteLateEnd(job: Job, failure: { error: unknown } | undefined): void {
    this.#hanging--;
    const { scope, record: { id, name } } = job;
    if (failure === undefined || isCancellation(failure.error, scope.signal)) {
      this.#warn("has ended after it was abandoned", job);
      return;
    }
    const sentence = `Command '${name}' has failed after it was abandoned`;
    const { error } = failure;
    report(this.#logger, "error", sentence, { command: name, id, error });
  }
}
