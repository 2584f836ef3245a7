// Copyright 2026 the Longrun authors. MIT license.

import { ProcedureClientError } from "./_client_error.ts";
import type { ProcedureState } from "./procedure_state.ts";

/** With what `longrun` ends. Programs rely on these: none ever changes. */
export const EXIT = {
  /** Done; the procedure is COMPLETE. */
  ok: 0,
  /** The procedure has FAILED; the service could not be started. */
  failed: 1,
  /** The command line, or what it asks for, is not understood. */
  usage: 2,
  /** The service refuses. */
  refused: 3,
  /** There is no such procedure, activity or definition. */
  notFound: 4,
  /** The service cannot be reached, wants another token, or has failed. */
  unreachable: 5,
  /** The procedure is STOPPED or UNKNOWN. */
  stopped: 6,
  /** A mistake in `longrun` itself. */
  software: 70,
  /** The time of `--timeout` is over. */
  timeout: 124,
  /** Interrupted by Ctrl-C. */
  interrupted: 130,
  /** Nobody reads the output any more. */
  closed: 141,
} as const;

/** What `longrun` may end with. */
export type ExitStatus = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 70 | 124 | 130 | 141;

/** Why all work ends before it is done. Needs no words of its own. */
export class Ending extends Error {
  override readonly name: string = "Ending";
  readonly status: ExitStatus;

  constructor(status: ExitStatus, message: string) {
    super(message);
    this.status = status;
  }
}

/** The command line is not understood. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
  /** The command whose help may help. */
  readonly path: readonly string[];

  constructor(message: string, path: readonly string[] = []) {
    super(message);
    this.path = path;
  }
}

/** A failure that has a status and a sentence. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  readonly status: ExitStatus;

  constructor(status: ExitStatus, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** The status for how a procedure has ended. */
export function statusOfState(state: ProcedureState): ExitStatus {
  if (state === "FAILED") return EXIT.failed;
  return state === "STOPPED" || state === "UNKNOWN" ? EXIT.stopped : EXIT.ok;
}

/** The status for a failure. */
export function statusOfError(error: unknown): ExitStatus {
  if (error instanceof Ending || error instanceof CommandError) {
    return error.status;
  }
  if (error instanceof UsageError) return EXIT.usage;
  if (!(error instanceof ProcedureClientError)) return EXIT.software;
  switch (error.code) {
    case "procedure-not-found":
    case "activity-not-found":
    case "script-not-found":
    case "scheduling-block-not-found":
    case "activity-not-defined":
      return EXIT.notFound;
    case "invalid-state":
    case "another-running":
    case "too-many-procedures":
    case "abort-refused":
    case "script-refused":
    case "function-not-found":
    case "forbidden":
      return EXIT.refused;
    case "startup-failed":
    case "abort-failed":
    case "git-failed":
    case "environment-failed":
      return EXIT.failed;
    case "arguments-refused":
    case "invalid-request":
      return EXIT.usage;
    default:
      return EXIT.unreachable;
  }
}
