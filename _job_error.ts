// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { Group } from "./_job_groups.ts";
import type { Leaf } from "./_job_leaf.ts";
import type { JobValue } from "./_job_value.ts";

/** A call of a job that has failed. */
export interface JobFailure {
  /** Where it is: an index into each group on the way, the outermost first. */
  readonly path: readonly number[];
  /** The same for people: `"1/3:slew"` is call `slew`, the fourth of the second. */
  readonly where: string;
  /** What it has failed with. */
  readonly error: unknown;
}

function describe(error: unknown): string {
  try {
    return String(error);
  } catch {
    return `something that cannot be shown (${typeof error})`;
  }
}

function explain(
  name: string | undefined,
  failures: readonly JobFailure[],
): string {
  const job = name === undefined ? "Job" : `Job '${name}'`;
  const places = failures.map(({ where, error }) =>
    `${where === "" ? "" : ` at ${where}`}: ${describe(error)}`
  );
  const [first = "", ...others] = places;
  const rest = others.length === 0 ? "" : `, and ${others.length} more`;
  return `${job} has failed${first}${rest}`;
}

/**
 * A job has failed, at one place or at several: what each call has thrown is in
 * `errors`, where that was in `failures`, the first to happen first. The first
 * is the `cause`, too.
 *
 * @example Usage
 * ```ts
 * import { call, JobError, runJob, sequential } from "@longrun/tasks/job";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const night = sequential(
 *   call(() => "dome"),
 *   call(function focus() {
 *     throw new Error("no star");
 *   }),
 * ).named("night");
 * const error = await assertRejects(
 *   () => runJob(night),
 *   JobError,
 *   "Job 'night' has failed at 1:focus: Error: no star",
 * );
 * assertEquals(error.failures[0]?.path, [1]);
 * ```
 */
export class JobError extends AggregateError {
  /** The name of the class. */
  override readonly name: string = "JobError";
  /** What has failed, in the order in which it happened. */
  readonly failures: readonly JobFailure[];

  /**
   * Creates an error.
   *
   * @param job The name of the job.
   * @param failures What has failed, in the order in which it happened.
   */
  constructor(job: string | undefined, failures: readonly JobFailure[]) {
    const errors = failures.map(({ error }) => error);
    super(errors, explain(job, failures), { cause: errors[0] });
    this.failures = failures;
  }
}

function segment(index: number, job: JobValue): string {
  const { name } = job;
  return name === undefined ? `${index}` : `${index}:${name}`;
}

/**
 * Where a node stands below the trunk of its tree, which has no index of its
 * own, and whose only job is the one that runs.
 */
export function placeOf(node: Leaf | Group): Omit<JobFailure, "error"> {
  const path: number[] = [];
  const segments: string[] = [];
  for (
    let at: Leaf | Group | undefined = node;
    at?.parent?.parent !== undefined;
    at = at.parent
  ) {
    path.unshift(at.index);
    segments.unshift(segment(at.index, at.job));
  }
  return { path, where: segments.join("/") };
}
