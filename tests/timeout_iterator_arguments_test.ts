// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  type ItemSource,
  TimeoutIterator,
  type TimeoutIteratorOptions,
  withTimeout,
} from "../timeout_iterator.ts";
import { Rig } from "./_timeout_iterator_rig.ts";

const BAD_OPTIONS: [string, unknown, typeof TypeError | typeof RangeError][] = [
  ["timeout", NaN, RangeError],
  ["timeout", 0, RangeError],
  ["timeout", -1, RangeError],
  ["timeout", -Infinity, RangeError],
  ["timeout", "10", TypeError],
  ["timeout", null, TypeError],
  ["timeout", 10n, TypeError],
  ["firstTimeout", NaN, RangeError],
  ["firstTimeout", 0, RangeError],
  ["firstTimeout", -5, RangeError],
  ["firstTimeout", "5", TypeError],
  ["totalTimeout", NaN, RangeError],
  ["totalTimeout", 0, RangeError],
  ["totalTimeout", -5, RangeError],
  ["totalTimeout", {}, TypeError],
  ["expectedRate", NaN, RangeError],
  ["expectedRate", 0, RangeError],
  ["expectedRate", -1, RangeError],
  ["expectedRate", Infinity, RangeError],
  ["expectedRate", "10", TypeError],
  ["onSlow", "warn", TypeError],
  ["onSlow", null, TypeError],
  ["onTimeout", "stop", TypeError],
  ["onTimeout", null, TypeError],
  ["onTimeout", 10, TypeError],
  ["onAbort", "continue", TypeError],
  ["onAbort", () => "end", TypeError],
  ["prefetch", -1, RangeError],
  ["prefetch", 1.5, RangeError],
  ["prefetch", NaN, RangeError],
  ["prefetch", "2", TypeError],
  ["grace", -1, RangeError],
  ["grace", NaN, RangeError],
  ["grace", "1", TypeError],
  ["signal", {}, TypeError],
  ["signal", null, TypeError],
  ["signal", new AbortController(), TypeError],
  ["clock", {}, TypeError],
  ["clock", null, TypeError],
  ["clock", Date, TypeError],
  ["logger", {}, TypeError],
  ["logger", "console", TypeError],
];

const create = (source: unknown, options?: unknown): unknown =>
  new TimeoutIterator(
    source as ItemSource<number>,
    options as TimeoutIteratorOptions,
  );

test("TimeoutIterator refuses bad options by their names before anything starts", () => {
  for (const [name, value, Kind] of BAD_OPTIONS) {
    const rig = new Rig();
    const script = rig.script([0]);
    const { signal } = rig.controller;
    const options = { clock: rig.timers, signal, timeout: 10, [name]: value };
    const label = `${name}: ${String(value)}`;
    for (const make of [create, withTimeout as typeof create]) {
      const error = assertThrows(() => make(script, options), Kind);
      assertStringIncludes(
        (error as Error).message,
        `Cannot create TimeoutIterator as '${name}' must be `,
        label,
      );
    }
    assertEquals([script.opened, script.pulled, script.closed], [0, 0, 0]);
    assertEquals([rig.timers.set, rig.controller.most], [0, 0]);
  }
});

test("TimeoutIterator refuses what no items can be pulled from", () => {
  const nonsense = [
    undefined,
    null,
    5,
    true,
    10n,
    Symbol("items"),
    {},
    { next: 5 },
    { [Symbol.iterator]: true },
    { length: 2, 0: "a", 1: "b" },
    () => [1, 2],
    Promise.resolve([1, 2]),
  ];
  for (const source of nonsense) {
    const error = assertThrows(() => create(source), TypeError);
    assertStringIncludes(error.message, "'source' must be an iterable");
  }
});

test("TimeoutIterator refuses options that are no object", () => {
  for (const options of [null, 5, "timeout", true]) {
    const error = assertThrows(() => create([], options), TypeError);
    assertStringIncludes(error.message, "'options' must be an object");
  }
});
