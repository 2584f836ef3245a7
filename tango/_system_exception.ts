// Copyright 2026 the Longrun authors. MIT license.

import type { CdrReader } from "./_cdr_reader.ts";
import { minorName } from "./_minor_code.ts";

/** Whether what was asked for was done. */
export type Completion = "yes" | "no" | "maybe";

const COMPLETIONS: readonly Completion[] = ["yes", "no", "maybe"];

/** Options of {@linkcode SystemException}. */
export interface SystemExceptionOptions extends ErrorOptions {
  /**
   * The number that tells more.
   *
   * @default {0}
   */
  minor?: number;
  /**
   * Whether what was asked for was done.
   *
   * @default {"maybe"}
   */
  completed?: Completion;
}

/** The way to an object, or the server around it, has failed. */
export class SystemException extends Error {
  /** The name of the error. */
  override readonly name: string = "SystemException";
  /** Its name in CORBA, such as `COMM_FAILURE`. */
  readonly kind: string;
  /** The number that tells more. */
  readonly minor: number;
  /** Whether what was asked for was done. */
  readonly completed: Completion;

  constructor(
    kind: string,
    message: string,
    options: SystemExceptionOptions = {},
  ) {
    const { minor = 0, completed = "maybe" } = options;
    super(message, options);
    this.kind = kind;
    this.minor = minor;
    this.completed = completed;
  }
}

/** Reads a system exception from the body of a reply. */
export function readSystemException(reader: CdrReader): SystemException {
  const id = reader.string();
  const minor = reader.unsignedLong();
  const completed = COMPLETIONS[reader.unsignedLong()] ?? "maybe";
  const kind = /([^/:]+):[^:]*$/.exec(id)?.[1] ?? id;
  const name = minorName(kind, minor);
  return new SystemException(
    kind,
    `The server answered ${kind} (minor ${name}, completed: ${completed})`,
    { minor, completed },
  );
}
