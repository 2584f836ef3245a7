// Copyright 2026 the Longrun authors. MIT license.

import { LoopTask } from "@longrun/tasks/loop-task";

/** A task for a thread, in a project that has only the package. */
export class Counter extends LoopTask {
  status = 0;

  loopIteration() {
    this.status++;
  }

  updateStatus() {
    return true;
  }
}
