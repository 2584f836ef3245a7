// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * What the control page knows, and how it changes: pure functions, without a
 * document.
 *
 * @module
 */

/** How many events the page keeps, of all procedures and of the chosen one. */
export const EVENT_ROWS = 500;
/** How many lines of output the page keeps. */
export const OUTPUT_LINES = 5_000;
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
 * @typedef {object} Output
 * @property {number | null} pid
 * @property {readonly OutputLine[]} lines
 * @property {number} next After which line to go on.
 * @property {number} end The highest line that is known of.
 * @property {number} wanted How often the service told of further lines.
 * @property {number} had How many of these have been followed.
 * @property {boolean} following Whether the end is shown.
 *
 * @typedef {object} Connection
 * @property {"connecting" | "live" | "reconnecting" | "signed-out"} status
 * @property {number} since In milliseconds since the epoch.
 * @property {string} [reason]
 *
 * @typedef {object} State
 * @property {Connection} connection
 * @property {boolean} loaded Whether the lists have been loaded once.
 * @property {number} lost How many events were lost.
 * @property {number} reloads How often a reason was seen to load the lists.
 * @property {number} sequence The number of the last change.
 * @property {ReadonlyMap<number, Procedure>} procedures
 * @property {ReadonlyMap<number, Activity>} activities
 * @property {string | null} noActivities Why there are none.
 * @property {{ waitForQaReady: boolean } | null} context
 * @property {string | null} noContext Why there is none.
 * @property {number | null} chosen
 * @property {readonly EventRow[]} events The oldest first.
 * @property {readonly EventRow[]} chosenEvents
 * @property {Output} output
 * @property {ReadonlyMap<number, "start" | "stop">} asked What was asked for and
 * not answered yet.
 *
 * @typedef {{ topic: string, msg_src?: unknown, time?: unknown, [name: string]: unknown }} WireEvent
 *
 * @typedef {(
 *   | { type: "connection", connection: Connection }
 *   | { type: "events", events: readonly WireEvent[] }
 *   | { type: "stale" }
 *   | { type: "procedures", list: unknown, since: number }
 *   | { type: "procedure", summary: unknown }
 *   | { type: "activities", list: unknown, since: number }
 *   | { type: "activity", summary: unknown }
 *   | { type: "no-activities", reason: string }
 *   | { type: "context", context: unknown }
 *   | { type: "no-context", reason: string }
 *   | { type: "choose", pid: number | null }
 *   | { type: "output", pid: number, after: number, lines: unknown, next: unknown, had: number }
 *   | { type: "earlier-output", pid: number, lines: readonly OutputLine[] }
 *   | { type: "latest-output" }
 *   | { type: "asked", pid: number, what: "start" | "stop" | null }
 *   | { type: "forget" }
 * )} Action
 */

/**
 * @param {number | null} pid
 * @param {number} [next]
 * @returns {Output}
 */
function emptyOutput(pid, next = 0) {
  return {
    pid,
    lines: [],
    next,
    end: next,
    wanted: pid === null ? 0 : 1,
    had: 0,
    following: true,
  };
}

/** @returns {State} */
export function initialState() {
  return {
    connection: { status: "connecting", since: 0 },
    loaded: false,
    lost: 0,
    reloads: 0,
    sequence: 0,
    procedures: new Map(),
    activities: new Map(),
    noActivities: null,
    context: null,
    noContext: null,
    chosen: null,
    events: [],
    chosenEvents: [],
    output: emptyOutput(null),
    asked: new Map(),
  };
}

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

/** @param {readonly StateEntry[]} states */
const lastTime = (states) => states.at(-1)?.[1] ?? -Infinity;

/** @param {Procedure} procedure */
const lastCall = ({ calls }) => calls.at(-1)?.time ?? -Infinity;

/**
 * Of two descriptions of one procedure, what is true: they may have overtaken
 * each other.
 *
 * @param {Procedure | undefined} known
 * @param {Procedure} told
 * @returns {Procedure}
 */
function newer(known, told) {
  if (known === undefined || known.born !== told.born) return told;
  if (known.state === told.state) {
    // What a procedure failed of is told after that it failed.
    return { ...told, stacktrace: told.stacktrace ?? known.stacktrace };
  }
  if (lastTime(told.states) >= lastTime(known.states)) return told;
  return {
    ...known,
    script: told.script,
    calls: lastCall(told) > lastCall(known) ? told.calls : known.calls,
    stacktrace: told.stacktrace ?? known.stacktrace,
    touched: told.touched,
  };
}

/**
 * @template {{ state: string, states: StateEntry[], touched: number }} T
 * @param {T} known
 * @param {string} state
 * @param {number} time
 * @param {number} touched
 * @returns {T}
 */
