// Copyright 2026 the Longrun authors. MIT license.

import {
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkName,
  checkNames,
  checkOptions,
  checkPositive,
  checkRecord,
  checkType,
} from "./_arguments.ts";
import { checkGrants, isAbsolute } from "./_script_grants.ts";
import { OUTPUT_LIMITS } from "./_script_output.ts";
import type {
  ScriptWorkerOptions,
  StopPolicy,
} from "./script_worker_options.ts";

/** Checks how a process is to be stopped. */
export function checkStopPolicy(policy: StopPolicy | undefined): void {
  if (policy === undefined) return;
  checkOptions("stop script", policy);
  for (const stage of ["abort", "term", "kill"] as const) {
    const ms = policy[stage];
    checkType(
      ms === undefined || (typeof ms === "number" && ms >= 0),
      "stop script",
      stage,
      "a non-negative number",
      ms,
    );
  }
}

/** Whether a flag of `deno run` is one, and no permission. */
function grantsNothing(flag: unknown): boolean {
  return typeof flag === "string" && flag.startsWith("--") &&
    !/^--(allow-(?!scripts=)|permission)/.test(flag);
}

/** Checks what a process is to be started with. */
export function checkSpawnOptions(options: ScriptWorkerOptions): void {
  const action = "start script";
  checkOptions(action, options);
  checkFiniteCount(action, "pid", options.pid, 0);
  checkNames(action, "roots", options.roots);
  for (const root of options.roots) {
    checkType(isAbsolute(root), action, "roots", "absolute paths", root);
  }
  checkGrants(action, options.grants);
  if (options.flags !== undefined) {
    checkType(
      Array.isArray(options.flags) && options.flags.every(grantsNothing),
      action,
      "flags",
      "flags of 'deno run' that grant nothing",
      options.flags,
    );
  }
  if (options.env !== undefined) checkRecord(action, "env", options.env);
  for (
    const name of ["configPath", "importMap", "denoDir", "cwd"] as const
  ) {
    if (options[name] !== undefined) checkName(action, name, options[name]);
  }
  const { startupTimeout, memory } = options;
  if (startupTimeout !== undefined) {
    checkPositive(action, "startupTimeout", startupTimeout);
  }
  if (memory !== undefined) checkFiniteCount(action, "memory", memory, 1);
  for (const name of ["onOutput", "onPublish", "onSubscribe"] as const) {
    if (options[name] !== undefined) checkFunction(action, name, options[name]);
  }
  if (options.outputLimits !== undefined) {
    checkOptions(action, options.outputLimits);
    for (const name of Object.keys(OUTPUT_LIMITS)) {
      const limit = options.outputLimits[name as keyof typeof OUTPUT_LIMITS];
      if (limit !== undefined) checkPositive(action, name, limit);
    }
  }
  checkStopPolicy(options.stopPolicy);
  checkCommon(action, options);
}
