// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * Reads what the service sends to the control page: summaries, lines of output
 * and events. Takes anything, and says what it is. Beyond this module everything
 * has a known shape.
 *
 * @module
 */

/** How many states and calls of a procedure the page keeps. */
export const HISTORY_ROWS = 500;
const TEXT_LENGTH = 300;

/**
 * @typedef {[string, number]} StateEntry A state, and when it began, in seconds
 * since the epoch.
 *
 * @typedef {object} Script
 * @property {string} script_type
 * @property {string} script_uri
 * @property {{ git_repo?: string, git_branch?: string, git_commit?: string }} [git_args]
 * @property {boolean} [create_env]
 *
 * @typedef {object} Call
 * @property {string} fn
 * @property {unknown[]} args
 * @property {Record<string, unknown>} kwargs
 * @property {number | null} time
 *
 * @typedef {object} Procedure
 * @property {number} id
 * @property {Script} script
 * @property {Call[]} calls
 * @property {StateEntry[]} states
 * @property {string | null} stacktrace
 * @property {string} state
 * @property {number | null} born When its first state began: another time,
 * another procedure.
 * @property {number} touched The number of the change that was the last.
 *
 * @typedef {object} Activity
 * @property {number} id
 * @property {number | null} pid
 * @property {string} name
 * @property {string} sbdId
 * @property {string} state
 * @property {StateEntry[]} states
 * @property {number} touched
 *
 * @typedef {object} EventRow
 * @property {number} key
 * @property {number | null} time
 * @property {string} topic
 * @property {string} source
 * @property {number | null} pid
 * @property {string} text
 *
 * @typedef {object} OutputLine
 * @property {number} line
 * @property {number} time
 * @property {string} stream
 * @property {string} text
 * @property {number} dropped
 *
 * @typedef {{ topic: string, msg_src?: unknown, time?: unknown, [name: string]: unknown }} WireEvent
 *
 * @typedef {(
 *   | { kind: "procedure", pid: number, procedure: Procedure | null }
 *   | { kind: "procedure-state", pid: number, state: string, time: number | null }
 *   | { kind: "procedure-stacktrace", pid: number, stacktrace: string }
 * )} ProcedureNews
 *
 * @typedef {(
 *   | ProcedureNews
 *   | { kind: "procedure-removed", pid: number }
 *   | { kind: "activity", activity: Activity | null }
 *   | { kind: "activity-state", id: number, state: string, time: number | null }
 *   | { kind: "context", waitForQaReady: boolean }
 *   | { kind: "output", pid: number | null }
 *   | { kind: "gap", dropped: number }
 *   | { kind: "other" }
 * )} News What an event changes. A summary that is none is `null`.
 */

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function record(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? /** @type {Record<string, unknown>} */ (value)
    : {};
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @returns {number | null}
 */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/**
 * @param {unknown} value
 * @returns {number | null}
 */
function idOf(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) > 0
    ? /** @type {number} */ (value)
    : null;
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function text(value) {
  return typeof value === "string" ? value : "";
}

/**
 * @param {unknown} value
 * @returns {StateEntry[]}
 */
function readStates(value) {
  return list(value).slice(-HISTORY_ROWS).flatMap((entry) => {
    const [name, time] = list(entry);
    return typeof name === "string" && number(time) !== null
      ? [/** @type {StateEntry} */ ([name, time])]
      : [];
  });
}

/**
 * @param {unknown} fn
 * @param {unknown} value
 * @returns {Call}
 */
function readCall(fn, value) {
  const { args, kwargs, time } = record(value);
  return {
    fn: text(fn),
    args: list(args),
    kwargs: record(kwargs),
    time: number(time),
  };
}

/**
 * Reads a summary off the wire.
 *
 * @param {unknown} value
 * @param {number} touched
 * @returns {Procedure | null} `null` if it is none.
 */
export function readProcedure(value, touched = 0) {
  const summary = record(value);
  const id = idOf(summary.id);
  if (id === null || typeof summary.state !== "string") return null;
  const history = record(summary.history);
  const script = record(summary.script);
  return {
    id,
    script: {
      script_type: text(script.script_type),
      script_uri: text(script.script_uri),
      git_args: record(script.git_args),
      create_env: script.create_env === true,
    },
    calls: Array.isArray(summary.calls)
      ? summary.calls.slice(-HISTORY_ROWS).map((call) =>
        readCall(record(call).fn, call)
      )
      : Object.entries(record(summary.script_args)).map(([fn, call]) =>
        readCall(fn, call)
      ),
    states: readStates(history.process_states),
    stacktrace: typeof history.stacktrace === "string"
      ? history.stacktrace
      : null,
    state: summary.state,
    born: readStates(list(history.process_states).slice(0, 1))[0]?.[1] ?? null,
    touched,
  };
}

/**
 * Reads the summary of an activity off the wire.
 *
 * @param {unknown} value
 * @param {number} touched
 * @returns {Activity | null} `null` if it is none.
 */
export function readActivity(value, touched = 0) {
  const summary = record(value);
  const id = idOf(summary.id);
  if (id === null || typeof summary.activity_name !== "string") return null;
  return {
    id,
    pid: idOf(summary.procedure_id) ?? idOf(summary.pid),
    name: summary.activity_name,
    sbdId: text(summary.sbd_id),
    state: text(summary.state),
    states: readStates(summary.activity_states),
    touched,
  };
}

/**
 * Reads a list off the wire. What `read` takes for none is left out.
 *
 * @template T
 * @param {unknown} values
 * @param {(value: unknown, touched: number) => T | null} read
 * @param {number} touched
 * @returns {T[]}
 */
export function readList(values, read, touched) {
  return list(values).flatMap((value) => {
    const one = read(value, touched);
    return one === null ? [] : [one];
  });
}

/**
 * @param {unknown} value
 * @returns {{ waitForQaReady: boolean }}
 */
export function readContext(value) {
  return { waitForQaReady: record(value).wait_for_qa_ready === true };
}

/**
 * Reads a page of output off the wire. What is no line is left out.
 *
 * @param {unknown} value
 * @returns {{ lines: OutputLine[], next: number | null }}
 */
export function readPage(value) {
  const { lines, next } = record(value);
  return {
    lines: list(lines).flatMap((value) => {
      const { line, time, stream, text: written, dropped } = record(value);
      const at = idOf(line);
      return at === null ? [] : [{
        line: at,
        time: number(time) ?? 0,
        stream: text(stream),
        text: text(written),
        dropped: number(dropped) ?? 0,
      }];
    }),
    next: number(next),
  };
}

/**
 * The procedure that an event is about.
 *
 * @param {WireEvent} event
 * @returns {number | null}
 */
function procedureOf(event) {
  if (event.topic.startsWith("activity.")) {
    return idOf(record(event.result).procedure_id);
  }
  const source = event.msg_src;
  return idOf(event.pid) ?? idOf(record(event.result).id) ??
    (typeof source === "string" && /^[1-9]\d{0,14}$/.test(source)
      ? Number(source)
      : idOf(source));
}

/**
 * @param {WireEvent} event
 * @param {number} pid
 * @param {number} touched
 * @returns {ProcedureNews}
 */
function readProcedureNews(event, pid, touched) {
  const { topic, new_state: state, stacktrace } = event;
  if (topic.endsWith(".statechange")) {
    return typeof state === "string"
      ? { kind: "procedure-state", pid, state, time: number(event.time) }
      : { kind: "procedure", pid, procedure: null };
  }
  if (topic.endsWith(".stacktrace")) {
    return typeof stacktrace === "string"
      ? { kind: "procedure-stacktrace", pid, stacktrace }
      : { kind: "procedure", pid, procedure: null };
  }
  const procedure = readProcedure(event.result, touched);
  return { kind: "procedure", pid, procedure };
}

/**
 * @param {WireEvent} event
 * @param {number} touched
 * @returns {News}
 */
function readActivityNews(event, touched) {
  const activity = readActivity(event.result, touched);
  const id = idOf(event.id) ?? idOf(event.aid) ?? idOf(event.activity_id);
  const state = event.new_state;
  return activity === null && id !== null && typeof state === "string"
    ? { kind: "activity-state", id, state, time: number(event.time) }
    : { kind: "activity", activity };
}

/**
 * What an event changes.
 *
 * @param {WireEvent} event
 * @param {number} touched
 * @returns {News}
 */
export function readNews(event, touched) {
  const { topic } = event;
  const pid = procedureOf(event);
  if (topic === "script.output") return { kind: "output", pid };
  if (topic === "stream.gap") {
    return { kind: "gap", dropped: Math.max(0, number(event.dropped) ?? 0) };
  }
  if (topic.startsWith("procedure.lifecycle.") && pid !== null) {
    return topic === "procedure.lifecycle.removed"
      ? { kind: "procedure-removed", pid }
      : readProcedureNews(event, pid, touched);
  }
  if (topic.startsWith("activity.lifecycle.")) {
    return readActivityNews(event, touched);
  }
  if (topic === "operator.wait_for_qa_ready.enable") {
    return { kind: "context", waitForQaReady: true };
  }
  if (topic === "operator.wait_for_qa_ready.disable") {
    return { kind: "context", waitForQaReady: false };
  }
  return { kind: "other" };
}

/** @param {string} value */
const shorten = (value) =>
  value.length > TEXT_LENGTH ? `${value.slice(0, TEXT_LENGTH)}…` : value;

/** @param {unknown} value */
function json(value) {
  return value === undefined ? "" : JSON.stringify(value);
}

/**
 * Says in a few words what an event says.
 *
 * @param {WireEvent} event
 * @returns {string}
 */
function describe(event) {
  if (event.topic === "stream.gap") {
    return `${number(event.dropped) ?? 0} events lost`;
  }
  if (typeof event.new_state === "string") return shorten(event.new_state);
  if (typeof event.stacktrace === "string") {
    return shorten(event.stacktrace.split("\n", 1)[0] ?? "");
  }
  const result = record(event.result);
  if (typeof result.activity_name === "string") {
    return shorten(`${result.activity_name}: ${text(result.state)}`);
  }
  if (typeof result.state === "string") return shorten(result.state);
  const { topic: _topic, msg_src: _source, time: _time, ...payload } = event;
  const names = Object.keys(payload);
  return shorten(
    names.length === 0
      ? ""
      : json(names.length === 1 && names[0] === "data" ? event.data : payload),
  );
}

/** @param {unknown} source */
function nameOf(source) {
  return typeof source === "object" && source !== null
    ? json(source)
    : String(source ?? "");
}

/**
 * An event in a row of a table.
 *
 * @param {WireEvent} event
 * @param {number} key
 * @returns {EventRow}
 */
export function readRow(event, key) {
  return {
    key,
    time: number(event.time),
    topic: event.topic,
    source: shorten(nameOf(event.msg_src)),
    pid: procedureOf(event),
    text: describe(event),
  };
}
