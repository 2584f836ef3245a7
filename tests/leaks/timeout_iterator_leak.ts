// Copyright 2026 the Longrun authors. MIT license.

import { systemClock } from "../../clock.ts";
import {
  type ItemSource,
  TimeoutIterator,
  type TimeoutIteratorOptions,
} from "../../timeout_iterator.ts";
import { CountingClock } from "../_counting_clock.ts";
import { CountingController } from "../_listeners.ts";
import { check, checkEnd, checkNone, heap, inRounds } from "./_watch.ts";

const ITEMS = 1_000_000;
const HOUR = 3_600_000;

interface Item {
  n: number;
}

async function* generate(): AsyncGenerator<Item> {
  for (let n = 0; n < ITEMS; n++) yield { n };
}

function plain(): AsyncIterable<Item> {
  let n = 0;
  return {
    [Symbol.asyncIterator]: () => ({
      next: () =>
        Promise.resolve<IteratorResult<Item>>(
          n < ITEMS
            ? { done: false, value: { n: n++ } }
            : { done: true, value: undefined },
        ),
    }),
  };
}

/** What an item leaves behind while the loop is still running. */
async function checkLoop(
  name: string,
  source: ItemSource<Item>,
  options: TimeoutIteratorOptions = {},
): Promise<void> {
  const clock = new CountingClock(systemClock);
  const controller = new CountingController();
  const first = ITEMS / 10;
  const last = ITEMS - 1;
  let before = 0;
  let after = 0;
  const items = new TimeoutIterator(source, {
    clock,
    signal: controller.signal,
    timeout: HOUR,
    ...options,
  });
  for await (const { n } of items) {
    if (n === first) before = await heap();
    if (n === last) after = await heap();
  }
  const each = (after - before) / (last - first);
  // The least that an item could leave is a pointer of 4 bytes. Engines that
  // compile meanwhile let the heap step by less.
  check(`${name}, a million items`, each <= 2, `${each.toFixed(3)} bytes`);
  check(
    `${name}, timers and listeners at a time`,
    clock.most <= 1 && controller.most <= 1,
    `${clock.most}, ${controller.most}`,
  );
  checkNone(`${name}, timers`, clock.timers);
  checkNone(`${name}, listeners`, controller.listeners);
}

await checkLoop("a generator", generate());
await checkLoop("a plain iterator", plain());
await checkLoop("a total timeout", plain(), { totalTimeout: 2 * HOUR });
await checkLoop("an expected rate", plain(), { expectedRate: 1 });
await checkLoop("a prefetch", plain(), { prefetch: 8 });

const COUNT = 10_000;
const checkRounds = inRounds(COUNT, 20);
const app = new CountingController();
const never = <T>(): Promise<T> => new Promise(() => {});

await checkRounds("iterations broken off", async () => {
  for (let n = 0; n < COUNT; n++) {
    const items = new TimeoutIterator(generate(), {
      signal: app.signal,
      timeout: HOUR,
    });
    for await (const _ of items) break;
  }
});
checkNone("iterations broken off, listeners", app.listeners);

await checkRounds("iterations aborted while they hang", async () => {
  const controller = new CountingController();
  const waits = Array.from(
    { length: COUNT },
    () =>
      new TimeoutIterator<Item>({ next: never }, {
        signal: controller.signal,
        timeout: HOUR,
        onAbort: "end",
      }).next(),
  );
  controller.abort("dawn");
  await Promise.all(waits);
  if (controller.listeners !== 0) checkNone("listeners", controller.listeners);
});

checkEnd();
