// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertLess } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { EVENT_ROWS, initialState, reduce } from "../control_page_model.js";
import { OUTPUT_LINES, wantsOutput } from "../control_page_output.js";
import {
  callText,
  countProcedures,
  durationText,
  hasEnded,
  newestFirst,
  scriptName,
  scriptText,
  timelineOf,
  titleOf,
  whyNotStart,
  whyNotStop,
} from "../control_page_texts.js";
import { HISTORY_ROWS, readProcedure } from "../control_page_wire.js";
import { canMove, isFinal, PROCEDURE_STATES } from "../procedure_state.ts";

type State = ReturnType<typeof initialState>;

function summary(id: number, ...states: [string, number][]) {
  return {
    id,
    script: { script_type: "filesystem", script_uri: "file:///a/b.ts" },
    script_args: {},
    calls: [],
    history: { process_states: states, stacktrace: null },
    state: states.at(-1)?.[0],
  };
}

function moveEvent(pid: number, state: string, time: number) {
  return {
    topic: "procedure.lifecycle.statechange",
    msg_src: String(pid),
    pid,
    new_state: state,
    time,
  };
}

function withList(...list: unknown[]): State {
  return reduce(initialState(), { type: "procedures", list, since: 0 });
}

function stateOf(state: State, id: number): string | undefined {
  return state.procedures.get(id)?.state;
}

test("The model knows which states are final as the service does", () => {
  for (const state of PROCEDURE_STATES) {
    assertEquals(hasEnded(state), isFinal(state), state);
  }
});

test("The model moves a procedure as its events say", () => {
  const before = withList(summary(1, ["CREATING", 10]));
  const events = [moveEvent(1, "IDLE", 11), moveEvent(1, "LOADING", 12)];

  const after = reduce(before, { type: "events", events });

  assertEquals(stateOf(after, 1), "LOADING");
  assertEquals(after.procedures.get(1)?.states, [
    ["CREATING", 10],
    ["IDLE", 11],
    ["LOADING", 12],
  ]);
  assertEquals(stateOf(before, 1), "CREATING");
});

test("The model takes an event that it knows already once", () => {
  const before = withList(summary(1, ["CREATING", 10], ["IDLE", 11]));
  const events = [moveEvent(1, "CREATING", 10), moveEvent(1, "IDLE", 11)];

  const after = reduce(before, { type: "events", events });

  assertEquals(after.procedures.get(1)?.states.length, 2);
  assertEquals(stateOf(after, 1), "IDLE");
});

test("The model keeps what came while an older list was on its way", () => {
  const before = withList(
    summary(1, ["CREATING", 10]),
    summary(2, ["IDLE", 3]),
  );
  const since = before.sequence;
  const events = [
    moveEvent(1, "IDLE", 11),
    {
      topic: "procedure.lifecycle.created",
      msg_src: "3",
      result: summary(3, ["CREATING", 12]),
    },
  ];
  const list = [summary(1, ["CREATING", 10])];

  const after = reduce(reduce(before, { type: "events", events }), {
    type: "procedures",
    list,
    since,
  });

  assertEquals(stateOf(after, 1), "IDLE");
  assertEquals([...after.procedures.keys()].sort(), [1, 3]);
});

test("The model keeps states that an older list leaves out, though it ends alike", () => {
  const before = withList(summary(1, ["CREATING", 10], ["IDLE", 11]));
  const events = [moveEvent(1, "LOADING", 12), moveEvent(1, "IDLE", 13)];

  const after = reduce(reduce(before, { type: "events", events }), {
    type: "procedures",
    list: [summary(1, ["CREATING", 10], ["IDLE", 11])],
    since: before.sequence,
  });

  assertEquals(after.procedures.get(1)?.states.map(([name]) => name), [
    "CREATING",
    "IDLE",
    "LOADING",
    "IDLE",
  ]);
});

test("The model keeps what events said of an activity before its answer came", () => {
  const activity = (...states: [string, number][]) => ({
    id: 1,
    procedure_id: 1,
    sbd_id: "sbd-1",
    activity_name: "observe",
    activity_states: states,
    state: states.at(-1)?.[0],
  });
  const requested: [string, number] = ["REQUESTED", 1];
  const events = [{
    topic: "activity.lifecycle.running",
    result: activity(requested, ["RUNNING", 2]),
  }];

  const state = reduce(reduce(initialState(), { type: "events", events }), {
    type: "activity",
    summary: activity(requested),
  });

  assertEquals(state.activities.get(1)?.state, "RUNNING");
});

