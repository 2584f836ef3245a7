// Copyright 2026 the Longrun authors. MIT license.

/**
 * Shows on the control page what it knows. All that comes from the service is
 * shown as text, never as markup.
 *
 * @module
 */

import { OUTPUT_LINES } from "./control_page_output.js";
import {
  callText,
  connectionText,
  counted,
  countProcedures,
  durationText,
  lookOf,
  newestFirst,
  scriptName,
  scriptText,
  timelineOf,
  timeTexts,
  titleOf,
  whyNotStart,
  whyNotStop,
} from "./control_page_texts.js";

const SVG = "http://www.w3.org/2000/svg";
const ANNOUNCEMENTS_APART = 1_500;

/** The element of the page with this identifier. */
export function element(id) {
  return document.getElementById(id);
}

/** Creates an element with a class and texts or elements in it. */
function create(name, className, ...children) {
  const node = document.createElement(name);
  if (className !== "") node.className = className;
  node.append(...children);
  return node;
}

/** Sets a text and leaves the element alone if it has it already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function setHidden(node, isHidden) {
  if (node.hidden !== isHidden) node.hidden = isHidden;
}

function setClass(node, className) {
  if (node.className !== className) node.className = className;
}

/**
 * Takes a control out of use, or puts it back. It stays where it is and can
 * have the focus, so that its reason can be found.
 */
export function setReason(control, place, reason) {
  setAttribute(control, "aria-disabled", reason === null ? null : "true");
  setText(place, reason ?? "");
}

/** Whether a control is out of use. */
export function isOutOfUse(control) {
  return control.getAttribute("aria-disabled") === "true";
}

function timeElement() {
  const node = document.createElement("time");
  return {
    node,
    update(seconds) {
      const { text, iso } = seconds === null
        ? { text: "", iso: "" }
        : timeTexts(seconds, Date.now());
      setText(node, text);
      setAttribute(node, "datetime", iso);
      setAttribute(node, "title", iso);
    },
  };
}

function badge() {
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("class", "icon");
  icon.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  icon.append(use);
  const text = document.createElement("span");
  const node = create("span", "badge", icon, text);
  return {
    node,
    update(state) {
      const look = lookOf(state);
      setClass(node, `badge ${look}`);
      setAttribute(use, "href", `#icon-${look}`);
      setText(text, state);
    },
  };
}

/**
 * Keeps the children of an element in step with a list: those of items that are
 * the same stay untouched, those of items that have changed are updated, and
 * none is made anew, so that the focus stays.
 *
 * @param container The element.
 * @param keyOf The key of an item.
 * @param make Makes `{ node, update(item) }` for a key.
 * @param whereFocusGoes What has the focus when its element goes.
 */
export function keyedList(container, keyOf, make, whereFocusGoes) {
  const rows = new Map();
  return (items) => {
    const keys = new Set(items.map(keyOf));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      if (row.node.contains(document.activeElement)) whereFocusGoes?.focus();
      row.node.remove();
      rows.delete(key);
    }
    let at = container.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let row = rows.get(key);
      if (row === undefined) {
        row = { ...make(key), item: undefined };
        rows.set(key, row);
      }
      if (row.item !== item) {
        row.item = item;
        row.update(item);
      }
      if (row.node === at) at = at.nextElementSibling;
      else container.insertBefore(row.node, at);
    }
  };
}

function lastTime(states) {
  return states.at(-1)?.[1] ?? null;
}

function stateSince() {
  const state = badge();
  const since = timeElement();
  return {
    node: create(
      "td",
      "",
      create("span", "state-since", state.node, since.node),
    ),
    update(item) {
      state.update(item.state);
      since.update(lastTime(item.states));
    },
  };
}

function procedureRow(id) {
  const link = create("a", "number", String(id));
  link.href = `#procedure/${id}`;
  const name = create("span", "script-name");
  const state = stateSince();
  const node = create(
    "tr",
    "link",
    create("td", "", link),
    create("td", "", name),
    state.node,
  );
  return {
    node,
    link,
    update(procedure) {
      setText(name, scriptName(procedure.script));
      setAttribute(name, "title", scriptText(procedure.script));
      setAttribute(
        link,
        "aria-label",
        `Procedure ${id}: ${scriptName(procedure.script)}`,
      );
      state.update(procedure);
    },
  };
}

