// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkType } from "./_arguments.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** What a call is handed when it runs, each time anew. */
export interface JobContext {
  /**
   * Aborts when the job is asked to stop, or when a job beside it has failed.
   * It is made when it is asked for.
   */
  readonly signal: AbortSignal;
  /** The clock of the run. */
  readonly clock: Clock;
  /** The logger of the run. */
  readonly logger: Logger;
  /**
   * Waits, at most until the signal aborts: the wait rejects then, and a call
   * that lets the error pass counts as stopped.
   */
  readonly sleep: (ms: number) => Promise<void>;
  /**
   * Says how much of this call is done, from 0 to 1. Progress never falls:
   * less than before is ignored, and so is what comes after the end.
   */
  readonly progress: (done: number) => void;
}

/** The work of a {@linkcode Job} made by `call()`. */
export type JobAction<T = unknown> = (context: JobContext) => T;

/** What a {@linkcode Job} is made of: one call, or others. */
export type JobKind = "call" | "sequential" | "parallel";

/**
 * Some work as a value: nothing runs when it is made, nothing of it changes,
 * and it runs any number of times, also side by side with itself.
 *
 * Made by `call()`, `sequential()`, `parallel()` and `deviceCommand()`; run by
 * `runJob()` or a `JobExecutor`.
 *
 * @typeParam T The type of its result: of a group, a list of the results of
 * its jobs.
 */
export interface Job<T = unknown> {
  /** What it is made of. */
  readonly kind: JobKind;
  /** Its name: that of its function, if it was given none. */
  readonly name: string | undefined;
  /** The jobs it is made of; of a call none. */
  readonly jobs: readonly Job[];
  /** How many calls there are in it. */
  readonly size: number;
  /**
   * The same job under a name, for messages.
   *
   * @throws {TypeError} If the name is not a string.
   */
  named(name: string): Job<T>;
  /** Never there: it carries the type of the result. */
  readonly resultType?: T;
}

/** The results of jobs, in their order. */
export type ResultsOf<T extends readonly Job[]> = {
  -readonly [Index in keyof T]: T[Index] extends Job<infer Result> ? Result
    : never;
};

/** What a group does when one of its jobs fails. */
export type JobFailurePolicy = "fail-fast" | "wait";

/** What all jobs share. Their insides are read by those who run them. */
export abstract class JobValue<T = unknown> implements Job<T> {
  abstract readonly kind: JobKind;
  abstract readonly name: string | undefined;
  abstract readonly jobs: readonly Job[];
  abstract readonly size: number;
  /** How many groups there are one within the other. */
  abstract readonly depth: number;
  declare readonly resultType?: T;

  named(name: string): Job<T> {
    checkType(typeof name === "string", "name job", "name", "a string", name);
    return this.rename(name);
  }

  protected abstract rename(name: string): Job<T>;
}

/** Whether something is a job. */
export function isJob(value: unknown): value is JobValue {
  return value instanceof JobValue;
}

/** A function to call. */
export class CallValue<T = unknown> extends JobValue<T> {
  readonly #action: JobAction;
  readonly #name: string | undefined;

  constructor(action: JobAction, name: unknown = action.name) {
    super();
    this.#action = action;
    this.#name = typeof name === "string" && name !== "" ? name : undefined;
  }

  override get kind(): "call" {
    return "call";
  }

  override get name(): string | undefined {
    return this.#name;
  }

  override get jobs(): readonly Job[] {
    return [];
  }

  override get size(): number {
    return 1;
  }

  override get depth(): number {
    return 0;
  }

  get action(): JobAction {
    return this.#action;
  }

  protected override rename(name: string): Job<T> {
    return new CallValue(this.#action, name);
  }
}

/** How the jobs of a group run. */
export interface GroupManner {
  readonly kind: "sequential" | "parallel";
  readonly limit: number;
  readonly isFailFast: boolean;
}

/** One after the other. */
export const SEQUENTIAL: GroupManner = {
  kind: "sequential",
  limit: Infinity,
  isFailFast: true,
};

/** Jobs as one. */
export class GroupValue<T = unknown> extends JobValue<T> {
  readonly #manner: GroupManner;
  readonly #jobs: readonly JobValue[];
  readonly #name: string | undefined;
  readonly #size: number;
  readonly #depth: number;

  /** Takes the list as it is: nobody else may have it. */
  constructor(
    manner: GroupManner,
    jobs: readonly JobValue[],
    name?: string,
  ) {
    super();
    this.#manner = manner;
    this.#jobs = jobs;
    this.#name = name;
    let size = 0;
    let depth = 0;
    for (const job of jobs) {
      size += job.size;
      if (job.depth > depth) depth = job.depth;
    }
    this.#size = size;
    this.#depth = depth + 1;
  }

  override get kind(): "sequential" | "parallel" {
    return this.#manner.kind;
  }

  override get name(): string | undefined {
    return this.#name;
  }

  override get jobs(): readonly Job[] {
    return this.#jobs.slice();
  }

  override get size(): number {
    return this.#size;
  }

  override get depth(): number {
    return this.#depth;
  }

  get manner(): GroupManner {
    return this.#manner;
  }

  /** How many jobs there are. */
  get length(): number {
    return this.#jobs.length;
  }

  /** One of the jobs, without a copy of the list. */
  at(index: number): JobValue | undefined {
    return this.#jobs[index];
  }

  protected override rename(name: string): Job<T> {
    return new GroupValue(this.#manner, this.#jobs, name);
  }
}
