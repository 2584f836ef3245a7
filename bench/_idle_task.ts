// Copyright 2026 the Longrun authors. MIT license.

import { LoopTask } from "../loop_task.ts";

/** A loop that says when it has its first round. */
export class Idle extends LoopTask {
  override updateStatus(): boolean {
    return true;
  }
}
