// Copyright 2026 the Longrun authors. MIT license.

/**
 * A task that keeps its thread busy: the guide on tasks makes it with
 * `thread: true`, so that it stalls nobody else.
 */

import { Task, type TaskHost } from "../task.ts";

/** Correlates noise with itself, over and over, until it is stopped. */
export class Correlator extends Task<undefined, { passes: number }> {
  override status: { passes: number } = { passes: 0 };
  readonly #samples: readonly number[];

  /**
   * Creates a task. A `TaskContext` calls this.
   *
   * @param host The place where it runs.
   * @param length How many samples it correlates.
   */
  constructor(host: TaskHost, length: number) {
    super(host);
    this.#samples = Array.from({ length }, () => Math.random() - 0.5);
  }

  /** Never waits: it sees a stop only by asking. */
  override run(): void {
    while (!this.stopRequested) {
      for (const one of this.#samples) {
        this.#samples.reduce((sum, other) => sum + one * other, 0);
      }
      this.status = { passes: this.status.passes + 1 };
    }
  }
}
