// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import { CommandError, EXIT } from "./_cli_exit.ts";
import type { CommandLine } from "./_cli_parse.ts";
import type { Terminal } from "./_cli_terminal.ts";
import { originalOf } from "./_client_wire.ts";
import type { ProcedureClient } from "./procedure_client.ts";

/** What Ctrl-C does. Only the last counts; `undefined` ends all work. */
export type OnInterrupt = (() => void) | undefined;

/** What a command has to do with. */
export interface Session {
  readonly line: CommandLine;
  readonly client: ProcedureClient;
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** Aborts when all work has to end. */
  readonly signal: AbortSignal;
  readonly isJson: boolean;
  /** Ends all work, as interrupted. */
  interrupt(): void;
  /** Says what Ctrl-C does from now on. */
  onInterrupt(handler: OnInterrupt): void;
  /** Reads a line from the terminal; `undefined` if there is none. */
  readLine: (() => Promise<string>) | undefined;
}

/** The value of an option that is given once. */
export function optionOf(session: Session, name: string): string | undefined {
  return session.line.values.get(name)?.at(-1);
}

/** Writes a value as it travelled, as one line of JSON. */
export function printJson(session: Session, value: unknown): Promise<void> {
  const isObject = typeof value === "object" && value !== null;
  const original = isObject ? originalOf(value) ?? value : value;
  return session.terminal.print(JSON.stringify(original));
}

/** A time, for people: of this place, to the second. */
export function showTime(ms: number): string {
  if (!Number.isFinite(ms)) return "-";
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-` +
    `${two(date.getDate())} ${two(date.getHours())}:` +
    `${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A duration, for people. */
export function showElapsed(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** The failure that there is nothing to choose by default. */
export function nothing(what: string): CommandError {
  return new CommandError(EXIT.notFound, what);
}
