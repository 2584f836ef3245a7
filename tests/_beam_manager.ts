// Copyright 2026 the Longrun authors. MIT license.

import type { BackgroundTaskProcessor } from "../background_task_processor.ts";
import { backgroundTask } from "../run_in_background.ts";

/** A class with decorated methods of every kind that can be decorated. */
export class BeamManager {
  readonly backgroundTaskProcessor: BackgroundTaskProcessor;
  readonly calls: string[] = [];

  constructor(processor: BackgroundTaskProcessor) {
    this.backgroundTaskProcessor = processor;
  }

  @backgroundTask
  park(): void {
    this.calls.push("park");
  }

  @backgroundTask
  describe(): unknown {
    this.calls.push("describe");
    return "four beams";
  }

  @backgroundTask
  async configureBeam(beam: number): Promise<number> {
    await undefined;
    this.calls.push(`configureBeam ${beam}`);
    return beam * 2;
  }

  @backgroundTask
  configureScan(): Promise<void> {
    this.calls.push("configureScan");
    return Promise.resolve();
  }
}
