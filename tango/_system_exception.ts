// Copyright 2026 the Longrun authors. MIT license.

import type { CdrReader } from "./_cdr_reader.ts";

/** Whether what was asked for was done. */
export type Completion = "yes" | "no" | "maybe";

const COMPLETIONS: readonly Completion[] = ["yes", "no", "maybe"];

/** Numbers that tell more, with the names of omniORB. */
export const MinorCode = {
  TRANSIENT_ConnectFailed: 0x41540002,
  TRANSIENT_CallTimedout: 0x41540004,
} as const;

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
  const code = `0x${minor.toString(16).padStart(8, "0")}`;
  return new SystemException(
    kind,
    `The server answered ${kind} (minor ${code}, completed: ${completed})`,
    { minor, completed },
  );
}
