// Copyright 2026 the Longrun authors. MIT license.

import type { Logger } from "../logger.ts";

/** A logger that remembers. */
export class RecordingLogger implements Logger {
  readonly lines: string[] = [];

  debug(message: string): void {
    this.lines.push(`debug ${message}`);
  }

  info(message: string): void {
    this.lines.push(`info ${message}`);
  }

  warn(message: string): void {
    this.lines.push(`warn ${message}`);
  }

  error(message: string): void {
    this.lines.push(`error ${message}`);
  }

  /** The lines of a level. */
  of(level: string): string[] {
    return this.lines.filter((line) => line.startsWith(level));
  }
}
