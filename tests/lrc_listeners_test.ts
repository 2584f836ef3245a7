// Copyright 2026 the Longrun authors. MIT license.

/** Who is told what of a device. */

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { LrcListeners } from "../_lrc_listeners.ts";
import type { LrcInput } from "../_lrc_state.ts";

const progress = (progress: number): LrcInput => ({
  kind: "change",
  change: { progress },
});

const GAP: LrcInput = { kind: "gap" };

/** Listens to a command. */
function follow(listeners: LrcListeners, id: string) {
  const inputs: LrcInput[] = [];
  return { inputs, leave: listeners.listen(id, (each) => inputs.push(each)) };
}

test("Listeners are told of their own command, and of what concerns all", () => {
  const listeners = new LrcListeners();
  const one = follow(listeners, "1");
  const same = follow(listeners, "1");
  const other = follow(listeners, "2");
  assertEquals(listeners.size, 2);
  listeners.tell("1", progress(5));
  listeners.tell("3", progress(6));
  listeners.tellAll(GAP);
  assertEquals(one.inputs, [progress(5), GAP]);
  assertEquals(same.inputs, [progress(5), GAP]);
  assertEquals(other.inputs, [GAP]);
});

test("Listeners that leave hear nothing more, and the others still do", () => {
  const listeners = new LrcListeners();
  const one = follow(listeners, "1");
  const same = follow(listeners, "1");
  one.leave();
  one.leave();
  listeners.tell("1", progress(5));
  same.leave();
  listeners.tellAll(GAP);
  assertEquals([one.inputs, same.inputs], [[], [progress(5)]]);
  assertEquals(listeners.size, 0);
  const again = follow(listeners, "1");
  one.leave();
  listeners.tell("1", progress(6));
  assertEquals(again.inputs, [progress(6)]);
});

test("Listeners are told of a gap when their command is listed no longer", () => {
  const listeners = new LrcListeners();
  const { inputs } = follow(listeners, "1");
  listeners.compare(new Set());
  assertEquals(inputs, []);
  listeners.compare(new Set(["1"]));
  listeners.compare(new Set(["1", "2"]));
  assertEquals(inputs, []);
  listeners.compare(new Set(["2"]));
  listeners.compare(new Set());
  assertEquals(inputs, [GAP]);
});

test("Listeners that are expected get what came before their id", () => {
  const listeners = new LrcListeners();
  const expectation = listeners.expect();
  listeners.tell("1", progress(5));
  const inputs: LrcInput[] = [];
  expectation.claim("1", (input) => inputs.push(input));
  listeners.tell("1", progress(6));
  assertEquals(inputs, [progress(5), progress(6)]);
  listeners.clear();
  listeners.tell("1", progress(7));
  assertEquals([inputs.length, listeners.size], [2, 0]);
});
