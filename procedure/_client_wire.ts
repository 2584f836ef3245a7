// Copyright 2026 the Longrun authors. MIT license.

import { ProcedureClientError } from "./_client_error.ts";
import { milliseconds } from "./_procedure_json.ts";
import type {
  ActivityState,
  ActivitySummary,
  RunActivityCommand,
} from "./activity.ts";
import {
  type ArgCapture,
  type ProcedureInput,
  procedureInput,
  type ProcedureSummary,
} from "./procedure.ts";
import type { StoredOutput } from "./procedure_service.ts";
import { isProcedureState, type ProcedureState } from "./procedure_state.ts";
import type { ExecutableScript } from "./script.ts";

/** What travels, before anything is known of it. */
type Wire = Record<string, unknown>;

const SCRIPT_STREAMS = ["stdout", "stderr", "log"] as const;

const originals = new WeakMap<object, unknown>();

/** What travelled, of a value that was read from it. */
export function originalOf(value: object): unknown {
  return originals.get(value);
}

function keep<T extends object>(value: T, wire: unknown): T {
  Object.freeze(value);
  originals.set(value, wire);
  return value;
}

function bad(what: string, value: unknown): ProcedureClientError {
  const shown = JSON.stringify(value)?.slice(0, 80);
  return new ProcedureClientError(
    "bad-answer",
    `The answer is not understood: ${what} is ${shown}`,
    { status: 200, body: value },
  );
}

function record(value: unknown, what: string): Wire {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Wire;
  }
  throw bad(what, value);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw bad(what, value);
}

function number(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw bad(what, value);
}

function text(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw bad(what, value);
}

const time = (value: unknown, what: string): number =>
  milliseconds(number(value, what));

function readInput(value: unknown): ProcedureInput {
  const { args, kwargs } = record(value ?? {}, "a call");
  return procedureInput(
    record(kwargs ?? {}, "kwargs"),
    list(args ?? [], "args"),
  );
}

function readInputs(value: unknown): Record<string, ProcedureInput> {
  return Object.fromEntries(
    Object.entries(record(value ?? {}, "script_args"))
      .map(([fn, input]) => [fn, readInput(input)]),
  );
}

function readScript(value: unknown): ExecutableScript {
  const { script_type: type, script_uri, git_args, create_env } = record(
    value,
    "script",
  );
  const uri = text(script_uri, "script_uri");
  if (type === "filesystem") return Object.freeze({ type, uri });
  if (type !== "git") {
    // Of a kind that the service has a loader for.
    const kind = text(type, "script_type");
    return Object.freeze({ type: kind as "filesystem", uri });
  }
  const { git_repo, git_branch, git_commit } = record(
    git_args ?? {},
    "git_args",
  );
  return Object.freeze({
    type,
    uri,
    git: Object.freeze({
      repo: text(git_repo ?? "", "git_repo"),
      ...(typeof git_branch === "string" ? { branch: git_branch } : {}),
      ...(typeof git_commit === "string" ? { commit: git_commit } : {}),
    }),
    createEnv: create_env === true,
  });
}

function readState(value: unknown): ProcedureState {
  if (isProcedureState(value)) return value;
  throw bad("state", value);
}

function readCalls(summary: Wire): readonly ArgCapture[] {
  const { calls, script_args: last } = summary;
  if (calls === undefined) {
    return Object.entries(readInputs(last))
      .map(([fn, input]) => Object.freeze({ fn, input, time: NaN }));
  }
  return list(calls, "calls").map((each) => {
    const call = record(each, "a call");
    return Object.freeze({
      fn: text(call.fn, "fn"),
      input: readInput(call),
      time: time(call.time, "the time of a call"),
    });
  });
}

function readDropped<Name extends string>(
  name: Name,
  value: unknown,
): { [name in Name]?: number } {
  if (value === undefined || value === null) return {};
  return { [name]: number(value, name) } as { [name in Name]: number };
}

/** A procedure of a service elsewhere. */
export interface RemoteProcedure extends ProcedureSummary {
  /** The address of the procedure. */
  readonly uri: string;
}

/** An activity of a service elsewhere. */
export interface RemoteActivity extends ActivitySummary {
  /** The address of the activity. */
  readonly uri: string;
}