test("The model replaces what a new list says otherwise", () => {
  const before = withList(summary(1, ["CREATING", 10], ["READY", 20]));

  const after = reduce(before, {
    type: "procedures",
    list: [summary(1, ["CREATING", 5])],
    since: before.sequence,
  });

  assertEquals(stateOf(after, 1), "CREATING");
});

test("The model shows no output of a procedure of before a restart", () => {
  let state = withList(summary(1, ["CREATING", 10]));
  state = reduce(state, { type: "choose", pid: 1 });
  const lines = [{ line: 1, time: 1, stream: "log", text: "of before" }];
  const output = { type: "output", pid: 1, after: 0, lines, next: 1 } as const;
  state = reduce(state, { ...output, had: 1 });
  const since = state.sequence;

  const same = [summary(1, ["CREATING", 10], ["IDLE", 11])];
  state = reduce(state, { type: "procedures", list: same, since });
  assertEquals(state.output.lines.length, 1);
  const other = [summary(1, ["CREATING", 20])];
  state = reduce(state, { type: "procedures", list: other, since });

  assertEquals(state.output.lines.length, 0);
  assert(wantsOutput(state));
});

test("The model asks for the lists when events were lost", () => {
  const state = reduce(initialState(), {
    type: "events",
    events: [{ topic: "stream.gap", dropped: 12 }, {
      topic: "stream.gap",
      dropped: 3,
    }],
  });

  assertEquals(state.lost, 15);
  assertEquals(state.reloads, 2);
});

test("The model asks for the lists when it does not know a procedure", () => {
  const state = reduce(initialState(), {
    type: "events",
    events: [moveEvent(9, "IDLE", 1)],
  });

  assertEquals(state.reloads, 1);
  assertEquals(state.procedures.size, 0);
});

test("The model keeps why a procedure failed", () => {
  const states: [string, number][] = [["CREATING", 1], ["FAILED", 2]];
  const events = [
    {
      topic: "procedure.lifecycle.stacktrace",
      pid: 1,
      stacktrace: "Error: no gain",
    },
    { topic: "procedure.lifecycle.failed", result: summary(1, ...states) },
  ];

  const state = reduce(withList(summary(1, ...states)), {
    type: "events",
    events,
  });

  assertEquals(state.procedures.get(1)?.stacktrace, "Error: no gain");
});

test("The model forgets a procedure that was removed", () => {
  const state = reduce(withList(summary(1, ["COMPLETE", 1])), {
    type: "events",
    events: [{ topic: "procedure.lifecycle.removed", pid: 1 }],
  });

  assertEquals(state.procedures.size, 0);
});

test("The model does not take back what was removed while the list was on its way", () => {
  const list = [summary(1, ["COMPLETE", 1]), summary(2, ["READY", 1])];
  const before = withList(...list);
  const since = before.sequence;
  const removed = reduce(before, {
    type: "events",
    events: [{ topic: "procedure.lifecycle.removed", pid: 1 }],
  });

  const late = reduce(removed, { type: "procedures", list, since });
  const next = reduce(late, {
    type: "procedures",
    list,
    since: late.sequence,
  });

  assertEquals([...late.procedures.keys()], [2]);
  assertEquals([...next.procedures.keys()], [1, 2]);
});

test("The model takes a new procedure with the number of one that was removed", () => {
  const before = withList(summary(1, ["COMPLETE", 1]));
  const list = [summary(1, ["CREATING", 2])];
  const created = {
    topic: "procedure.lifecycle.created",
    result: summary(1, ["CREATING", 2]),
  };

  const anew = reduce(before, {
    type: "events",
    events: [{ topic: "procedure.lifecycle.removed", pid: 1 }, created],
  });
  const after = reduce(anew, {
    type: "procedures",
    list,
    since: before.sequence,
  });

  assertEquals(after.procedures.get(1)?.state, "CREATING");
});

test("The model remembers a bounded number of what was removed", () => {
  const events = Array.from({ length: 3 * EVENT_ROWS }, (_, index) => ({
    topic: "procedure.lifecycle.removed",
    pid: index + 1,
  }));

  const state = reduce(initialState(), { type: "events", events });

  assertEquals(state.removed.size, EVENT_ROWS);
  assertEquals(state.removed.get(3 * EVENT_ROWS), state.sequence);
});

