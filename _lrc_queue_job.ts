// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { LrcRecord } from "./_lrc_tables.ts";
import { CancelScope, sleep } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** What the code of a command is given. */
export interface Execution {
  readonly id: string;
  readonly argument: unknown;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly progress: (value: number) => void;
  readonly sleep: (ms: number) => Promise<void>;
}

/** A command that can be queued. */
export interface QueuedCommand {
  readonly name: string;
  readonly execute: (execution: Execution) => unknown;
  readonly refuse: ((argument: unknown) => string | undefined) | undefined;
  readonly isAllowed: ((argument: unknown) => boolean) | undefined;
  readonly immediate: boolean;
}

/** A command on its way through the queue. */
export class Job {
  readonly record: LrcRecord;
  readonly command: QueuedCommand;
  readonly argument: unknown;
  readonly scope: CancelScope = new CancelScope();
  /** Its code has been called. */
  hasBegun = false;
  /** Its last status has been told. */
  isOver = false;
  hasWarned = false;

  constructor(record: LrcRecord, command: QueuedCommand, argument: unknown) {
    this.record = record;
    this.command = command;
    this.argument = argument;
  }

  /** What its code is given. */
  execution(
    clock: Clock,
    logger: Logger,
    progress: (value: unknown) => void,
  ): Execution {
    const { record: { id }, argument, scope } = this;
    return {
      id,
      argument,
      get signal() {
        return scope.signal;
      },
      logger,
      progress,
      sleep: (ms) => sleep(ms, { signal: scope.signal, clock }),
    };
  }
}