function activityRow(id) {
  const link = create("a", "number");
  const name = create("span", "script-name");
  const state = stateSince();
  return {
    node: create(
      "tr",
      "link",
      create("td", "", link),
      create("td", "", name),
      state.node,
    ),
    update(activity) {
      const { pid, name: named, sbdId } = activity;
      setText(link, String(id));
      setAttribute(link, "href", pid === null ? null : `#procedure/${pid}`);
      const where = pid === null ? "no procedure yet" : `procedure ${pid}`;
      setAttribute(link, "aria-label", `Activity ${id}: ${named}, ${where}`);
      setText(name, `${named} · ${sbdId}`);
      setAttribute(name, "title", `${named} of ${sbdId}, ${where}`);
      state.update(activity);
    },
  };
}

function historyRow() {
  const state = badge();
  const began = timeElement();
  const lasted = create("td", "number");
  return {
    node: create(
      "tr",
      "",
      create("td", "", state.node),
      create("td", "", began.node),
      lasted,
    ),
    update(segment) {
      state.update(segment.state);
      began.update(segment.from);
      setText(
        lasted,
        segment.isEnd
          ? "—"
          : `${durationText(segment.lasted)}${segment.open ? " so far" : ""}`,
      );
    },
  };
}

const WIDE_ENOUGH = 0.16;

function segmentBlock() {
  const node = create("div", "segment");
  let place = { left: "", width: "" };
  return {
    node,
    update(segment) {
      const thin = segment.width < WIDE_ENOUGH ? " thin" : "";
      setClass(node, `segment ${lookOf(segment.state)}${thin}`);
      setText(node, segment.state);
      const left = `min(${(segment.left * 100).toFixed(3)}%, 100% - 3px)`;
      const width = `${(segment.width * 100).toFixed(3)}%`;
      if (left !== place.left) node.style.left = left;
      if (width !== place.width) node.style.width = width;
      place = { left, width };
    },
  };
}

function callRow() {
  const text = create("pre", "");
  const time = timeElement();
  return {
    node: create("li", "", text, time.node),
    update(call) {
      setText(text, callText(call));
      time.update(call.time);
    },
  };
}

const LINES_IN_BLOCK = 100;
const STREAMS = new Map([["stdout", ""], ["stderr", "err"], ["log", "log"]]);

function outputRow() {
  const node = document.createElement("div");
  return {
    node,
    update(line) {
      const time = timeElement();
      time.update(line.time);
      const row = create(
        "div",
        `row ${line.stream === "stderr" ? "stderr" : ""}`.trim(),
        create("span", "", String(line.line)),
        time.node,
        create("span", "", STREAMS.get(line.stream) ?? line.stream),
        create("span", "text", line.text),
      );
      node.replaceChildren(
        ...(line.dropped > 0
          ? [create("div", "gap", `… ${counted(line.dropped, "line")} lost`)]
          : []),
        row,
      );
    },
  };
}

/** A block of lines, so that the browser can leave out those out of sight. */
function outputBlock() {
  const node = create("div", "block");
  const show = keyedList(node, ({ line }) => line, outputRow);
  return { node, update: ({ lines }) => show(lines) };
}

/** Lines in blocks. A block that has not changed is the same as before. */
function createBlocks() {
  let before = new Map();
  return (lines) => {
    const blocks = new Map();
    for (let from = 0; from < lines.length;) {
      const key = Math.floor(lines[from].line / LINES_IN_BLOCK);
      let to = from + 1;
      while (
        to < lines.length && Math.floor(lines[to].line / LINES_IN_BLOCK) === key
      ) to++;
      const known = before.get(key);
      const isSame = known?.lines.length === to - from &&
        known.lines[0] === lines[from] && known.lines.at(-1) === lines[to - 1];
      blocks.set(key, isSame ? known : { key, lines: lines.slice(from, to) });
      from = to;
    }
    before = blocks;
    return [...blocks.values()];
  };
}

function eventRow() {
  const time = timeElement();
  const topic = create("code", "");
  const source = create("span", "source");
  const what = create("span", "what");
  return {
    node: create("li", "", time.node, topic, source, what),
    update(event) {
      time.update(event.time);
      setText(topic, event.topic);
      setText(source, event.source);
      setText(what, event.text);
    },
  };
}

/** Says something to who cannot see it: the latest, and not too often. */
function createAnnouncer() {
  let latest = "";
  let isWaiting = false;
  return (text) => {
    latest = text;
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(() => {
      isWaiting = false;
      setText(element("announcer"), latest);
    }, ANNOUNCEMENTS_APART);
  };
}

