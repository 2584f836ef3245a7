// Copyright 2026 the Longrun authors. MIT license.

import { jsonValue } from "./_json_value.ts";
import type {
  ActivityState,
  ActivitySummary,
  RunActivityCommand,
} from "./activity.ts";
import {
  type ProcedureInput,
  procedureInput,
  type ProcedureSummary,
  type ScriptContext,
} from "./procedure.ts";
import type { StoredOutput } from "./procedure_service.ts";
import type { ProcedureState } from "./procedure_state.ts";
import { encodeScript, type ScriptJson } from "./_script_json.ts";

/** The arguments of a function, as they travel. */
export interface InputJson {
  args?: unknown[] | null;
  kwargs?: Record<string, unknown> | null;
}

/** The arguments of a call that was made, as they travel. */
export interface CallJson {
  args: unknown[];
  kwargs: Record<string, unknown>;
}

/** The arguments of functions by name, as they travel. */
export type ScriptArgsJson = Record<string, InputJson | null>;

/** A procedure, as it travels. Times are seconds since the epoch. */
export interface ProcedureJson {
  id: number;
  script: ScriptJson;
  script_args: Record<string, CallJson>;
  calls: (CallJson & { fn: string; time: number })[];
  dropped_calls?: number;
  history: {
    process_states: [ProcedureState, number][];
    dropped_states?: number;
    stacktrace: string | null;
  };
  state: ProcedureState;
  uri: string;
}

/** An activity, as it travels. Times are seconds since the epoch. */
export interface ActivityJson {
  id: number;
  pid: number | null;
  procedure_id: number | null;
  sbd_id: string;
  activity_name: string;
  prepare_only: boolean;
  script_args: Record<string, CallJson>;
  activity_states: [ActivityState, number][];
  dropped_states?: number;
  state: ActivityState;
  sbi_id: string;
  uri: string;
}

/** A line of output, as it travels. */
export interface OutputLineJson {
  line: number;
  time: number;
  stream: "stdout" | "stderr" | "log";
  text: string;
  dropped: number;
}

/** What is asked for with `POST /activities`. */
export interface ActivityCreateJson {
  sbd_id: string;
  activity_name: string;
  script_args?: ScriptArgsJson | null;
  prepare_only?: boolean | null;
  create_env?: boolean | null;
}

/** Seconds since the epoch, of milliseconds. */
export function seconds(ms: number): number {
  return ms / 1000;
}

/** Milliseconds since the epoch, of seconds. */
export function milliseconds(s: number): number {
  return Math.round(s * 1e6) / 1e3;
}

/** Arguments as they travel. */
export function encodeInput(input: ProcedureInput): CallJson {
  return {
    args: jsonValue(input.args) as unknown[],
    kwargs: jsonValue(input.kwargs) as Record<string, unknown>,
  };
}

/** The arguments that have travelled, checked already. */
export function decodeInput(
  json: InputJson | null | undefined,
): ProcedureInput {
  return procedureInput(json?.kwargs ?? {}, json?.args ?? []);
}

/** The arguments of several functions as they travel. */
function encodeInputs(
  inputs: Readonly<Record<string, ProcedureInput>>,
): Record<string, CallJson> {
  return Object.fromEntries(
    Object.entries(inputs).map(([fn, input]) => [fn, encodeInput(input)]),
  );
}

/** The arguments of several functions that have travelled. */
function decodeInputs(
  json: ScriptArgsJson | null | undefined,
): Record<string, ProcedureInput> {
  return Object.fromEntries(
    Object.entries(json ?? {}).map(([fn, input]) => [fn, decodeInput(input)]),
  );
}

/**
 * A procedure as it travels.
 *
 * @param root Where the interface is, with its base path.
 */
export function encodeProcedure(
  summary: ProcedureSummary,
  root: string,
): ProcedureJson {
  const { id, script, state, history, droppedCalls = 0 } = summary;
  const { droppedStates = 0 } = history;
  const calls = summary.calls.map(({ fn, input, time }) => ({
    fn,
    ...encodeInput(input),
    time: seconds(time),
  }));
  return {
    id,
    script: encodeScript(script, null),
    script_args: Object.fromEntries(
      calls.map(({ fn, args, kwargs }) => [fn, { args, kwargs }]),
    ),
    calls,
    ...(droppedCalls > 0 ? { dropped_calls: droppedCalls } : {}),
    history: {
      process_states: history.states.map(([name, ms]) => [name, seconds(ms)]),
      ...(droppedStates > 0 ? { dropped_states: droppedStates } : {}),
      stacktrace: history.stacktrace,
    },
    state,
    uri: `${root}/procedures/${id}`,
  };
}

/**
 * An activity as it travels.
 *
 * @param root Where the interface is, with its base path.
 */
export function encodeActivity(
  summary: ActivitySummary,
  root: string,
): ActivityJson {
  const { id, procedureId, sbdId, sbiId, name, state, states } = summary;
  const { droppedStates = 0 } = summary;
  return {
    id,
    pid: procedureId,
    procedure_id: procedureId,
    sbd_id: sbdId,
    activity_name: name,
    prepare_only: summary.prepareOnly,
    script_args: encodeInputs(summary.scriptArgs),
    activity_states: states.map(([name, ms]) => [name, seconds(ms)]),
    ...(droppedStates > 0 ? { dropped_states: droppedStates } : {}),
    state,
    sbi_id: sbiId,
    uri: `${root}/activities/${id}`,
  };
}

/** What was asked for with `POST /activities`. */
export function decodeActivityCommand(
  json: ActivityCreateJson,
): RunActivityCommand {
  return {
    name: json.activity_name,
    sbdId: json.sbd_id,
    prepareOnly: json.prepare_only ?? false,
    createEnv: json.create_env ?? false,
    args: decodeInputs(json.script_args),
  };
}

/** A line of output as it travels. */
export function encodeOutput(output: StoredOutput): OutputLineJson {
  const { line, time, stream, text, dropped } = output;
  return { line, time: seconds(time), stream, text, dropped };
}

/** What the operator has set, as it travels. */
export function encodeContext(context: ScriptContext): Record<string, unknown> {
  const { waitForQaReady, ...rest } = context;
  const more = jsonValue(rest) as Record<string, unknown>;
  return { ...more, wait_for_qa_ready: waitForQaReady };
}

/** What the operator wants to set. */
export function decodeContext(
  json: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { wait_for_qa_ready: waitForQaReady, ...rest } = json;
  return waitForQaReady === undefined ? rest : { ...rest, waitForQaReady };
}
