// Copyright 2026 the Longrun authors. MIT license.

/** The loop of the demo: it holds a star that drifts, as well as it can. */

import { LoopTask, type MissedLoop, Topic } from "../mod.ts";

/** What others may change while the guider runs. */
export interface GuiderSettings {
  /** The share of the offset that each round takes back. */
  readonly gain: number;
  /** How long the camera looks at the star, in milliseconds. */
  readonly exposure: number;
}

/** What others may see. */
export interface GuiderStatus {
  /** How far the star is from its place, in arcseconds. */
  readonly offset: number;
}

/** How far the star drifts in a round, in arcseconds. */
const DRIFT = 0.4;

/** Guides: settings go in, the status and two topics come out. */
export class Guider extends LoopTask<GuiderSettings, GuiderStatus> {
  override settings: GuiderSettings = { gain: 0.1, exposure: 20 };
  override status: GuiderStatus = { offset: 0 };

  /** The rounds that took too long. */
  readonly missed: Topic<MissedLoop> = new Topic();

  #offset = 0;

  override async loopIteration(): Promise<void> {
    const { exposure, gain } = this.settings;
    await this.sleep(exposure);
    this.#offset = (this.#offset + DRIFT) * (1 - gain);
  }

  override updateStatus(): boolean {
    this.status = { offset: this.#offset };
    return true;
  }

  override onMissed(missed: MissedLoop): void {
    this.#offset += DRIFT * missed.missed;
    this.missed.publish(missed);
  }
}
