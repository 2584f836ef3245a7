// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import type {
  TimeoutIterator,
  TimeoutIteratorOptions,
} from "../timeout_iterator.ts";
import {
  bad,
  END,
  type Ending,
  item,
  Rig,
  takeAll,
  wait,
} from "./_timeout_iterator_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

interface Way {
  name: string;
  /** How often the source is closed. */
  closes: number;
  delays?: number[];
  ending?: Ending;
  options?: TimeoutIteratorOptions;
  go: (iterator: TimeoutIterator<number>, rig: Rig) => Promise<unknown>;
}

const consume = (
  iterator: TimeoutIterator<number>,
  rig: Rig,
): Promise<unknown> => takeAll(iterator, rig.clock);

const WAYS: Way[] = [
  {
    name: "the end of the source",
    closes: 0,
    delays: [0, 5, 5, 0],
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "an error of the source",
    closes: 0,
    delays: [0, 5],
    ending: "error",
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "a result that is no object",
    closes: 0,
    delays: [0, 5],
    ending: "nonsense",
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "a break",
    closes: 1,
    delays: [0, 5, 5, 5, 5],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      for await (const value of iterator) if (value === 1) break;
    },
  },
  {
    name: "an error in the body of the loop",
    closes: 1,
    delays: [0, 5, 5, 5, 5],
    ending: "hang",
    options: { timeout: 10 },
    go: (iterator) =>
      assertRejects(
        async () => {
          for await (const value of iterator) if (value === 1) throw bad;
        },
        Error,
        bad.message,
      ),
  },
  {
    name: "return() between two items",
    closes: 1,
    delays: [0, 5],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      await iterator.next();
      assertEquals(await iterator.return(), END);
    },
  },
  {
    name: "return() during the wait for an item",
    closes: 1,
    delays: [50],
    ending: "hang",
    options: { timeout: 100 },
    go: async (iterator, rig) => {
      const first = rig.watch(iterator.next());
      await wait(rig.clock, 5);
      await iterator.return();
      assertEquals(first, { outcome: { value: END }, at: 5 });
    },
  },
  {
    name: "return() before the first item",
    closes: 1,
    options: { timeout: 10 },
    go: (iterator) => iterator.return(),
  },
  {
    name: "two calls of return()",
    closes: 1,
    delays: [0],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      await iterator.next();
      await iterator.return();
      await iterator.return();
    },
  },
  {
    name: "a disposal",
    closes: 1,
    delays: [0],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      {
        await using items = iterator;
        assertEquals(await items.next(), item(0));
      }
      await iterator[Symbol.asyncDispose]();
    },
  },
  {
    name: "a disposal before the first item",
    closes: 1,
    options: { timeout: 10 },
    go: (iterator) => iterator[Symbol.asyncDispose](),
  },
  {
    name: "a timeout",
    closes: 1,
    delays: [5, 5, 50],
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "a timeout of the first item",
    closes: 1,
    ending: "hang",
    options: { firstTimeout: 10 },
    go: consume,
  },
  {
    name: "a timeout that ends",
    closes: 1,
    delays: [5, 50],
    options: { timeout: 10, onTimeout: "end" },
    go: consume,
  },
  {
    name: "a timeout whose hook throws",
    closes: 1,
    delays: [5, 50],
    options: {
      timeout: 10,
      onTimeout: () => {
        throw bad;
      },
    },
    go: consume,
  },
  {
    name: "a timeout whose hook decides nonsense",
    closes: 1,
    delays: [5, 50],
    options: { timeout: 10, onTimeout: () => "perhaps" as "end" },
    go: consume,
  },
  {
    name: "the total timeout",
    closes: 1,
    delays: [5, 5, 5, 5, 5, 5],
    options: { timeout: 10, totalTimeout: 22 },
    go: consume,
  },
  {
    name: "the total timeout while the consumer is busy",
    closes: 1,
    delays: [5, 5, 5, 5],
    ending: "hang",
    options: { timeout: 10, totalTimeout: 22 },
    go: async (iterator, rig) => {
      await iterator.next();
      await wait(rig.clock, 100);
      await assertRejects(() => iterator.next(), DOMException);
    },
  },
  {
    name: "the total timeout after timeouts that went on",
    closes: 1,
    delays: [5],
    ending: "hang",
    options: { timeout: 10, totalTimeout: 95, onTimeout: "continue" },
    go: consume,
  },
  {
    name: "an abort during the wait for an item",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100 },
    go: (iterator, rig) => {
      rig.abortAt(7, bad);
      return consume(iterator, rig);
    },
  },
  {
    name: "an abort between two items",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100 },
    go: async (iterator, rig) => {
      await iterator.next();
      rig.controller.abort(bad);
      rig.assertNothingLeft();
      await assertRejects(() => iterator.next(), Error, bad.message);
    },
  },
  {
    name: "an abort that ends",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100, onAbort: "end" },
    go: (iterator, rig) => {
      rig.abortAt(7, bad);
      return consume(iterator, rig);
    },
  },
  {
    name: "an abort before the first item",
    closes: 1,
    delays: [0],
    options: { timeout: 100 },
    go: (iterator, rig) => {
      rig.controller.abort(bad);
      return consume(iterator, rig);
    },
  },
  {
    name: "an abort and a return() after it",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100 },
    go: async (iterator, rig) => {
      await iterator.next();
      rig.controller.abort(bad);
      await iterator.return();
    },
  },
];

for (const { name, closes, delays, ending, options, go } of WAYS) {
  for (const prefetch of [0, 2]) {
    const how = prefetch === 0 ? name : `${name}, prefetching`;
    const times = closes === 0 ? "does not close" : "closes once";
    test(`TimeoutIterator ${times} a source at ${how}, and leaves nothing`, async () => {
      const rig = new Rig();
      const script = rig.script(delays, ending);
      const iterator = rig.over(script, { ...options, prefetch });
      const unhandled = await unhandledDuring(async () => {
        const done = go(iterator, rig);
        const over = rig.watch(done);
        for (let ms = 0; over.outcome === undefined && ms < 1000; ms++) {
          await rig.clock.advance(1);
        }
        assert(over.outcome !== undefined, "hangs");
        await done;
        rig.assertNothingLeft();
        rig.assertOneTimer();
        assertEquals(script.closed, closes);
        const { pulled } = script;
        assertEquals(await iterator.next(), END);
        assertEquals(await iterator.return(), END);
        await rig.clock.runAll();
        rig.assertNothingLeft();
        assertEquals([script.closed, script.pulled], [closes, pulled]);
        assertLessOrEqual(script.opened, 1);
        assertEquals(script.overlaps, 0);
      });
      assertEquals(unhandled, []);
    });
  }
}
