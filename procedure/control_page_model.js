// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * What the control page knows, and how it changes: pure functions, without a
 * document.
 *
 * @module
 */

import {
  atTheEnd,
  emptyOutput,
  withEarlier,
  withMoreWanted,
  withPage,
} from "./control_page_output.js";
import {
  HISTORY_ROWS,
  readActivity,
  readContext,
  readList,
  readNews,
  readProcedure,
  readRow,
} from "./control_page_wire.js";

/** @import { Output, OutputPage } from "./control_page_output.js" */
/** @import { Activity, EventRow, OutputLine, Procedure, ProcedureNews, StateEntry, WireEvent } from "./control_page_wire.js" */

/** How many events the page keeps, of all procedures and of the chosen one. */
export const EVENT_ROWS = 500;

/**
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
 * @property {ReadonlyMap<number, number>} removed The procedures that were
 * removed the latest, and the number of that change: a list that was asked for
 * before may still have them.
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
 *   | { type: "output" } & OutputPage
 *   | { type: "earlier-output", pid: number, lines: readonly OutputLine[] }
 *   | { type: "latest-output" }
 *   | { type: "asked", pid: number, what: "start" | "stop" | null }
 *   | { type: "forget" }
 * )} Action
 */

/** @returns {State} */
export function initialState() {
  return {
    connection: { status: "connecting", since: 0 },
    loaded: false,
    lost: 0,
    reloads: 0,
    sequence: 0,
    procedures: new Map(),
    removed: new Map(),
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

/** @param {readonly StateEntry[]} states */
const lastTime = (states) => states.at(-1)?.[1] ?? -Infinity;

/** @param {Procedure} procedure */
const lastCall = ({ calls }) => calls.at(-1)?.time ?? -Infinity;

/**
 * Whether a description is older than what is known. The time of an event may be
 * a little later than that of the state that it tells of.
 *
 * @param {{ state: string, states: StateEntry[] }} told
 * @param {{ state: string, states: StateEntry[] }} known
 */
const isOlder = (told, known) =>
  lastTime(told.states) < lastTime(known.states) &&
  (told.state !== known.state || told.states.length < known.states.length);

/**
 * Of two descriptions of one activity, the newer: they may have overtaken each
 * other.
 *
 * @param {Activity | undefined} known
 * @param {Activity} told
 * @returns {Activity}
 */
function newerActivity(known, told) {
  return known !== undefined && isOlder(told, known) ? known : told;
}

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
  // What a procedure failed of is told after that it failed.
  const stacktrace = told.stacktrace ?? known.stacktrace;
  if (!isOlder(told, known)) return { ...told, stacktrace };
  return {
    ...known,
    script: told.script,
    calls: lastCall(told) > lastCall(known) ? told.calls : known.calls,
    stacktrace,
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

/**
 * @param {readonly EventRow[]} rows
 * @param {EventRow[]} added
 */
function bounded(rows, added) {
  return added.length === 0 ? rows : [...rows, ...added].slice(-EVENT_ROWS);
}

/**
 * A procedure after what an event says of it.
 *
 * @param {Procedure | undefined} known
 * @param {ProcedureNews} news
 * @param {number} touched
 * @returns {Procedure | undefined} `undefined` if the event is not enough.
 */
function changed(known, news, touched) {
  if (news.kind === "procedure") {
    return news.procedure === null ? known : newer(known, news.procedure);
  }
  if (known === undefined) return undefined;
  return news.kind === "procedure-state"
    ? moved(known, news.state, news.time ?? lastTime(known.states), touched)
    : { ...known, stacktrace: news.stacktrace, touched };
}

/**
 * @param {State} state
 * @param {readonly WireEvent[]} events
 * @returns {State}
 */
function applyEvents(state, events) {
  const procedures = new Map(state.procedures);
  const removed = new Map(state.removed);
  const activities = new Map(state.activities);
  let { lost, reloads, sequence, context, output } = state;
  let changedProcedures = false;
  let changedActivities = false;
  /** @type {EventRow[]} */
  const rows = [];
  for (const event of events) {
    const touched = sequence + 1;
    const news = readNews(event, touched);
    if (news.kind === "output") {
      const isChosen = news.pid !== null && news.pid === state.chosen;
      if (isChosen) output = withMoreWanted(output);
      continue;
    }
    sequence = touched;
    switch (news.kind) {
      case "gap":
        lost += news.dropped;
        reloads++;
        output = withMoreWanted(output);
        break;
      case "procedure-removed":
        changedProcedures = procedures.delete(news.pid) || changedProcedures;
        removed.delete(news.pid);
        removed.set(news.pid, touched);
        break;
      case "procedure":
      case "procedure-state":
      case "procedure-stacktrace": {
        const known = procedures.get(news.pid);
        const told = changed(known, news, touched);
        if (told === undefined) reloads++;
        else if (told !== known) {
          procedures.set(news.pid, told);
          changedProcedures = true;
        }
        break;
      }
      case "activity":
        if (news.activity === null) reloads++;
        else {
          const { id } = news.activity;
          activities.set(id, newerActivity(activities.get(id), news.activity));
          changedActivities = true;
        }
        break;
      case "activity-state": {
        const known = activities.get(news.id);
        if (known === undefined) reloads++;
        else {
          const time = news.time ?? lastTime(known.states);
          activities.set(known.id, moved(known, news.state, time, touched));
          changedActivities = true;
        }
        break;
      }
      case "context":
        context = { waitForQaReady: news.waitForQaReady };
        break;
    }
    rows.push(readRow(event, sequence));
  }
  for (const pid of removed.keys()) {
    if (removed.size <= EVENT_ROWS) break;
    removed.delete(pid);
  }
  const isOfChosen = (/** @type {EventRow} */ { pid }) =>
    pid !== null && pid === state.chosen;
  return {
    ...state,
    procedures: changedProcedures ? procedures : state.procedures,
    removed,
    activities: changedActivities ? activities : state.activities,
    context,
    lost,
    reloads,
    sequence,
    output,
    events: bounded(state.events, rows),
    chosenEvents: bounded(state.chosenEvents, rows.filter(isOfChosen)),
  };
}

/**
 * Lays a list over what is known. What has changed since the list was asked for
 * is kept where it is newer.
 *
 * @template {{ id: number, touched: number }} T
 * @param {ReadonlyMap<number, T>} known
 * @param {readonly T[]} list
 * @param {number} since
 * @param {(known: T | undefined, told: T) => T} newer
 * @returns {ReadonlyMap<number, T>}
 */
function replaced(known, list, since, newer) {
  /** @type {Map<number, T>} */
  const all = new Map();
  for (const told of list) {
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
        output: withMoreWanted(state.output),
      };
    case "procedures": {
      const { list, since } = action;
      const isThere = (/** @type {Procedure} */ { id }) =>
        (state.removed.get(id) ?? 0) <= since;
      const procedures = replaced(
        state.procedures,
        readList(list, readProcedure, since).filter(isThere),
        since,
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
          readList(action.list, readActivity, action.since),
          action.since,
          newerActivity,
        ),
      };
    case "activity": {
      const told = readActivity(action.summary, state.sequence + 1);
      if (told === null) return state;
      const activities = new Map(state.activities);
      activities.set(told.id, newerActivity(activities.get(told.id), told));
      return { ...state, activities, sequence: state.sequence + 1 };
    }
    case "no-activities":
      return { ...state, noActivities: action.reason };
    case "context":
      return {
        ...state,
        noContext: null,
        context: readContext(action.context),
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
      return { ...state, output: withPage(state.output, action) };
    case "earlier-output":
      return {
        ...state,
        output: withEarlier(state.output, action.pid, action.lines),
      };
    case "latest-output":
      return { ...state, output: atTheEnd(state.output) };
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
