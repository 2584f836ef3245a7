// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkFraction } from "./_arguments.ts";
import type { Group } from "./_job_groups.ts";
import type { CallValue, JobContext } from "./_job_value.ts";
import { sleep } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** How a call has ended, or a group: as the worst of its jobs has. */
export type JobOutcome = "completed" | "stopped" | "abandoned" | "failed";

/** One run of a call. */
export class Leaf {
  readonly parent: Group;
  readonly index: number;
  /** How much of it is done. */
  done = 0;
  /** Undefined as long as it runs. */
  outcome: JobOutcome | undefined = undefined;
  error: unknown = undefined;

  constructor(parent: Group, index: number) {
    this.parent = parent;
    this.index = index;
  }

  get job(): CallValue {
    return this.parent.job.at(this.index) as CallValue;
  }

  /** Calls the function. */
  call(): unknown {
    const { action } = this.job;
    return action(new Context(this));
  }
}

/** What the function sees. Functions are made by those that ask for them. */
class Context implements JobContext {
  readonly #leaf: Leaf;

  constructor(leaf: Leaf) {
    this.#leaf = leaf;
  }

  get signal(): AbortSignal {
    return this.#leaf.parent.owner.signal;
  }

  get clock(): Clock {
    return this.#leaf.parent.tree.clock;
  }

  get logger(): Logger {
    return this.#leaf.parent.tree.logger;
  }

  get sleep(): (ms: number) => Promise<void> {
    return (ms) => sleep(ms, { signal: this.signal, clock: this.clock });
  }

  get progress(): (done: number) => void {
    return (done) => {
      checkFraction("report progress", "done", done);
      const leaf = this.#leaf;
      if (leaf.outcome !== undefined || done <= leaf.done) return;
      const part = done - leaf.done;
      leaf.done = done;
      leaf.parent.tree.advance(part);
    };
  }
}