test("The model keeps as many events as it says, and those of the chosen", () => {
  let state = reduce(initialState(), { type: "choose", pid: 7 });
  const events = Array.from({ length: 3 * EVENT_ROWS }, (_, index) => ({
    topic: "scan.started",
    msg_src: index === 0 ? "7" : "8",
    data: index,
  }));

  state = reduce(state, { type: "events", events });

  assertEquals(state.events.length, EVENT_ROWS);
  assertEquals(state.events.at(-1)?.text, String(3 * EVENT_ROWS - 1));
  assertEquals(state.chosenEvents.map(({ text }) => text), ["0"]);
  assertEquals(new Set(state.events.map(({ key }) => key)).size, EVENT_ROWS);
});

test("The model shortens what events say", () => {
  const events = [{ topic: "long", data: "x".repeat(1_000_000) }];

  const state = reduce(initialState(), { type: "events", events });

  assertLess(state.events[0]?.text.length ?? 0, 1_000);
});

test("The model takes whatever an event says that it is from", () => {
  const sources = ["cli", 7, null, { toString: null }, [{ valueOf: 1 }]];
  const events = sources.map((source) => ({ topic: "a", msg_src: source }));

  const state = reduce(initialState(), { type: "events", events });

  assertEquals(state.events.map(({ source }) => source), [
    "cli",
    "7",
    "",
    '{"toString":null}',
    '[{"valueOf":1}]',
  ]);
});

test("The model fetches output after the last line that it has", () => {
  let state = reduce(initialState(), { type: "choose", pid: 1 });
  assert(wantsOutput(state));
  const line = (line: number) => ({ line, time: 1, stream: "log", text: "a" });
  state = reduce(state, {
    type: "output",
    pid: 1,
    after: 0,
    lines: [line(1), line(2)],
    next: 2,
    had: state.output.wanted,
  });
  assert(!wantsOutput(state));
  const told = { topic: "script.output", pid: 1, text: "b", stream: "log" };

  state = reduce(state, { type: "events", events: [told, told] });

  assert(wantsOutput(state));
  assertEquals(state.output.next, 2);
  assertEquals(state.events.length, 0);
});

test("The model ignores output that was asked for before another choice", () => {
  let state = reduce(initialState(), { type: "choose", pid: 1 });
  state = reduce(state, { type: "choose", pid: 2 });
  const lines = [{ line: 1, time: 1, stream: "log", text: "of the other" }];

  state = reduce(state, {
    type: "output",
    pid: 1,
    after: 0,
    lines,
    next: 1,
    had: 1,
  });

  assertEquals(state.output.lines.length, 0);
});

test("The model keeps as many lines of output as it says", () => {
  let state = reduce(initialState(), { type: "choose", pid: 1 });
  for (let after = 0; after < 3 * OUTPUT_LINES; after += 1_000) {
    state = reduce(state, {
      type: "output",
      pid: 1,
      after,
      lines: Array.from({ length: 1_000 }, (_, index) => ({
        line: after + index + 1,
        text: "",
      })),
      next: after + 1_000,
      had: 1,
    });
  }

  assertEquals(state.output.lines.length, OUTPUT_LINES);
  assertEquals(state.output.lines.at(-1)?.line, 3 * OUTPUT_LINES);
});

test("The model never fails for what it is told, and stays bounded", () => {
  const topic = fc.constantFrom(
    "procedure.lifecycle.statechange",
    "procedure.lifecycle.created",
    "procedure.lifecycle.stacktrace",
    "procedure.lifecycle.removed",
    "activity.lifecycle.running",
    "activity.lifecycle.statechange",
    "stream.gap",
    "script.output",
    "__proto__",
  );
  const event = fc.tuple(
    topic,
    fc.dictionary(
      fc.constantFrom(
        "pid",
        "id",
        "result",
        "new_state",
        "time",
        "dropped",
        "stacktrace",
        "msg_src",
        "data",
      ),
      fc.oneof(
        fc.integer({ min: -1, max: 3 }),
        fc.jsonValue(),
        fc.constant(summary(1, ["READY", 1])),
      ),
    ),
  );
  fc.assert(fc.property(fc.array(event), (all) => {
    const events = all.map(([topic, event]) => ({ ...event, topic }));
    let state = reduce(initialState(), { type: "choose", pid: 1 });
    state = reduce(state, { type: "events", events });
    state = reduce(state, { type: "procedures", list: all, since: 0 });
    newestFirst(state).forEach((one) => timelineOf(one, 0));
    titleOf(state);
  }));
});

