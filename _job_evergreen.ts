// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Scheduler } from "./_job_scheduler.ts";
import { JobTree } from "./_job_tree.ts";
import {
  CallValue,
  type GroupManner,
  GroupValue,
  SEQUENTIAL,
} from "./_job_value.ts";
import { LazySignal } from "./_lazy_signal.ts";
import { systemClock } from "./clock.ts";
import { defaultLogger } from "./logger.ts";

function plant(): unknown[] {
  const kept: unknown[] = [];
  const call = new CallValue((context) => kept.push(context));
  const parallel: GroupManner = { ...SEQUENTIAL, kind: "parallel" };
  const group = new GroupValue(SEQUENTIAL, [call]);
  const job = new GroupValue(parallel, [call, group]);
  const ignore = (): void => {};
  const tree = new JobTree(job, 0, new LazySignal(), new Scheduler(Infinity), {
    name: "",
    clock: systemClock,
    logger: defaultLogger,
    grace: 0,
    onProgress: undefined,
    onOver: ignore,
    onEnd: ignore,
  });
  for (
    let leaf = tree.trunk.take();
    leaf !== undefined;
    leaf = tree.trunk.take()
  ) {
    leaf.call();
    kept.push(leaf);
  }
  kept.push(tree);
  return kept;
}

/**
 * A tree that is kept for ever. An engine forgets the shape of objects when the
 * last of them has gone, and throws away all code that was compiled for it:
 * after a pause jobs would be three times as slow as before.
 */
export const evergreen: unknown = plant();
