// Copyright 2026 the Longrun authors. MIT license.

/**
 * How what is listed on the control page looks. For each kind of it, a function
 * makes `{ node, update(item) }`.
 *
 * @module
 */

import {
  create,
  keyedList,
  setAttribute,
  setClass,
  setText,
} from "./control_page_elements.js";
import {
  callText,
  counted,
  durationText,
  lookOf,
  scriptName,
  scriptText,
  timeTexts,
} from "./control_page_texts.js";

const SVG = "http://www.w3.org/2000/svg";

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

/** The state of something, and since when: two nodes. */
export function stateAndTime() {
  const state = badge();
  const since = timeElement();
  return {
    state: state.node,
    since: since.node,
    update(item) {
      state.update(item.state);
      since.update(item.states.at(-1)?.[1] ?? null);
    },
  };
}

function stateCell() {
  const { state, since, update } = stateAndTime();
  const both = create("span", "state-since", state, since);
  return { node: create("td", "", both), update };
}

export function procedureRow(id) {
  const link = create("a", "number", String(id));
  link.href = `#procedure/${id}`;
  const name = create("span", "script-name");
  const state = stateCell();
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

export function activityRow(id) {
  const link = create("a", "number");
  const name = create("span", "script-name");
  const state = stateCell();
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

export function historyRow() {
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

export function segmentBlock() {
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

export function callRow() {
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

/** Shows lines of output. */
export function outputList(container) {
  const inBlocks = createBlocks();
  const show = keyedList(container, ({ key }) => key, outputBlock);
  return (lines) => show(inBlocks(lines));
}

export function eventRow() {
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
