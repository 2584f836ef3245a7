// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a limit on the wait for each item costs, for items that are ready.
 *
 * Without arguments: time per item. With `memory` and the name of a case: heap
 * per item while the loop runs.
 *
 * @module
 */

import { abortableSource } from "abortable-iterator";
import { timeout as cockatiel, TimeoutStrategy } from "cockatiel";
import { Effect, Stream } from "effect";
import { call, race, run, sleep } from "effection";
import pTimeout from "p-timeout";
import process from "node:process";
import { from as observe, timeout as rxTimeout } from "rxjs";
import { withTimeout } from "../timeout_iterator.ts";
import {
  alternate,
  type Case,
  collect,
  exit,
  heapUsed,
  report,
  settle,
} from "./_harness.ts";

type Items = AsyncIterable<number>;

/** How a candidate sums up its items. */
interface Candidate {
  /** A wrapper around the source, which a `for await` iterates. */
  wrap?(source: Items, ms: number, signal: AbortSignal): AsyncIterable<number>;
  /** A loop of the candidate's own. */
  sum?(source: Items, ms: number, signal: AbortSignal): Promise<number>;
  /** Whether its timers stay for the whole timeout. */
  leavesTimers?: boolean;
}

const TIMEOUT = 1000;
const MOST_ITEMS = 400_000;
/** How long a round of a case may take, in milliseconds. */
const BUDGET = 300;
const ROUNDS = 9;

// ix has its operators below its main module; Deno finds them by the version
// that the main module is mapped to.
const mapped = import.meta.resolve("ix");
const ix = mapped.startsWith("npm:") ? mapped : "ix";
const { from: ixFrom } = await import(`${ix}/asynciterable`);
const { timeout: ixTimeout, withAbort: ixWithAbort } = await import(
  `${ix}/asynciterable/operators`
);

async function* ready(count: number): AsyncGenerator<number> {
  for (let item = 0; item < count; item++) yield item;
}

async function* passThrough(source: Items): AsyncGenerator<number> {
  for await (const item of source) yield item;
}

/** A long-lived promise of the abort in a race for each item. */
async function* raceAnItem(
  source: Items,
  signal: AbortSignal,
): AsyncGenerator<number> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => {});
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await Promise.race([aborted, iterator.next()]);
      if (result.done) return;
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", abort);
    await iterator.return?.();
  }
}

/** A timer in a race for each item. */
async function* raceATimer(
  source: Items,
  ms: number,
): AsyncGenerator<number> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => reject(new Error("Late")), ms);
      const result = await Promise.race([late, iterator.next()]);
      clearTimeout(timer);
      if (result.done) return;
      yield result.value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** The loop around libraries that limit one promise at a time. */
async function sumEach(
  source: Items,
  limit: (
    next: () => Promise<IteratorResult<number>>,
  ) => Promise<IteratorResult<number>>,
): Promise<number> {
  const iterator = source[Symbol.asyncIterator]();
  const next = () => iterator.next();
  let sum = 0;
  for (;;) {
    const result = await limit(next);
    if (result.done) return sum;
    sum += result.value;
  }
}

interface StandardAsync {
  abortable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T>;
}

async function withStandard(): Promise<Record<string, Candidate>> {
  if (!process.argv.includes("--std")) return {};
  const { abortable } = await import("@std/async") as unknown as StandardAsync;
  return {
    "@std/async abortable, abort only": {
      wrap: (source, _, signal) => abortable(source, signal),
    },
  };
}

const candidates: Record<string, Candidate> = {
  "bare for await": { wrap: (source) => source },
  "pass-through async generator": { wrap: passThrough },
  "longrun withTimeout, timeout and signal": {
    wrap: (source, timeout, signal) => withTimeout(source, { timeout, signal }),
  },
  "longrun withTimeout, timeout only": {
    wrap: (source, timeout) => withTimeout(source, { timeout }),
  },
  "longrun withTimeout, signal only": {
    wrap: (source, _, signal) => withTimeout(source, { signal }),
  },
  "longrun withTimeout, prefetch 16": {
    wrap: (source, timeout, signal) =>
      withTimeout(source, { timeout, signal, prefetch: 16 }),
  },
  "abortable-iterator, abort only": {
    wrap: (source, _, signal) => abortableSource(source, signal),
  },
  ...await withStandard(),
  "Promise.race an item, abort only (the technique of most peers)": {
    wrap: (source, _, signal) => raceAnItem(source, signal),
  },
  "Promise.race and a timer an item (the technique of most peers)": {
    wrap: (source, ms) => raceATimer(source, ms),
  },
  "ix withAbort, abort only": {
    wrap: (source, _, signal) => ixFrom(source).pipe(ixWithAbort(signal)),
  },
  "ix timeout": {
    wrap: (source, ms) => ixFrom(source).pipe(ixTimeout(ms)),
    leavesTimers: true,
  },
  "rxjs timeout": {
    async sum(source, ms) {
      let sum = 0;
      await observe(source).pipe(rxTimeout({ each: ms })).forEach((item) => {
        sum += item;
      });
      return sum;
    },
  },
  "p-timeout an item": {
    sum: (source, milliseconds, signal) =>
      sumEach(source, (next) => pTimeout(next(), { milliseconds, signal })),
  },
  "cockatiel timeout an item": {
    sum(source, ms, signal) {
      const policy = cockatiel(ms, TimeoutStrategy.Aggressive);
      return sumEach(source, (next) => policy.execute(next, signal));
    },
  },
  "effect Stream.timeout": {
    async sum(source, ms, signal) {
      let sum = 0;
      await Effect.runPromise(
        Stream.fromAsyncIterable(source, (error) => error).pipe(
          Stream.timeout(ms),
          Stream.runForEach((item) =>
            Effect.sync(() => {
              sum += item;
            })
          ),
        ),
        { signal },
      );
      return sum;
    },
  },
  "effection race with sleep": {
    sum: (source, ms) =>
      run(function* () {
        const iterator = source[Symbol.asyncIterator]();
        let sum = 0;
        for (;;) {
          const result = yield* race([
            call(() => iterator.next()),
            sleep(ms),
          ]);
          if (result === undefined) throw new Error("Late");
          if (result.done) return sum;
          sum += result.value;
        }
      }),
  },
};

