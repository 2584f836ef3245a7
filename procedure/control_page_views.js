// Copyright 2026 the Longrun authors. MIT license.

/**
 * Shows on the control page what it knows. All that comes from the service is
 * shown as text, never as markup.
 *
 * @module
 */

import {
  create,
  element,
  keyedList,
  setAttribute,
  setClass,
  setHidden,
  setOutOfUse,
  setReason,
  setText,
} from "./control_page_elements.js";
import { createAnnouncer } from "./control_page_notices.js";
import { OUTPUT_LINES } from "./control_page_output.js";
import {
  activityRow,
  callRow,
  eventRow,
  historyRow,
  outputList,
  procedureRow,
  segmentBlock,
  stateAndTime,
} from "./control_page_rows.js";
import {
  connectionText,
  counted,
  countProcedures,
  newestFirst,
  scriptText,
  timelineOf,
  timeTexts,
  titleOf,
  whyNotStart,
  whyNotStop,
} from "./control_page_texts.js";

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
  const showOutput = outputList(element("output"));
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

  const detailState = stateAndTime();

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
      const { state, since, update } = detailState;
      update(procedure);
      if (!place.contains(state)) {
        place.replaceChildren(state, create("span", "soft", "since ", since));
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
    showOutput(output.lines);
    const before = shown?.output;
    const isAnew = before?.pid !== output.pid || !before.following;
    if (output.following && (isAnew || rest < 30)) {
      box.scrollTop = box.scrollHeight;
    } else if (!output.following && before?.following) box.scrollTop = 0;
    const first = output.lines[0];
    const last = output.lines.at(-1);
    setText(
      element("output-count"),
      first === undefined ? "" : `lines ${first.line} to ${last.line}`,
    );
    const hasEarlier = first !== undefined && first.line > 1;
    setOutOfUse(element("output-earlier"), !hasEarlier);
    setOutOfUse(element("output-latest"), output.following);
    const reasons = [
      ...(hasEarlier ? [] : ["There are no earlier lines."]),
      ...(output.following
        ? [`These are the latest, at most ${OUTPUT_LINES}.`]
        : []),
    ];
    setText(element("output-reason"), reasons.join(" "));
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