/** Reads a summary of a procedure. */
export function readProcedure(value: unknown): RemoteProcedure {
  const wire = record(value, "a procedure");
  const history = record(wire.history, "history");
  const { stacktrace } = history;
  return keep({
    id: number(wire.id, "id"),
    script: readScript(wire.script),
    calls: Object.freeze(readCalls(wire)),
    ...readDropped("droppedCalls", wire.dropped_calls),
    history: Object.freeze({
      states: Object.freeze(
        list(history.process_states, "process_states").map((each) => {
          const [state, since] = list(each, "a state");
          return Object.freeze(
            [readState(state), time(since, "the time of a state")],
          ) as readonly [ProcedureState, number];
        }),
      ),
      ...readDropped("droppedStates", history.dropped_states),
      stacktrace: typeof stacktrace === "string" ? stacktrace : null,
    }),
    state: readState(wire.state),
    uri: text(wire.uri ?? "", "uri"),
  }, value);
}

/** Reads summaries of procedures. */
export function readProcedures(value: unknown): readonly RemoteProcedure[] {
  return list(value, "the list of procedures").map(readProcedure);
}

/** Reads a summary of an activity. */
export function readActivity(value: unknown): RemoteActivity {
  const wire = record(value, "an activity");
  const pid = wire.procedure_id ?? wire.pid ?? null;
  return keep({
    id: number(wire.id, "id"),
    procedureId: pid === null ? null : number(pid, "procedure_id"),
    sbdId: text(wire.sbd_id, "sbd_id"),
    sbiId: text(wire.sbi_id ?? "", "sbi_id"),
    name: text(wire.activity_name, "activity_name"),
    prepareOnly: wire.prepare_only === true,
    scriptArgs: Object.freeze(readInputs(wire.script_args)),
    state: text(wire.state, "state") as ActivityState,
    states: Object.freeze(
      list(wire.activity_states ?? [], "activity_states").map((each) => {
        const [state, since] = list(each, "a state");
        return Object.freeze([
          text(state, "a state"),
          time(since, "the time of a state"),
        ]) as readonly [ActivityState, number];
      }),
    ),
    ...readDropped("droppedStates", wire.dropped_states),
    uri: text(wire.uri ?? "", "uri"),
  }, value);
}

/** Reads summaries of activities. */
export function readActivities(value: unknown): readonly RemoteActivity[] {
  return list(value, "the list of activities").map(readActivity);
}

/** Lines of the output of a procedure. */
export interface OutputPage {
  /** The lines. */
  readonly lines: readonly StoredOutput[];
  /** What to ask for as `after` to get those that follow. */
  readonly next: number;
}

/** Reads lines of output. */
export function readOutput(value: unknown, pid: number): OutputPage {
  const wire = record(value, "the output");
  const lines = list(wire.lines, "lines").map((each) => {
    const line = record(each, "a line");
    const stream = SCRIPT_STREAMS.find((one) => one === line.stream);
    if (stream === undefined) throw bad("stream", line.stream);
    return keep({
      pid,
      stream,
      text: text(line.text, "text"),
      dropped: number(line.dropped ?? 0, "dropped"),
      line: number(line.line, "line"),
      time: time(line.time, "the time of a line"),
    }, each);
  });
  return keep({ lines, next: number(wire.next, "next") }, value);
}

/** Writes what is asked of an activity as it travels. */
export function writeRun(command: RunActivityCommand): Wire {
  const { name, sbdId, prepareOnly = false, createEnv = false, args = {} } =
    command;
  return {
    sbd_id: sbdId,
    activity_name: name,
    prepare_only: prepareOnly,
    create_env: createEnv,
    script_args: args,
  };
}

/** An event of the stream, as it was published. */
export interface RemoteEvent {
  /** Its place in the stream; empty if the service gives none. */
  readonly id: string;
  /** The topic; `"stream.gap"` where events were lost. */
  readonly topic: string;
  /** Who published it; for a procedure, its number. */
  readonly source: string;
  /** When, in milliseconds since the epoch; `NaN` if the service does not say. */
  readonly time: number;
  /**
   * What was published, by the names that travel; for `"stream.gap"` it is
   * `{ dropped }`, `null` if nobody knows how many.
   */
  readonly data: Readonly<Record<string, unknown>>;
}

/** An event that says that others were lost. */
export function gapEvent(dropped: number | null): RemoteEvent {
  const data = Object.freeze({ dropped });
  const gap = { id: "", topic: "stream.gap", source: "", time: NaN, data };
  return keep(gap, { topic: "stream.gap", dropped });
}

/** Reads an event; `undefined` if it is none. */
export function readEvent(id: string, line: string): RemoteEvent | undefined {
  let wire: unknown;
  try {
    wire = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof wire !== "object" || wire === null) return undefined;
  const { topic, msg_src: source, time: at, ...data } = wire as Wire;
  if (typeof topic !== "string") return undefined;
  return keep({
    id,
    topic,
    source: String(source ?? ""),
    time: typeof at === "number" ? milliseconds(at) : NaN,
    data: Object.freeze(data),
  }, wire);
}