type Loop = (items: AsyncIterable<number>) => Promise<number>;

/** A loop of its own for each candidate: shared, one would slow the others. */
function createLoop(): Loop {
  const AsyncFunction = (async () => {}).constructor as new (
    parameter: string,
    body: string,
  ) => Loop;
  return new AsyncFunction(
    "items",
    "let sum = 0; for await (const item of items) sum += item; return sum;",
  );
}

function summing(
  { wrap, sum }: Candidate,
): (source: Items, ms: number, signal: AbortSignal) => Promise<number> {
  const loop = createLoop();
  return async (source, ms, signal) => {
    if (sum !== undefined) return await sum(source, ms, signal);
    return await loop(wrap?.(source, ms, signal) ?? source);
  };
}

/** What happens when the source hangs: a timeout, later also an abort. */
async function hang(candidate: Candidate): Promise<string> {
  async function* hanging(): AsyncGenerator<number> {
    yield* [1, 2, 3];
    await new Promise(() => {});
  }
  const controller = new AbortController();
  const abort = setTimeout(() => controller.abort(), 100);
  let outcome = "hangs";
  const end = () => {
    outcome = "ends";
  };
  const ended = summing(candidate)(hanging(), 50, controller.signal)
    .then(end, end);
  await Promise.race([ended, settle(300)]);
  clearTimeout(abort);
  return outcome;
}

async function time(): Promise<void> {
  const cases: Case[] = [];
  const stalled = new Map<string, string>();
  const { signal } = new AbortController();
  for (const [name, candidate] of Object.entries(candidates)) {
    const sum = summing(candidate);
    const measure = async (count: number) => {
      const start = performance.now();
      const total = await sum(ready(count), TIMEOUT, signal);
      const duration = performance.now() - start;
      if (total !== count * (count - 1) / 2) {
        throw new Error(`"${name}" lost items`);
      }
      return duration / count;
    };
    await measure(2000);
    const count = Math.min(
      MOST_ITEMS,
      Math.ceil(BUDGET / await measure(2000)),
    );
    cases.push({
      name,
      measure: async () => ({ ns: await measure(count) * 1e6 }),
      aftermath: candidate.leavesTimers ? TIMEOUT + 200 : undefined,
    });
    stalled.set(name, await hang(candidate));
  }
  for (const [name, { median, min }] of await alternate(cases, ROUNDS)) {
    report("wrap", name, {
      median: median.ns ?? NaN,
      min: min.ns ?? NaN,
      stalled: stalled.get(name) ?? "",
    });
  }
}

/** Bytes an item that a loop holds on to, while it runs. */
async function memory(name: string): Promise<void> {
  const candidate = candidates[name];
  if (candidate?.wrap === undefined) throw new Error(`There is no "${name}"`);
  const warmUp = 10_000;
  // A heap of gigabytes would say no more.
  const count = candidate.leavesTimers ? 50_000 : 1_000_000;
  async function* objects(): AsyncGenerator<number> {
    for (let id = 0; id < warmUp + count; id++) {
      yield { id } as unknown as number;
    }
  }
  const { signal } = new AbortController();
  let items = 0;
  let before = 0;
  let after = 0;
  for await (const _ of candidate.wrap(objects(), TIMEOUT, signal)) {
    items++;
    if (items === warmUp) before = await heapUsed();
    if (items === warmUp + count) after = await heapUsed();
  }
  if (items !== warmUp + count) throw new Error(`"${name}" lost items`);
  report("held", name, { bytes: (after - before) / count });
}

const [mode, name = ""] = process.argv.slice(2);
collect();
if (mode === "memory") await memory(name);
else await time();
exit();
