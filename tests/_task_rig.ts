// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertLessOrEqual } from "@std/assert";
import {
  LoopTask,
  type LoopTaskOptions,
  type MissedLoop,
} from "../loop_task.ts";
import { Task, type TaskHost } from "../task.ts";
import { TaskContext, type TaskContextOptions } from "../task_context.ts";
import { ManualClock } from "../testing.ts";
import { CountingClock } from "./_counting_clock.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";

/** A context on virtual time, and counts of what its tasks hold. */
export class TaskRig {
  readonly clock = new ManualClock();
  readonly timers: CountingClock = new CountingClock(this.clock);
  readonly controller = new CountingController();
  readonly logger = new RecordingLogger();
  readonly context: TaskContext;

  constructor(options: TaskContextOptions = {}) {
    this.context = new TaskContext({
      clock: this.timers,
      logger: this.logger,
      signal: this.controller.signal,
      ...options,
    });
  }

  /** Lets promises settle. */
  settle(): Promise<void> {
    return this.clock.advance(0);
  }

  assertNothingLeft(): void {
    assertEquals(this.timers.timers, 0, "timers left");
    assertEquals(this.controller.listeners, 0, "listeners left");
    assertLessOrEqual(this.controller.most, 1, "listeners at a time");
  }
}

/** A task that does what it is told when it is made. */
export class Act extends Task<unknown, unknown> {
  readonly #act: (task: Act) => unknown;

  constructor(host: TaskHost, act: (task: Act) => unknown = () => {}) {
    super(host);
    this.#act = act;
  }

  override run(): unknown {
    return this.#act(this);
  }
}

/** A task that sleeps until it is stopped. */
export class Idle extends Task<number, string> {
  override settings = 0;
  override status = "idle";

  override run(): Promise<void> {
    return this.sleep(Infinity);
  }
}

/** A task that hears nobody, and ends when it is told to by its `end()`. */
export class Deaf extends Task {
  readonly #ending: Promise<void>;

  constructor(host: TaskHost, ending: Promise<void> = new Promise(() => {})) {
    super(host);
    this.#ending = ending;
  }

  override run(): Promise<void> {
    return this.#ending;
  }
}

/** The hooks of a loop, in the order in which they are called. */
export const HOOKS = [
  "loopPrepare",
  "processNewSettings",
  "loopIteration",
  "updateStatus",
  "publishSignals",
  "loopFinalize",
] as const;

export type Hook = typeof HOOKS[number];

/** What a {@linkcode HookedLoop} does in its hooks. */
export interface HookedLoopOptions extends LoopTaskOptions {
  hooks?: Partial<Record<Hook, (task: HookedLoop) => unknown>>;
  onMissed?: (missed: MissedLoop) => unknown;
}

/** A loop that remembers its calls and does in them what it is told. */
export class HookedLoop extends LoopTask<unknown, unknown> {
  /** The hooks that were called. */
  readonly calls: Hook[];
  /** When its iterations began. */
  readonly starts: number[];
  readonly #options: HookedLoopOptions;

  constructor(
    host: TaskHost,
    options: HookedLoopOptions = {},
    calls: Hook[] = [],
    starts: number[] = [],
  ) {
    super(host, options);
    this.#options = options;
    this.calls = calls;
    this.starts = starts;
  }

  override loopPrepare(): unknown {
    return this.#call("loopPrepare");
  }

  override processNewSettings(): unknown {
    return this.#call("processNewSettings");
  }

  override loopIteration(): unknown {
    this.starts.push(this.clock.now());
    return this.#call("loopIteration");
  }

  override updateStatus(): boolean | Promise<boolean> {
    return this.#call("updateStatus") as boolean | Promise<boolean>;
  }

  override publishSignals(): unknown {
    return this.#call("publishSignals");
  }

  override loopFinalize(): unknown {
    return this.#call("loopFinalize");
  }

  override onMissed(missed: MissedLoop): unknown {
    return this.#options.onMissed?.(missed);
  }

  #call(hook: Hook): unknown {
    this.calls.push(hook);
    return this.#options.hooks?.[hook]?.(this);
  }
}
