// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Group } from "./_job_groups.ts";
import { Leaf } from "./_job_leaf.ts";
import {
  GroupValue,
  type Job,
  type JobKind,
  type JobValue,
} from "./_job_value.ts";

/**
 * Where a job stands.
 *
 * - `"waiting"`: it has not begun.
 * - `"running"`: it has.
 * - `"stopping"`: it was asked to stop and has not ended.
 * - `"completed"`: all of it has ended well.
 * - `"failed"`: it has thrown, or something within it has.
 * - `"stopped"`: it was asked to stop and has ended before it was done.
 * - `"abandoned"`: it was asked to stop, and nobody waits for its end any more.
 * - `"skipped"`: it will not begin.
 *
 * ```text
 * waiting ---> running ------------------> completed
 *    |            |    \                   failed
 *    v            v     \
 * skipped      stopping --+--------------> stopped
 *                                          abandoned
 * ```
 */
export type JobStatus =
  | "waiting"
  | "running"
  | "stopping"
  | "completed"
  | "failed"
  | "stopped"
  | "abandoned"
  | "skipped";

/** What has become of a job, and of the jobs it is made of: a moment's view. */
export interface JobResult<T = unknown> {
  /** The name of the job. */
  readonly name: string | undefined;
  /** What it is made of. */
  readonly kind: JobKind;
  /** Where it stands. */
  readonly status: JobStatus;
  /** How much of it is done, from 0 to 1. */
  readonly progress: number;
  /** Its result, if it has completed. */
  readonly value: T | undefined;
  /** What it has thrown; of a group the first that was thrown within. */
  readonly error: unknown;
  /** The jobs it is made of. */
  readonly jobs: readonly JobResult[];
}

type Plain = "waiting" | "skipped" | "completed";

function make(
  { name, kind }: Job,
  status: JobStatus,
  progress: number,
  { jobs = [], value, error }: Partial<JobResult>,
): JobResult {
  return { name, kind, status, progress, value, error, jobs };
}

/** Of jobs without a node: those that have not begun, or have completed. */
function plainResult(job: JobValue, status: Plain, value?: unknown): JobResult {
  const jobs: JobResult[] = [];
  if (job instanceof GroupValue) {
    const values = value as readonly unknown[] | undefined;
    for (let index = 0; index < job.length; index++) {
      const child = job.at(index) as JobValue;
      jobs.push(plainResult(child, status, values?.[index]));
    }
  }
  return make(job, status, status === "completed" ? 1 : 0, { jobs, value });
}

function groupResult(group: Group, status: JobStatus): JobResult {
  const { job } = group;
  const jobs: JobResult[] = [];
  let done = 0;
  for (let index = 0; index < job.length; index++) {
    const child = childResult(group, index);
    jobs.push(child);
    done += child.progress * (job.at(index)?.size ?? 0);
  }
  const error = status === "failed" ? group.error : undefined;
  return make(job, status, Math.min(done / job.size, 1) || 0, { jobs, error });
}

function childResult(group: Group, index: number): JobResult {
  const status = statusOf(group, index);
  const node = group.child(index);
  if (node instanceof Group) return groupResult(node, status);
  if (node instanceof Leaf) {
    const { job, done, error } = node;
    return make(job, status, done, { error });
  }
  const job = group.job.at(index) as JobValue;
  return plainResult(job, status as Plain, group.values[index]);
}

/** The status of a job that has not begun. */
export function unbegun(isOver: boolean): "waiting" | "skipped" {
  return isOver ? "skipped" : "waiting";
}

/** The status of a job of a group. */
export function statusOf(group: Group, index: number): JobStatus {
  const node = group.child(index);
  if (node === undefined) {
    if (index < group.next) return "completed";
    return unbegun(group.isOver || group.isAborted);
  }
  const isLeaf = node instanceof Leaf;
  if (isLeaf && node.outcome !== undefined) return node.outcome;
  if (!isLeaf && node.isOver) return node.outcome;
  const isAborted = isLeaf ? node.parent.owner.isAborted : node.isAborted;
  return isAborted ? "stopping" : "running";
}

/** What has become of the only job of a trunk, or of one without. */
export function resultOf(
  job: JobValue,
  trunk: Group | undefined,
  isOver: boolean,
): JobResult {
  return trunk === undefined
    ? plainResult(job, unbegun(isOver))
    : childResult(trunk, 0);
}