test("The model tells of the latest states of a procedure, whatever the batches", () => {
  fc.assert(fc.property(
    fc.array(fc.constantFrom("READY", "RUNNING"), { maxLength: 40 }),
    fc.integer({ min: 1, max: 7 }),
    (names, size) => {
      const all = names.map((name, index) => moveEvent(1, name, index + 1));
      let state = withList(summary(1, ["CREATING", 0]));
      for (let at = 0; at < all.length; at += size) {
        const events = all.slice(at, at + size);
        state = reduce(state, { type: "events", events });
      }
      assertEquals(stateOf(state, 1), names.at(-1) ?? "CREATING");
      const states = state.procedures.get(1)?.states ?? [];
      assert(states.every(([name], index) => name !== states[index + 1]?.[0]));
    },
  ));
});

test("The model bounds the history of a procedure", () => {
  const states = Array.from(
    { length: 5_000 },
    (_, index): [string, number] => [index % 2 ? "READY" : "RUNNING", index],
  );

  assertEquals(
    readProcedure(summary(1, ...states))?.states.length,
    HISTORY_ROWS,
  );
});

test("A button says why it cannot be used exactly where the service refuses", () => {
  for (const name of PROCEDURE_STATES) {
    const state = withList(summary(1, [name, 1]));
    const procedure = state.procedures.get(1);
    assertEquals(
      whyNotStart(state, procedure) === null,
      canMove(name, "RUNNING"),
      name,
    );
    assertEquals(whyNotStop(state, procedure) === null, !isFinal(name), name);
  }
  assertEquals(
    whyNotStart(initialState(), undefined),
    "No procedure is chosen.",
  );
});

test("A button cannot be used twice", () => {
  const state = reduce(withList(summary(1, ["READY", 1])), {
    type: "asked",
    pid: 1,
    what: "start",
  });

  assertEquals(
    whyNotStart(state, state.procedures.get(1)),
    "Asked to start it.",
  );
});

test("The title shows how many procedures run", () => {
  const state = withList(
    summary(1, ["RUNNING", 1]),
    summary(2, ["READY", 1]),
    summary(3, ["FAILED", 1]),
  );

  assertEquals(titleOf(state), "(1 running) Longrun");
  assertEquals(countProcedures(state), { running: 1, live: 2 });
});

test("The timeline is to scale", () => {
  const live = readProcedure(summary(1, ["CREATING", 0], ["RUNNING", 25]));
  assert(live !== null);

  assertEquals(
    timelineOf(live, 100_000).map(({ left, width }) => [left, width]),
    [
      [0, 0.25],
      [0.25, 0.75],
    ],
  );
});

test("The timeline of a procedure that has ended ends with it", () => {
  const ended = readProcedure(
    summary(1, ["CREATING", 0], ["IDLE", 1], ["FAILED", 4]),
  );
  assert(ended !== null);

  const segments = timelineOf(ended, 100_000);

  assertEquals(segments.map(({ width }) => width), [0.25, 0.75, 0]);
  assertEquals(segments.at(-1)?.open, false);
});

test("The timeline fills the whole and never leaves it", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0, max: 2e9, noNaN: true }), { minLength: 1 }),
    (times) => {
      const states = times.sort((a, b) => a - b).map((
        time,
        index,
      ): [string, number] => [index % 2 ? "READY" : "RUNNING", time]);
      const procedure = readProcedure(summary(1, ...states));
      assert(procedure !== null);
      const segments = timelineOf(procedure, 2_000_000_001_000);
      const whole = segments.reduce((sum, { width }) => sum + width, 0);
      assertLess(Math.abs(whole - 1), 1e-6);
      for (const { left, width } of segments) {
        assert(left >= 0 && left + width < 1 + 1e-6);
      }
    },
  ));
});

test("Durations are short and right", () => {
  assertEquals(durationText(0.0123), "12 ms");
  assertEquals(durationText(0.9996), "1.0 s");
  assertEquals(durationText(59.96), "1 min 00 s");
  assertEquals(durationText(125), "2 min 05 s");
  assertEquals(durationText(3_661), "1 h 01 min");
  assertEquals(durationText(200_000), "2 d 7 h");
  assertEquals(durationText(NaN), "");
});

test("A script is called by its file, and told with its repository", () => {
  const script = {
    script_type: "git",
    script_uri: "git://scripts/observe.ts",
    git_args: { git_repo: "https://example.org/s.git", git_branch: "main" },
  };

  assertEquals(scriptName(script), "observe.ts");
  assertEquals(
    scriptText(script),
    "git://scripts/observe.ts, from https://example.org/s.git, branch main",
  );
});

test("A call reads as one would write it", () => {
  const call = { fn: "main", args: [1, "a"], kwargs: { b: [2] }, time: 0 };

  assertEquals(callText(call), 'main(1, "a", b: [2])');
});
