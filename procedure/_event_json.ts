// Copyright 2026 the Longrun authors. MIT license.

import type { RunActivityCommand } from "./activity.ts";
import type { BusEvent } from "@longrun/tasks/event-bus";
import { jsonValue } from "./_json_value.ts";
import {
  encodeActivity,
  encodeInput,
  encodeProcedure,
  seconds,
} from "./_procedure_json.ts";
import { encodeScript } from "./_script_json.ts";
import {
  type PrepareProcessCommand,
  procedureInput,
  type ProcedureSummary,
  type StartProcessCommand,
  type StopProcessCommand,
} from "./procedure.ts";
import type { ProcedureTopics } from "./procedure_topics.ts";

function encodePrepare(command: PrepareProcessCommand): unknown {
  const { script, initArgs = procedureInput() } = command;
  const init = encodeInput(initArgs);
  return { script: encodeScript(script, null), script_args: { init } };
}

function encodeStart(command: StartProcessCommand): unknown {
  const { pid, fn = "main", args = procedureInput(), forceStart = false } =
    command;
  return { pid, fn, args: encodeInput(args), force_start: forceStart };
}

function encodeStop({ pid, runAbort = false }: StopProcessCommand): unknown {
  return { pid, run_abort: runAbort };
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
const block: Encode<{ readonly sbiId: string }> = ({ sbiId }) => ({
  sbi_id: sbiId,
});
const results: Encode<Reply<readonly ProcedureSummary[]>> = (reply, root) =>
  encodeReply(reply, (all) => all.map((one) => encodeProcedure(one, root)));
const replied: Encode<Reply<ProcedureSummary>> = (reply, root) =>
  encodeReply(reply, (summary) => encodeProcedure(summary, root));

const PAYLOADS: { [T in keyof ProcedureTopics]: Encode<ProcedureTopics[T]> } = {
  "request.procedure.create": (data) => ({ cmd: encodePrepare(data) }),
  "request.procedure.start": (data) => ({ cmd: encodeStart(data) }),
  "request.procedure.stop": (data) => ({ cmd: encodeStop(data) }),
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
