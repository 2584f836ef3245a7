// Copyright 2026 the Longrun authors. MIT license.

/** What is known of a command, as a pure function of what is told. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import {
  advance,
  type LrcInput,
  type LrcState,
  UNKNOWN_STATE,
} from "../_lrc_state.ts";
import { parseMessages } from "../_lrc_messages.ts";
import { ResultCode, TaskStatus } from "../device_proxy.ts";
import { isFinalStatus, parseResultCode, parseTaskStatus } from "../lrc.ts";

const { STAGING, QUEUED, IN_PROGRESS, COMPLETED, FAILED, NOT_FOUND } =
  TaskStatus;

const change = (told: object): LrcInput => ({ kind: "change", change: told });
const found = (told: object): LrcInput => ({
  kind: "found",
  change: told,
  source: "repair",
});

function run(inputs: LrcInput[], holds = true) {
  let state: LrcState = UNKNOWN_STATE;
  const news: unknown[] = [];
  const asks: boolean[] = [];
  for (const [time, input] of inputs.entries()) {
    const step = advance(state, input, time, holds);
    state = step.state;
    if (step.news !== undefined) news.push(step.news);
    asks.push(step.mustAsk);
  }
  return { state, news, asks };
}

test("A state holds the end back until the result is known", () => {
  const end = change({ status: COMPLETED });
  const held = run([change({ status: IN_PROGRESS }), end]);
  assertEquals(held.state.isOver, false);
  assertEquals(held.state.status, IN_PROGRESS);
  assertEquals(held.asks, [false, true]);
  const result = { result: [0] };
  for (
    const last of [change(result), found({ status: COMPLETED, ...result })]
  ) {
    const { state, news } = run([end, last]);
    assertEquals(state.isOver, true);
    assertEquals(news, [{ status: COMPLETED, result: [0] }]);
  }
  for (
    const last of [
      found({ status: COMPLETED }),
      { kind: "unknown", source: "repair" },
      { kind: "unable", source: "repair" },
    ] as LrcInput[]
  ) {
    assertEquals(run([end, last]).news, [{ status: COMPLETED }]);
  }
  assertEquals(run([end], false).news, [{ status: COMPLETED }]);
});

test("A state that was held is not shaken by what comes late", () => {
  const { state, asks } = run([
    change({ status: COMPLETED }),
    change({ status: IN_PROGRESS }),
    found({ status: IN_PROGRESS }),
    change({ status: FAILED }),
  ]);
  assertEquals(state.held, COMPLETED);
  assertEquals(asks, [true, false, true, false]);
  assertEquals(state.counters.outOfOrder, 1);
});

test("A state believes an end at last, though the device denies it again and again", () => {
  const end = change({ status: COMPLETED });
  const denial = found({ status: IN_PROGRESS });
  const denials = (count: number) => Array<LrcInput>(count).fill(denial);
  assertEquals(run([end, ...denials(5)]).state.isOver, false);
  const { state, asks } = run([end, ...denials(6)]);
  assertEquals([state.isOver, state.status], [true, COMPLETED]);
  assertEquals(asks, [true, true, true, true, true, true, false]);
});

test("A state that is over stays as it is", () => {
  const { state } = run([change({ status: COMPLETED, result: [0] })]);
  for (
    const input of [
      change({ status: FAILED, result: [3] }),
      found({ status: FAILED }),
      { kind: "gap" },
      { kind: "unknown", source: "repair" },
      { kind: "errors", errors: [] },
    ] as LrcInput[]
  ) {
    const step = advance(state, input, 9, true);
    assertStrictEquals(step.state, state);
    assertEquals(step.news, undefined);
    assertEquals(step.mustAsk, false);
  }
});

test("A state takes a command that is missing twice in a row for one that is not known", () => {
  const missing: LrcInput = {
    kind: "missing",
    change: {},
    source: "repair",
  };
  assertEquals(run([missing]).asks, [true]);
  assertEquals(run([missing, missing]).state.status, NOT_FOUND);
  const seen = change({ status: QUEUED });
  assertEquals(run([missing, seen, missing]).state.isOver, false);
});

test("A state learns the result of a command that is in no table, and gives it up all the same", () => {
  const missing: LrcInput = {
    kind: "missing",
    change: { result: [0] },
    source: "repair",
  };
  const forgotten = run([missing, missing]).state;
  assertEquals(forgotten.status, NOT_FOUND);
  assertEquals(forgotten.result, { value: [0] });
  const ended = run([change({ status: COMPLETED }), missing]).state;
  assertEquals(ended.status, COMPLETED);
  assertEquals(ended.result, { value: [0] });
});

test("A state has the last of the results that are told", () => {
  const { state } = run([
    change({ result: [2, "begun"] }),
    change({ status: COMPLETED, result: [0, "ok"] }),
  ]);
  assertEquals(state.result, { value: [0, "ok"] });
});

test("A state asks when an event says that the command is not known", () => {
  const { state, asks } = run([change({ status: NOT_FOUND })]);
  assertEquals(asks, [true]);
  assertEquals(state.isOver, false);
});

test("A state never goes back, tells each news once and counts every event", () => {
  const told = fc.record({
    status: fc.constantFrom(STAGING, QUEUED, IN_PROGRESS, COMPLETED, FAILED),
    progress: fc.integer({ min: 0, max: 3 }),
    result: fc.constantFrom([0], [3], null),
  }, { requiredKeys: [] });
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.boolean(), told)),
    fc.boolean(),
    (inputs, holds) => {
      let state: LrcState = UNKNOWN_STATE;
      for (const [isEvent, change] of inputs) {
        const before = state;
        const input = isEvent
          ? { kind: "change" as const, change }
          : { kind: "found" as const, change, source: "repair" as const };
        const { news, state: after } = advance(before, input, 0, holds);
        state = after;
        assert((before.status ?? 0) <= (after.status ?? 0));
        if (before.isOver) assertStrictEquals(after, before);
        if (news?.status !== undefined) assert(news.status !== before.status);
        if (news?.progress !== undefined) {
          assert(news.progress !== before.progress);
        }
        assertEquals(news?.status ?? before.status, after.status);
        assertEquals(
          after.isOver,
          after.status !== undefined && isFinalStatus(after.status),
        );
      }
    },
  ));
});

test("Statuses and codes are read by number and by name", () => {
  for (const [name, value] of Object.entries(TaskStatus)) {
    for (const text of [name, name.toLowerCase(), ` ${name} `, value]) {
      assertEquals(parseTaskStatus(text), value);
    }
    assertEquals(parseTaskStatus(String(value)), value);
    assertEquals(parseTaskStatus(BigInt(value)), value);
  }
  for (const [name, value] of Object.entries(ResultCode)) {
    assertEquals(parseResultCode(name), value);
    assertEquals(parseResultCode(value), value);
  }
  const bad = [8, -1, 1.5, NaN, "", "DONE", "toString", null, undefined, {}];
  for (const value of bad) {
    assertEquals(parseTaskStatus(value), undefined);
    assertEquals(parseResultCode(value), undefined);
  }
});

test("The values that attributes begin with tell nothing", () => {
  for (
    const [attribute, value] of [
      ["_lrcEvent", []],
      ["_lrcEvent", undefined],
      ["_lrcEvent", null],
      ["_lrcEvent", ["", ""]],
      ["longRunningCommandProgress", []],
      ["longRunningCommandResult", ["", ""]],
      ["longRunningCommandResult", []],
      ["somethingElse", ["a", "b"]],
    ] as const
  ) {
    assertEquals(parseMessages(attribute, value), []);
  }
  assertEquals(parseMessages("longRunningCommandStatus", []), [
    { kind: "list", ids: new Set<string>() },
  ]);
});

test("Reading an event never throws, whatever it is", () => {
  const attribute = fc.constantFrom(
    "_lrcevent",
    "longrunningcommandstatus",
    "LONGRUNNINGCOMMANDPROGRESS",
    "longRunningCommandResult",
  );
  const value = fc.oneof(
    fc.anything(),
    fc.array(fc.oneof(fc.string(), fc.anything())),
    fc.tuple(fc.string(), fc.json()),
  );
  fc.assert(fc.property(attribute, value, (name, value) => {
    for (const message of parseMessages(name, value)) {
      assert(["change", "malformed", "list"].includes(message.kind));
    }
  }));
});
