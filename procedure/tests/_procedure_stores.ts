// Copyright 2026 the Longrun authors. MIT license.

import type {
  ActivitySummary,
  NewOutput,
  ProcedureState,
  ProcedureSummary,
} from "../mod.ts";

export function procedure(
  id: number,
  state: ProcedureState = "RUNNING",
  kwargs: Record<string, unknown> = {},
): ProcedureSummary {
  return {
    id,
    script: { type: "filesystem", uri: "file:///scripts/observe.ts" },
    calls: [{ fn: "init", input: { args: [], kwargs }, time: 1 }],
    history: { states: [["CREATING", 1], [state, 2]], stacktrace: null },
    state,
  };
}

export function activity(
  id: number,
  changes: Partial<ActivitySummary> = {},
): ActivitySummary {
  return {
    id,
    procedureId: null,
    sbdId: "sbd-1",
    sbiId: `sbi-${id}`,
    name: "observe",
    prepareOnly: false,
    scriptArgs: {},
    state: "REQUESTED",
    states: [["REQUESTED", 1]],
    ...changes,
  };
}

export function line(pid: number, text: string): NewOutput {
  return { pid, stream: "stdout", text, dropped: 0, time: 5 };
}

/** A path for a file that goes with its folder. */
export function temporaryFile(): { path: string } & Disposable {
  const folder = Deno.makeTempDirSync();
  return {
    path: `${folder}/procedures.sqlite`,
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}