function moved(known, state, time, touched) {
  if (known.state === state || time < lastTime(known.states)) return known;
  return {
    ...known,
    state,
    states: [...known.states, [state, time]].slice(-HISTORY_ROWS),
    touched,
  };
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
export function describe(event) {
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
 * @param {readonly EventRow[]} rows
 * @param {EventRow[]} added
 */
function bounded(rows, added) {
  return added.length === 0 ? rows : [...rows, ...added].slice(-EVENT_ROWS);
}

/**
 * @param {State} state
 * @param {readonly WireEvent[]} events
 * @returns {State}
 */
function applyEvents(state, events) {
  const procedures = new Map(state.procedures);
  const activities = new Map(state.activities);
  let { lost, reloads, sequence, context, output } = state;
  let changedProcedures = false;
  let changedActivities = false;
  /** @type {EventRow[]} */
  const rows = [];
  /** @type {EventRow[]} */
  const chosenRows = [];
  for (const event of events) {
    const { topic } = event;
    const pid = procedureOf(event);
    if (topic === "script.output") {
      if (pid !== null && pid === state.chosen) {
        output = { ...output, wanted: output.wanted + 1 };
      }
      continue;
    }
    sequence++;
    if (topic === "stream.gap") {
      lost += Math.max(0, number(event.dropped) ?? 0);
      reloads++;
      output = { ...output, wanted: output.wanted + 1 };
    } else if (topic === "procedure.lifecycle.removed" && pid !== null) {
      changedProcedures = procedures.delete(pid) || changedProcedures;
    } else if (topic.startsWith("procedure.lifecycle.") && pid !== null) {
      const known = procedures.get(pid);
      let told = known;
      if (topic.endsWith(".statechange")) {
        if (known !== undefined && typeof event.new_state === "string") {
          const time = number(event.time) ?? lastTime(known.states);
          told = moved(known, event.new_state, time, sequence);
        }
      } else if (topic.endsWith(".stacktrace")) {
        if (known !== undefined && typeof event.stacktrace === "string") {
          const { stacktrace } = event;
          told = { ...known, stacktrace, touched: sequence };
        }
      } else {
        const summary = readProcedure(event.result, sequence);
        if (summary !== null) told = newer(known, summary);
      }
      if (told === undefined) reloads++;
      else if (told !== known) {
        procedures.set(pid, told);
        changedProcedures = true;
      }
    } else if (topic.startsWith("activity.lifecycle.")) {
      const summary = readActivity(event.result, sequence);
      const id = idOf(event.id) ?? idOf(event.aid) ?? idOf(event.activity_id);
      const known = id === null ? undefined : activities.get(id);
      if (summary !== null) {
        activities.set(summary.id, summary);
        changedActivities = true;
      } else if (known !== undefined && typeof event.new_state === "string") {
        const time = number(event.time) ?? lastTime(known.states);
        activities.set(
          known.id,
          moved(known, event.new_state, time, sequence),
        );
        changedActivities = true;
      } else reloads++;
    } else if (topic === "operator.wait_for_qa_ready.enable") {
      context = { waitForQaReady: true };
    } else if (topic === "operator.wait_for_qa_ready.disable") {
      context = { waitForQaReady: false };
    }
    const row = {
      key: sequence,
      time: number(event.time),
      topic,
      source: shorten(String(event.msg_src ?? "")),
      pid,
      text: describe(event),
    };
    rows.push(row);
    if (pid !== null && pid === state.chosen) chosenRows.push(row);
  }
  return {
    ...state,
    procedures: changedProcedures ? procedures : state.procedures,
    activities: changedActivities ? activities : state.activities,
    context,
    lost,
    reloads,
    sequence,
    output,
    events: bounded(state.events, rows),
    chosenEvents: bounded(state.chosenEvents, chosenRows),
  };
}

/**
 * Lays a list over what is known. What has changed since the list was asked for
 * is kept where it is newer.
 *
 * @template {{ id: number, touched: number }} T
 * @param {ReadonlyMap<number, T>} known
 * @param {unknown} values
 * @param {number} since
 * @param {(value: unknown, touched: number) => T | null} read
 * @param {(known: T | undefined, told: T) => T} newer
 * @returns {ReadonlyMap<number, T>}
 */
function replaced(known, values, since, read, newer) {
  /** @type {Map<number, T>} */
  const all = new Map();
  for (const value of list(values)) {
    const told = read(value, since);
    if (told === null) continue;
    const before = known.get(told.id);
    const isNew = before !== undefined && before.touched > since;
    all.set(told.id, isNew ? newer(before, told) : told);
  }
  for (const [id, before] of known) {
    if (before.touched > since && !all.has(id)) all.set(id, before);
  }
  return all;
}

/**
 * @param {unknown} values
 * @returns {OutputLine[]}
 */
export function readLines(values) {
  return list(values).flatMap((value) => {
    const { line, time, stream, text: written, dropped } = record(value);
    const at = idOf(line);
    return at === null ? [] : [{
      line: at,
      time: number(time) ?? 0,
      stream: text(stream),
      text: text(written),
      dropped: number(dropped) ?? 0,
    }];
  });
}

/**
 * @param {State} state
 * @param {Extract<Action, { type: "output" }>} action
 * @returns {State}
 */
function applyOutput(state, action) {
  const { output } = state;
  if (
    action.pid !== output.pid || action.after !== output.next ||
    !output.following
  ) return state;
  const added = readLines(action.lines).filter(({ line }) =>
    line > action.after
  );
  const next = Math.max(
    action.after,
    number(action.next) ?? 0,
    added.at(-1)?.line ?? 0,
  );
  return {
    ...state,
    output: {
      ...output,
      lines: added.length === 0
        ? output.lines
        : [...output.lines, ...added].slice(-OUTPUT_LINES),
      next,
      end: Math.max(output.end, next),
      had: action.had,
    },
  };
}

/**
 * The state after an action.
 *
 * @param {State} state
 * @param {Action} action
 * @returns {State}
 */
export function reduce(state, action) {
  switch (action.type) {
    case "connection":
      return { ...state, connection: action.connection };
    case "events":
      return applyEvents(state, action.events);
    case "stale":
      return {
        ...state,
        reloads: state.reloads + 1,
        output: { ...state.output, wanted: state.output.wanted + 1 },
      };
    case "procedures": {
      const procedures = replaced(
        state.procedures,
        action.list,
        action.since,
        readProcedure,
        newer,
      );
      const before = state.procedures.get(state.chosen ?? 0);
      const after = procedures.get(state.chosen ?? 0);
      const isOther = before !== undefined && after !== undefined &&
        before.born !== after.born;
      return {
        ...state,
        loaded: true,
        procedures,
        output: isOther ? emptyOutput(state.chosen) : state.output,
      };
    }
    case "procedure": {
      const told = readProcedure(action.summary, state.sequence + 1);
      if (told === null) return state;
      const procedures = new Map(state.procedures);
      procedures.set(told.id, newer(procedures.get(told.id), told));
      return { ...state, procedures, sequence: state.sequence + 1 };
    }
    case "activities":
      return {
        ...state,
        noActivities: null,
        activities: replaced(
          state.activities,
          action.list,
          action.since,
          readActivity,
          (known, told) =>
            lastTime(told.states) >= lastTime(known?.states ?? [])
              ? told
              : known ?? told,
        ),
      };
    case "activity": {
      const told = readActivity(action.summary, state.sequence + 1);
      if (told === null) return state;
      const activities = new Map(state.activities);
      activities.set(told.id, told);
      return { ...state, activities, sequence: state.sequence + 1 };
    }
    case "no-activities":
      return { ...state, noActivities: action.reason };
    case "context":
      return {
        ...state,
        noContext: null,
        context: {
          waitForQaReady: record(action.context).wait_for_qa_ready === true,
        },
      };
    case "no-context":
      return { ...state, context: null, noContext: action.reason };
    case "choose":
      if (action.pid === state.chosen) return state;
      return {
        ...state,
        chosen: action.pid,
        chosenEvents: state.events.filter(({ pid }) =>
          pid !== null && pid === action.pid
        ),
        output: emptyOutput(action.pid),
      };
    case "output":
      return applyOutput(state, action);
    case "earlier-output":
      if (action.pid !== state.output.pid) return state;
      return {
        ...state,
        output: {
          ...state.output,
          lines: action.lines.slice(-OUTPUT_LINES),
          following: false,
        },
      };
    case "latest-output":
      return {
        ...state,
        output: emptyOutput(
          state.output.pid,
          Math.max(0, state.output.end - OUTPUT_LINES),
        ),
      };
    case "asked": {
      const asked = new Map(state.asked);
      if (action.what === null) asked.delete(action.pid);
      else asked.set(action.pid, action.what);
      return { ...state, asked };
    }
    case "forget":
      return {
        ...initialState(),
        chosen: state.chosen,
        output: emptyOutput(state.chosen),
        connection: state.connection,
      };
  }
}

/**
 * Whether further lines of output have to be fetched.
 *
 * @param {State} state
 * @returns {boolean}
 */
export function wantsOutput({ output }) {
  return output.pid !== null && output.following && output.had < output.wanted;
}
