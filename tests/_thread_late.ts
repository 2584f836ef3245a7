// Copyright 2026 the Longrun authors. MIT license.

import { LoopTask, type LoopTaskOptions } from "../loop_task.ts";
import type { TaskHost } from "../task.ts";

/** A loop that takes too long in its second round, and blocks meanwhile. */
export default class Late extends LoopTask<undefined, number> {
  override status = 0;

  constructor(host: TaskHost, options: LoopTaskOptions) {
    super(host, options);
  }

  override loopIteration(): void {
    this.status++;
    if (this.status !== 2) return;
    this.logger.info("takes long");
    // Not before: the first round is to be in time, however long it takes.
    this.period = 1;
    const end = this.clock.now() + 2.5 * this.period;
    while (this.clock.now() < end);
  }
}
