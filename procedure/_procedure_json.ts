// Copyright 2026 the Longrun authors. MIT license.

import type { BusEvent } from "@longrun/tasks/event-bus";
import { jsonValue } from "./_json_value.ts";
import type {
  ActivityState,
  ActivitySummary,
  RunActivityCommand,
} from "./activity.ts";
import {
  type PrepareProcessCommand,
  type ProcedureInput,
  procedureInput,
  type ProcedureSummary,
  type ScriptContext,
  type StartProcessCommand,
  type StopProcessCommand,
} from "./procedure.ts";
import type { StoredOutput } from "./procedure_service.ts";
import type { ProcedureState } from "./procedure_state.ts";
import type { ProcedureTopics } from "./procedure_topics.ts";
import {
  type ExecutableScript,
  fileSystemScript,
  gitScript,
} from "./script.ts";

/** A script, as it travels. */
export type ScriptJson =
  | { script_type: "filesystem"; script_uri: string }
  | {
    script_type: "git";
    script_uri: string;
    git_args: {
      git_repo: string;
      git_branch?: string | null;
      git_commit?: string | null;
    };
    create_env?: boolean | null;
  };

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
  history: {
    process_states: [ProcedureState, number][];
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

/** A script as it travels. */
export function encodeScript(script: ExecutableScript): ScriptJson {
  if (script.type === "filesystem") {
    return { script_type: "filesystem", script_uri: script.uri };
  }
  const { repo, branch = null, commit = null } = script.git;
  return {
    script_type: "git",
    script_uri: script.uri,
    git_args: { git_repo: repo, git_branch: branch, git_commit: commit },
    create_env: script.createEnv,
  };
}

/** The script that has travelled, checked already. */
export function decodeScript(json: ScriptJson): ExecutableScript {
  if (json.script_type === "filesystem") {
    return fileSystemScript(json.script_uri);
  }
  const { git_repo, git_branch, git_commit } = json.git_args;
  return gitScript(json.script_uri, {
    repo: git_repo,
    branch: git_branch ?? undefined,
    commit: git_commit ?? undefined,
    createEnv: json.create_env ?? false,
  });
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
export function encodeInputs(
  inputs: Readonly<Record<string, ProcedureInput>>,
): Record<string, CallJson> {
  return Object.fromEntries(
    Object.entries(inputs).map(([fn, input]) => [fn, encodeInput(input)]),
  );
}

/** The arguments of several functions that have travelled. */
export function decodeInputs(
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
  const { id, script, state, history } = summary;
  const calls = summary.calls.map(({ fn, input, time }) => ({
    fn,
    ...encodeInput(input),
    time: seconds(time),
  }));
  return {
    id,
    script: encodeScript(script),
    script_args: Object.fromEntries(
      calls.map(({ fn, args, kwargs }) => [fn, { args, kwargs }]),
    ),
    calls,
    history: {
      process_states: history.states.map(([name, ms]) => [name, seconds(ms)]),
      stacktrace: history.stacktrace,
    },
    state,
    uri: `${root}/procedures/${id}`,
  };
}

/** The procedure that has travelled, checked already. */
export function decodeProcedure(json: ProcedureJson): ProcedureSummary {
  const { id, script, calls, history, state } = json;
  return {
    id,
    script: decodeScript(script),
    calls: calls.map(({ fn, args, kwargs, time }) => ({
      fn,
      input: procedureInput(kwargs, args),
      time: milliseconds(time),
    })),
    history: {
      states: history.process_states.map(([name, s]) => [
        name,
        milliseconds(s),
      ]),
      stacktrace: history.stacktrace,
    },
    state,
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
  return {
    id,
    pid: procedureId,
    procedure_id: procedureId,
    sbd_id: sbdId,
    activity_name: name,
    prepare_only: summary.prepareOnly,
    script_args: encodeInputs(summary.scriptArgs),
    activity_states: states.map(([name, ms]) => [name, seconds(ms)]),
    state,
    sbi_id: sbiId,
    uri: `${root}/activities/${id}`,
  };
}

/** The activity that has travelled, checked already. */
export function decodeActivity(json: ActivityJson): ActivitySummary {
  return {
    id: json.id,
    procedureId: json.procedure_id,
    sbdId: json.sbd_id,
    sbiId: json.sbi_id,
    name: json.activity_name,
    prepareOnly: json.prepare_only,
    scriptArgs: decodeInputs(json.script_args),
    state: json.state,
    states: json.activity_states.map(([name, s]) => [name, milliseconds(s)]),
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

function encodeCommand(
  command: PrepareProcessCommand | StartProcessCommand | StopProcessCommand,
): unknown {
  if ("script" in command) {
    const { script, initArgs = procedureInput() } = command;
    const init = encodeInput(initArgs);
    return { script: encodeScript(script), script_args: { init } };
  }
  const { pid } = command;
  if ("runAbort" in command) return { pid, run_abort: command.runAbort };
  const { fn = "main", args = procedureInput(), forceStart = false } =
    command as StartProcessCommand;
  return { pid, fn, args: encodeInput(args), force_start: forceStart };
}

function encodeActivityCommand(command: RunActivityCommand): unknown {
  const { name, sbdId, prepareOnly = false, createEnv = false } = command;
  const inputs = Object.entries(command.args ?? {});
  return {
    sbd_id: sbdId,
    activity_name: name,
    script_args: Object.fromEntries(
      inputs.map(([fn, input]) => [fn, encodeInput(input)]),
    ),
    prepare_only: prepareOnly,
    create_env: createEnv,
  };
}

type Reply<R> = { readonly ok: boolean; readonly value?: R; error?: unknown };

/** The answer, or what has failed: its name and message, and no more. */
function encodeReply<R>(
  reply: Reply<R>,
  encode: (value: R) => unknown,
): Record<string, unknown> {
  if (reply.ok) return { result: encode(reply.value as R) };
  const { name, message } = reply.error as Record<string, unknown>;
  return { error: { name: jsonValue(name), message: jsonValue(message) } };
}

type Encode<T> = (data: T, root: string) => Record<string, unknown>;

const nothing: Encode<unknown> = () => ({});
const result: Encode<ProcedureSummary> = (summary, root) => ({
  result: encodeProcedure(summary, root),
});
const command: Encode<
  PrepareProcessCommand | StartProcessCommand | StopProcessCommand
> = (data) => ({ cmd: encodeCommand(data) });
const block: Encode<{ readonly sbiId: string }> = ({ sbiId }) => ({
  sbi_id: sbiId,
});
const results: Encode<Reply<readonly ProcedureSummary[]>> = (reply, root) =>
  encodeReply(reply, (all) => all.map((one) => encodeProcedure(one, root)));
const replied: Encode<Reply<ProcedureSummary>> = (reply, root) =>
  encodeReply(reply, (summary) => encodeProcedure(summary, root));

const PAYLOADS: { [T in keyof ProcedureTopics]: Encode<ProcedureTopics[T]> } = {
  "request.procedure.create": command,
  "request.procedure.start": command,
  "request.procedure.stop": command,
  "request.procedure.list": ({ pids }) => ({ pids: pids ?? null }),
  "request.activity.run": (data) => ({ cmd: encodeActivityCommand(data) }),
  "request.activity.list": ({ ids }) => ({ activity_ids: ids ?? null }),
  "activity.reply.running": (reply, root) =>
    encodeReply(reply, (summary) => encodeActivity(summary, root)),
  "activity.pool.list": (reply, root) =>
    encodeReply(reply, (all) => all.map((one) => encodeActivity(one, root))),
  "procedure.reply.created": replied,
  "procedure.reply.started": replied,
  "procedure.reply.stopped": results,
  "procedure.pool.list": results,
  "procedure.lifecycle.statechange": ({ pid, state }) => ({
    new_state: state,
    pid,
  }),
  "procedure.lifecycle.stacktrace": ({ pid, stacktrace }) => ({
    stacktrace,
    pid,
  }),
  "procedure.lifecycle.created": result,
  "procedure.lifecycle.started": result,
  "procedure.lifecycle.ready": result,
  "procedure.lifecycle.complete": result,
  "procedure.lifecycle.failed": result,
  "procedure.lifecycle.stopped": result,
  "procedure.lifecycle.unknown": result,
  "procedure.lifecycle.removed": ({ pid }) => ({ pid }),
  "script.output": ({ pid, stream, text, dropped }) => ({
    pid,
    stream,
    text,
    dropped,
  }),
  "activity.lifecycle.running": (summary, root) => ({
    result: encodeActivity(summary, root),
  }),
  "activity.lifecycle.statechange": ({ id, state }) => ({
    new_state: state,
    id,
  }),
  "sb.lifecycle.started": block,
  "sb.lifecycle.finished.succeeded": block,
  "sb.lifecycle.finished.failed": block,
  "operator.wait_for_qa_ready.enable": nothing,
  "operator.wait_for_qa_ready.disable": nothing,
  "operator.wait_for_qa_ready.override": nothing,
};

const payloads: ReadonlyMap<string, Encode<never>> = new Map(
  Object.entries(PAYLOADS) as [string, Encode<never>][],
);

/** The payload of an event; any value if it is none that is known. */
function encodePayload(event: BusEvent, root: string): Record<string, unknown> {
  const encode = payloads.get(event.topic);
  if (encode !== undefined) {
    try {
      return encode(event.data as never, root);
    } catch {
      // Somebody has published something else on this topic.
    }
  }
  return { data: jsonValue(event.data) };
}

/**
 * An event as it travels. Never throws.
 *
 * @param root Where the interface is, with its base path.
 */
export function encodeEvent(
  event: BusEvent,
  root: string,
): Record<string, unknown> {
  const { topic, source, time, requestId } = event;
  const payload = encodePayload(event, root);
  const isLinked = requestId !== undefined || Object.hasOwn(payload, "result");
  return {
    topic,
    msg_src: source,
    time: seconds(time),
    ...(isLinked ? { request_id: requestId ?? null } : {}),
    ...payload,
  };
}
