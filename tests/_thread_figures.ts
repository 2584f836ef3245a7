// Copyright 2026 the Longrun authors. MIT license.

import type { LoopStatistics } from "../loop.ts";
import { LoopTask } from "../loop_task.ts";
import { Topic } from "../topic.ts";

/** A loop that shows its own figures, and has published before it begins. */
export class Figures extends LoopTask<undefined, LoopStatistics | undefined> {
  readonly steps: Topic<string> = new Topic();

  constructor(...args: ConstructorParameters<typeof LoopTask>) {
    super(...args);
    this.steps.publish("made");
  }

  override loopIteration(): void {
    this.status = this.statistics;
    this.stop();
  }
}
