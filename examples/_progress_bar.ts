// Copyright 2026 the Longrun authors. MIT license.

/** A command as a bar that grows, or as lines where there is no terminal. */

import process from "node:process";
import type { CommandEnd } from "./_execute.ts";
import { gauge } from "./_gauge.ts";

const WIDTH = 40;

/** How much must have happened for one more line. */
const STEP = 10;

/** Shows what is told of a command. */
export class ProgressBar {
  readonly #name: string;
  readonly #isLive: boolean = process.stdout.isTTY === true;
  #percent = 0;
  #shown = -STEP;

  constructor(name: string) {
    this.#name = name;
  }

  /** Shows how far the command has come. */
  show(percent: number): void {
    this.#percent = percent;
    if (this.#isLive) this.#draw();
    else if (percent >= this.#shown + STEP) {
      this.#shown = percent - percent % STEP;
      console.log(`${this.#name}: ${percent} %`);
    }
  }

  /** Shows how the command has ended. */
  end({ isWell, text }: CommandEnd): void {
    if (this.#isLive) {
      if (isWell) this.#percent = 100;
      this.#draw();
      process.stdout.write("\n");
    }
    console.log(`${this.#name}: ${text}`);
  }

  #draw(): void {
    const name = this.#name.padEnd(10);
    const percent = String(this.#percent).padStart(3);
    const bar = gauge(this.#percent / 100, WIDTH);
    process.stdout.write(`\r${name} ${bar} ${percent} %`);
  }
}
