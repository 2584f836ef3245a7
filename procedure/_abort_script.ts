// Copyright 2026 the Longrun authors. MIT license.

/**
 * The script that runs after a stop. Whether it can be called is found out
 * before anything is stopped; it is called when all is.
 *
 * @module
 */

import { checkInput } from "./_arguments.ts";
import { copyInput } from "./_procedure_commands.ts";
import type { ProcedureInput, ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ExecutableScript } from "./script.ts";

/** What an abort is, and how it is done. */
export interface AbortScriptSettings {
  /** The script, if there is one. */
  readonly script: ExecutableScript | undefined;
  /**
   * What its `init` is called with, from the summary of the procedure that is to
   * be stopped. What it throws refuses the abort.
   */
  readonly argsOf: (summary: ProcedureSummary) => ProcedureInput;
  /** Rejects if the script may not be executed. */
  readonly check: (script: ExecutableScript) => Promise<void>;
  /** Calls the script: `init`, and then `main`. */
  readonly call: (
    script: ExecutableScript,
    initArgs: ProcedureInput,
  ) => Promise<ProcedureSummary>;
}

const wordsOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Aborts, for any procedure. */
export class AbortScript {
  readonly #settings: AbortScriptSettings;

  constructor(settings: AbortScriptSettings) {
    this.#settings = settings;
  }

  /**
   * Plans the abort of a procedure, which is still to be stopped.
   *
   * @returns A promise of a function that calls it, once the procedure has been
   * stopped. It fails with `"abort-failed"`.
   * @throws {ProcedureError} `"abort-refused"`.
   */
  async plan(
    procedure: ProcedureSummary,
  ): Promise<() => Promise<ProcedureSummary>> {
    const { id: pid } = procedure;
    const { script, argsOf, check, call } = this.#settings;
    try {
      if (script === undefined) throw new Error("There is no abort script");
      const given = argsOf(procedure);
      checkInput("abort", "abortArgs()", given);
      const input = copyInput(given);
      await check(script);
      return () => run(pid, () => call(script, input));
    } catch (error) {
      throw new ProcedureError(
        "abort-refused",
        `PID #${pid} was not stopped: ${wordsOf(error)}`,
        { cause: error },
      );
    }
  }
}

async function run(
  pid: number,
  call: () => Promise<ProcedureSummary>,
): Promise<ProcedureSummary> {
  try {
    return await call();
  } catch (error) {
    throw new ProcedureError(
      "abort-failed",
      `PID #${pid} was stopped, but its abort script failed: ${wordsOf(error)}`,
      { cause: error },
    );
  }
}