/** Shows the result of what was asked for. */
export function showNotice(text, isWrong) {
  const notice = element("notice");
  notice.classList.toggle("wrong", isWrong);
  element("notice-text").setAttribute("role", isWrong ? "alert" : "status");
  notice.hidden = false;
  setText(element("notice-text"), text);
}

/** Creates the views. `paint` shows a state; `tick` what time changes in it. */
export function createViews() {
  const announce = createAnnouncer();
  const links = new Map();
  const showProcedures = keyedList(
    element("procedures"),
    ({ id }) => id,
    (id) => {
      const row = procedureRow(id);
      links.set(id, row);
      return row;
    },
    element("procedures-heading"),
  );
  const showActivities = keyedList(
    element("activities"),
    ({ id }) => id,
    activityRow,
    element("activities-heading"),
  );
  const index = ({ index }) => index;
  const showHistory = keyedList(element("history"), index, historyRow);
  const showTimeline = keyedList(element("timeline"), index, segmentBlock);
  const showCalls = keyedList(element("calls"), index, callRow);
  const showOutput = keyedList(
    element("output"),
    ({ key }) => key,
    outputBlock,
  );
  const inBlocks = createBlocks();
  const showEvents = keyedList(element("events"), ({ key }) => key, eventRow);

  let shown = null;
  let shownAll = false;

  function paintLists(state) {
    const { running, live } = countProcedures(state);
    const total = state.procedures.size;
    setText(element("counts"), `${running} running, ${live} live`);
    setText(element("procedures-count"), String(total));
    showProcedures(newestFirst(state));
    for (const id of links.keys()) {
      if (!state.procedures.has(id)) links.delete(id);
    }
    setHidden(element("no-procedures"), total > 0);
    setText(
      element("no-procedures"),
      state.loaded ? "None: prepare one below" : "Loading…",
    );
  }

  function paintChoice(before, chosen) {
    for (const id of [before, chosen]) {
      const row = links.get(id);
      if (row === undefined) continue;
      setClass(row.node, id === chosen ? "link chosen" : "link");
      setAttribute(row.link, "aria-current", id === chosen ? "true" : null);
    }
  }

  function paintActivities(state) {
    const { activities, noActivities, loaded } = state;
    setText(element("activities-count"), String(activities.size));
    showActivities([...activities.values()].sort((a, b) => b.id - a.id));
    setHidden(element("no-activities"), activities.size > 0);
    setText(
      element("no-activities"),
      noActivities ?? (loaded ? "None" : "Loading…"),
    );
    setReason(
      element("run-activity"),
      element("run-activity-reason"),
      noActivities,
    );
  }

  function paintConnection({ connection, lost }) {
    setClass(element("light"), `light ${connection.status}`);
    setText(element("connection"), connectionText(connection, Date.now()));
    setText(element("lost"), lost > 0 ? `${counted(lost, "event")} lost` : "");
    if (shown !== null && lost > shown.lost) {
      announce(`${counted(lost, "event")} lost; the lists were loaded anew`);
    }
  }

  function paintContext({ context, noContext }) {
    const box = element("qa");
    const isOn = context?.waitForQaReady ?? false;
    if (box.checked !== isOn) box.checked = isOn;
    const reason = noContext ?? (context === null ? "Not known yet" : null);
    setReason(box, element("qa-reason"), reason);
    setReason(element("qa-override"), element("qa-reason"), reason);
  }

  const detailState = { badge: badge(), since: timeElement() };

  function paintHead(state, procedure) {
    const { chosen } = state;
    setText(
      element("detail-heading"),
      chosen === null ? "No procedure is chosen" : `Procedure ${chosen}`,
    );
    setHidden(element("columns"), chosen === null);
    setHidden(element("output-section"), chosen === null);
    const place = element("detail-state");
    if (procedure === undefined) {
      place.replaceChildren(
        chosen === null
          ? "Choose one from the list."
          : state.loaded
          ? "There is none with this number, or it was removed."
          : "Loading…",
      );
    } else {
      detailState.badge.update(procedure.state);
      detailState.since.update(lastTime(procedure.states));
      if (!place.contains(detailState.badge.node)) {
        const since = create("span", "soft", "since ");
        since.append(detailState.since.node);
        place.replaceChildren(detailState.badge.node, since);
      }
    }
    setText(
      element("detail-script"),
      procedure === undefined ? "" : scriptText(procedure.script),
    );
    const stacktrace = procedure?.stacktrace ?? "";
    setHidden(element("trace-section"), stacktrace === "");
    setText(element("trace"), stacktrace);
    const calls = procedure?.calls ?? [];
    showCalls(calls.map((call, index) => ({ ...call, index })));
    setHidden(element("no-calls"), calls.length > 0);
  }

  function paintButtons(state, procedure) {
    setReason(
      element("start"),
      element("start-reason"),
      whyNotStart(state, procedure),
    );
    setReason(
      element("stop"),
      element("stop-reason"),
      whyNotStop(state, procedure),
    );
  }

  function paintTimes(procedure) {
    const now = Date.now();
    const segments = procedure === undefined ? [] : timelineOf(procedure, now);
    const indexed = segments.map((segment, index) => ({
      ...segment,
      index,
      isEnd: index === segments.length - 1 && !segment.open,
    }));
    showHistory(indexed);
    showTimeline(indexed);
    const first = segments[0];
    const last = segments.at(-1);
    setText(
      element("timeline-from"),
      first === undefined ? "" : timeTexts(first.from, now).text,
    );
    setText(
      element("timeline-to"),
      last === undefined
        ? ""
        : last.open
        ? "now"
        : timeTexts(last.from + last.lasted, now).text,
    );
  }

  function paintOutput({ output }) {
    const box = element("output");
    const rest = box.scrollHeight - box.scrollTop - box.clientHeight;
    showOutput(inBlocks(output.lines));
    if (output.following && rest < 30) box.scrollTop = box.scrollHeight;
    else if (!output.following && shown?.output.following) box.scrollTop = 0;
    const first = output.lines[0];
    const last = output.lines.at(-1);
    setText(
      element("output-count"),
      first === undefined ? "" : `lines ${first.line} to ${last.line}`,
    );
    const why = element("output-reason");
    const canEarlier = first !== undefined && first.line > 1;
    setReason(
      element("output-earlier"),
      why,
      canEarlier ? null : "There are no earlier lines",
    );
    setReason(
      element("output-latest"),
      why,
      output.following ? "These are the latest lines" : null,
    );
    setText(
      why,
      [
        canEarlier ? "" : "There are no earlier lines.",
        output.following
          ? `These are the latest, at most ${OUTPUT_LINES}.`
          : "",
      ].join(" ").trim(),
    );
  }

  function paintEvents(state, isAll) {
    const events = isAll ? state.events : state.chosenEvents;
    showEvents(events.toReversed());
    setText(
      element("events-count"),
      events.length > 0 ? `the latest ${events.length}` : "",
    );
    setHidden(element("no-events"), events.length > 0);
  }

  return {
    /** Shows a state: only what has changed since the last. */
    paint(state) {
      const isNew = (...names) =>
        shown === null || names.some((name) => shown[name] !== state[name]);
      const procedure = state.procedures.get(state.chosen);
      const before = shown?.procedures.get(shown.chosen);
      if (isNew("procedures", "loaded")) paintLists(state);
      if (isNew("procedures", "chosen")) {
        paintChoice(shown?.chosen, state.chosen);
      }
      if (isNew("activities", "noActivities", "loaded")) paintActivities(state);
      if (isNew("connection", "lost")) paintConnection(state);
      if (isNew("context", "noContext")) paintContext(state);
      const hasMoved = procedure !== before;
      if (isNew("chosen", "loaded") || hasMoved) paintHead(state, procedure);
      if (isNew("chosen", "asked") || hasMoved) paintButtons(state, procedure);
      if (isNew("chosen") || hasMoved) paintTimes(procedure);
      if (isNew("output")) paintOutput(state);
      const isAll = element("all-events").checked || state.chosen === null;
      const wasAll = shownAll;
      shownAll = isAll;
      if (wasAll !== isAll || isNew(isAll ? "events" : "chosenEvents")) {
        paintEvents(state, isAll);
      }
      if (
        hasMoved && shown?.chosen === state.chosen && procedure !== undefined &&
        procedure.state !== before?.state
      ) announce(`Procedure ${procedure.id} is ${procedure.state}`);
      shown = state;
    },
    /** Shows what time has changed. */
    tick(state) {
      const procedure = state.procedures.get(state.chosen);
      if (procedure !== undefined && shown === state) paintTimes(procedure);
    },
    /** Shows the title, also in a tab in the background. */
    paintTitle(state) {
      const title = titleOf(state);
      if (document.title !== title) document.title = title;
    },
  };
}
