// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * What the control page says: pure functions of what it knows.
 *
 * @module
 */

/** @import { Connection, State } from "./control_page_model.js" */
/** @import { Call, Procedure, Script } from "./control_page_wire.js" */

/** @type {ReadonlyMap<string, string>} */
const LOOKS = new Map([
  ["CREATING", "preparing"],
  ["IDLE", "preparing"],
  ["PREP_ENV", "preparing"],
  ["LOADING", "preparing"],
  ["INITIALISING", "preparing"],
  ["REQUESTED", "preparing"],
  ["READY", "ready"],
  ["PREPARED", "ready"],
  ["RUNNING", "running"],
  ["COMPLETE", "complete"],
  ["STOPPED", "stopped"],
  ["FAILED", "failed"],
]);

/**
 * The look of a state: the name of its colours and of its icon.
 *
 * @param {string} state
 * @returns {string}
 */
export function lookOf(state) {
  return LOOKS.get(state) ?? "unknown";
}

/**
 * Whether a procedure in this state has ended.
 *
 * @param {string} state
 * @returns {boolean}
 */
export function hasEnded(state) {
  return ["COMPLETE", "STOPPED", "FAILED", "UNKNOWN"].includes(state);
}

/**
 * Why a procedure cannot be started, `null` if it can.
 *
 * @param {State} state
 * @param {Procedure | undefined} procedure
 * @returns {string | null}
 */
export function whyNotStart(state, procedure) {
  if (procedure === undefined) return "No procedure is chosen.";
  const asked = state.asked.get(procedure.id);
  if (asked !== undefined) return `Asked to ${asked} it.`;
  if (procedure.state === "READY") return null;
  if (hasEnded(procedure.state)) {
    return `It has ended: ${procedure.state}. Prepare it anew.`;
  }
  return `It is ${procedure.state}, not READY.`;
}

/**
 * Why a procedure cannot be stopped, `null` if it can.
 *
 * @param {State} state
 * @param {Procedure | undefined} procedure
 * @returns {string | null}
 */
export function whyNotStop(state, procedure) {
  if (procedure === undefined) return "No procedure is chosen.";
  if (state.asked.get(procedure.id) === "stop") return "Asked to stop it.";
  return hasEnded(procedure.state) ? `It has ended: ${procedure.state}.` : null;
}

/**
 * The procedures, the newest first.
 *
 * @param {State} state
 * @returns {Procedure[]}
 */
export function newestFirst(state) {
  return [...state.procedures.values()].sort((a, b) => b.id - a.id);
}

/**
 * How many procedures run, and how many have not ended.
 *
 * @param {State} state
 * @returns {{ running: number, live: number }}
 */
export function countProcedures({ procedures }) {
  let running = 0;
  let live = 0;
  for (const { state } of procedures.values()) {
    if (state === "RUNNING") running++;
    if (!hasEnded(state)) live++;
  }
  return { running, live };
}

/**
 * The title of the page.
 *
 * @param {State} state
 * @returns {string}
 */
export function titleOf(state) {
  const { running } = countProcedures(state);
  const where = state.chosen === null ? "" : `Procedure ${state.chosen} · `;
  return `(${running} running) ${where}Longrun`;
}

/**
 * The last part of the address of a script.
 *
 * @param {Script} script
 * @returns {string}
 */
export function scriptName({ script_uri }) {
  return script_uri.split("/").filter((part) => part !== "").at(-1) ??
    script_uri;
}

/**
 * The whole address of a script, with its repository.
 *
 * @param {Script} script
 * @returns {string}
 */
export function scriptText({ script_uri, git_args, create_env }) {
  const { git_repo, git_branch, git_commit } = git_args ?? {};
  return [
    script_uri,
    ...(git_repo ? [`from ${git_repo}`] : []),
    ...(git_branch ? [`branch ${git_branch}`] : []),
    ...(git_commit ? [`commit ${git_commit}`] : []),
    ...(create_env ? ["in an environment of its own"] : []),
  ].join(", ");
}

const CALL_LENGTH = 20_000;

/**
 * A call as one would write it.
 *
 * @param {Call} call
 * @returns {string}
 */
export function callText({ fn, args, kwargs }) {
  /** @param {number} indent */
  const parts = (indent) => [
    ...args.map((value) => JSON.stringify(value, null, indent)),
    ...Object.entries(kwargs).map(([name, value]) =>
      `${name}: ${JSON.stringify(value, null, indent)}`
    ),
  ];
  const short = `${fn}(${parts(0).join(", ")})`;
  if (short.length <= 60) return short;
  const lines = parts(2).join(",\n").replaceAll("\n", "\n  ");
  const long = `${fn}(\n  ${lines},\n)`;
  return long.length > CALL_LENGTH ? `${long.slice(0, CALL_LENGTH)}…` : long;
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const calendar = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
});

/**
 * A point in time, as people here say it and as ISO 8601 does.
 *
 * @param {number} seconds Since the epoch.
 * @param {number} now In milliseconds since the epoch.
 * @returns {{ text: string, iso: string }}
 */
export function timeTexts(seconds, now) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return { text: "?", iso: "" };
  const isToday = date.toDateString() === new Date(now).toDateString();
  const time = clock.format(date);
  return {
    text: isToday ? time : `${calendar.format(date)}, ${time}`,
    iso: date.toISOString(),
  };
}

/**
 * A duration, short.
 *
 * @param {number} seconds
 * @returns {string}
 */
export function durationText(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/**
 * @typedef {object} Segment
 * @property {string} state
 * @property {number} from In seconds since the epoch.
 * @property {number} lasted In seconds.
 * @property {boolean} open Whether it lasts on.
 * @property {number} left Where it begins, from 0 to 1.
 * @property {number} width How wide it is, from 0 to 1.
 */

/**
 * The states of a procedure, to scale. The last of a procedure that has ended
 * is a point.
 *
 * @param {Procedure} procedure
 * @param {number} now In milliseconds since the epoch.
 * @returns {Segment[]}
 */
export function timelineOf({ states, state }, now) {
  const first = states[0]?.[1] ?? 0;
  const last = states.at(-1)?.[1] ?? 0;
  const end = hasEnded(state) ? last : Math.max(last, now / 1000);
  const whole = end - first;
  return states.map(([name, from], index) => {
    const to = states[index + 1]?.[1] ?? end;
    const lasted = Math.max(0, to - from);
    return {
      state: name,
      from,
      lasted,
      open: index === states.length - 1 && !hasEnded(state),
      left: whole > 0 ? Math.max(0, from - first) / whole : 0,
      width: whole > 0 ? lasted / whole : 0,
    };
  });
}

/**
 * How things stand with the stream.
 *
 * @param {Connection} connection
 * @param {number} now In milliseconds since the epoch.
 * @returns {string}
 */
export function connectionText({ status, since, reason }, now) {
  switch (status) {
    case "live":
      return "Live";
    case "connecting":
      return "Connecting";
    case "signed-out":
      return "Signed out";
    case "reconnecting": {
      const when = timeTexts(since / 1000, now).text;
      return `Reconnecting since ${when}${reason ? `: ${reason}` : ""}`;
    }
  }
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
