// Copyright 2026 the Longrun authors. MIT license.

import { LoopTask } from "../loop_task.ts";
import { Topic } from "../topic.ts";

/** Counts in a thread: the settings are the step, the status is the count. */
export class Counter extends LoopTask<{ step: number }, { count: number }> {
  override settings = { step: 1 };
  override status = { count: 0 };
  readonly counted: Topic<number> = new Topic();

  override loopIteration(): void {
    this.status = { count: this.status.count + this.settings.step };
    this.counted.publish(this.status.count);
  }
}
