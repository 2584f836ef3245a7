// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the process of a script is started with, how it is stopped, and how it
 * has ended.
 *
 * @module
 */

import type { Clock } from "@longrun/tasks/clock";
import type { Logger } from "@longrun/tasks/logger";
import type { OutputLimits } from "./_script_output.ts";
import type { Output } from "./_script_pipes.ts";
import type { ScriptError } from "./script_error.ts";
import type { ScriptGrants } from "./script_policy.ts";

export type { OutputLimits } from "./_script_output.ts";

/** How long each stage of a stop may take. */
export interface StopPolicy {
  /**
   * After the script was asked to end, in milliseconds; half of it when the
   * script does not even look whether it was asked. Zero: it is not asked.
   *
   * @default {1_000}
   */
  abort?: number;
  /**
   * After SIGTERM, in milliseconds. Zero: it is not sent.
   *
   * @default {1_000}
   */
  term?: number;
  /**
   * After SIGKILL, in milliseconds. Zero: it is not sent.
   *
   * @default {2_000}
   */
  kill?: number;
}

/** What a script wrote, where, and how many lines were lost before it. */
export type ScriptWorkerOutput = Output;

/** Options of `ScriptWorker.spawn`. */
export interface ScriptWorkerOptions {
  /** The number of the procedure. */
  pid: number;
  /**
   * The folders whose modules may be imported: absolute paths. The script
   * itself may not read what is in them. A link in them to another folder is
   * followed.
   */
  roots: readonly string[];
  /**
   * What the script may do beside computing.
   *
   * @default {{}}
   */
  grants?: ScriptGrants;
  /** The `deno.json` of the script: what its imports mean. */
  configPath?: string;
  /** An import map, a path or an address. */
  importMap?: string;
  /**
   * The flags by which `deno run` finds modules, in place of those that follow
   * from `configPath`, `importMap` and the grant `import`: those of an
   * {@linkcode Environment}. None of them may grant anything.
   */
  flags?: readonly string[];
  /**
   * Variables of the environment of the process. The script does not see them
   * unless it is granted.
   */
  env?: Readonly<Record<string, string>>;
  /**
   * Where Deno keeps the modules it has fetched.
   *
   * @default {that of `env`, or of this process}
   */
  denoDir?: string;
  /**
   * The working directory.
   *
   * @default {the one of this process}
   */
  cwd?: string;
  /**
   * How long the process may take to come up, in milliseconds.
   *
   * @default {10_000}
   */
  startupTimeout?: number;
  /**
   * The heap that the script may have, in megabytes.
   *
   * @default {1_024}
   */
  memory?: number;
  /** How it is stopped where `ScriptWorker.stop` says nothing. */
  stopPolicy?: StopPolicy;
  /** How much it may write and publish. */
  outputLimits?: OutputLimits;
  /** Is called with what the script writes, line by line. */
  onOutput?(output: ScriptWorkerOutput): void;
  /** Is called with what the script publishes. */
  onPublish?(topic: string, data: unknown): void;
  /**
   * Is called with the patterns of all subscriptions of the script whenever
   * they change: only such events need be delivered.
   */
  onSubscribe?(patterns: readonly string[]): void;
  /** Is told of what goes wrong. */
  logger?: Logger;
  /** Ends the start, and later the process. */
  signal?: AbortSignal;
  /** Measures the time. */
  clock?: Clock;
}

/** How the process of a script has ended. */
export interface ScriptExit {
  /** Its exit code; beyond 128 if a signal has ended it. */
  readonly code: number;
  /** The signal that has ended it. */
  readonly signal: string | null;
  /** Why, for people, where that is known. */
  readonly reason?: string;
  /** What nobody in the script has caught. */
  readonly error?: ScriptError;
  /** The last lines that it wrote to its standard error. */
  readonly lastErrors: readonly string[];
}
