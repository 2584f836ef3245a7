// Copyright 2026 the Longrun authors. MIT license.

import { CancelScope } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import { ticks } from "@longrun/tasks/ticks";
import { sizeOfTree } from "./_file_tree.ts";

/** How often a folder is looked at, in milliseconds. */
const PERIOD = 1_000;

/** What {@linkcode withinSize} watches, and what ends it. */
export interface SizeWatch {
  folder: string;
  /** How many bytes may be in the folder. */
  limit: number;
  /** What the work is aborted with when there are more. */
  error: () => unknown;
  signal: AbortSignal;
  clock: Clock;
}

/** Does work in a folder, and aborts it when too much is in the folder. */
export async function withinSize(
  { folder, limit, error, signal, clock }: SizeWatch,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const scope = new CancelScope(signal);
  const done = new CancelScope(scope.signal);
  const watch = async (): Promise<void> => {
    for await (
      const _ of ticks(PERIOD, { first: PERIOD, signal: done.signal, clock })
    ) {
      if (await sizeOfTree(folder) > limit) scope.abort(error());
    }
  };
  // It ends by an abort, or with the work.
  const watching = watch().catch(() => {});
  try {
    await work(scope.signal);
    // What has grown since the last look counts, too.
    if (await sizeOfTree(folder) > limit) throw error();
  } catch (thrown) {
    throw scope.aborted ? scope.reason : thrown;
  } finally {
    done.abort();
    scope.dispose();
    await watching;
  }
}
