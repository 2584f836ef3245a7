// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import { createPainter } from "../control_page_painter.js";

test("The page is painted once for many changes", async () => {
  using time = new FakeTime();
  const frames: (() => void)[] = [];
  const painted: number[] = [];
  const titles: number[] = [];
  let state = 0;
  const changed = createPainter({
    paint: () => painted.push(state),
    paintTitle: () => titles.push(state),
    onFrame: (callback) => frames.push(callback),
    now: () => Date.now(),
  });
  const change = () => {
    state++;
    changed();
  };
  for (let count = 0; count < 10; count++) change();
  assertEquals([painted, frames.length], [[], 1]);
  frames.shift()?.();
  assertEquals(painted, [10]);

  for (let count = 0; count < 10; count++) change();
  assertEquals(frames.length, 0);
  await time.tickAsync(100);
  frames.shift()?.();
  assertEquals(painted, [10, 20]);

  await time.tickAsync(400);
  assertEquals(titles, [20]);
});

test("The page is painted the more seldom the longer it takes", async () => {
  using time = new FakeTime();
  const painted: number[] = [];
  let spent = 0;
  const now = () => Date.now() + spent;
  const changed = createPainter({
    paint() {
      painted.push(now());
      spent += 200;
    },
    paintTitle() {},
    onFrame: (callback) => setTimeout(callback),
    now,
  });
  for (let count = 0; count < 300; count++) {
    changed();
    await time.tickAsync(10);
  }

  painted.slice(2).forEach((at, index) => {
    assertGreaterOrEqual(at - (painted[index + 1] ?? 0), 600);
  });
});

test("A tab in the background has a title, and is painted once it is seen", async () => {
  using time = new FakeTime();
  const frames: (() => void)[] = [];
  let painted = 0;
  let titles = 0;
  const changed = createPainter({
    paint: () => painted++,
    paintTitle: () => titles++,
    onFrame: (callback) => frames.push(callback),
    now: () => Date.now(),
  });
  for (let count = 0; count < 100; count++) {
    changed();
    await time.tickAsync(100);
  }
  assertEquals([painted, titles, frames.length], [0, 20, 1]);

  frames.shift()?.();

  assertEquals(painted, 1);
});
