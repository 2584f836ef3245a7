// Copyright 2026 the Longrun authors. MIT license.

/**
 * What jobs cost: a crowd of calls with a limit, and a tree of sequences and
 * groups, which is also aborted in the middle.
 *
 * @module
 */

import { Effect } from "effect";
import pLimit from "p-limit";
import pMap from "p-map";
import PQueue from "p-queue";
import { isCancellation, sleep } from "../cancellation.ts";
import {
  call,
  type Job,
  type JobContext,
  JobExecutor,
  parallel,
  runJob,
  sequential,
} from "../job.ts";
import { alternate, type Case, exit, report } from "./_harness.ts";

const LIMIT = 10;

type Work = () => Promise<void>;

type JobWork = (context: JobContext) => Promise<void>;

type RunCrowd = (
  count: number,
  work: Work,
  signal: AbortSignal,
) => Promise<unknown>;

const crowds: Record<string, RunCrowd> = {
  "10 bare workers on one index": (count, work) => {
    let next = 0;
    const loop = async () => {
      while (next++ < count) await work();
    };
    return Promise.all(Array.from({ length: LIMIT }, loop));
  },
  "longrun parallel": (count, work, signal) =>
    runJob(
      parallel(
        Array.from({ length: count }, () => call(work)),
        { limit: LIMIT },
      ),
      { signal },
    ),
  "longrun JobExecutor, a submission each": async (count, work, signal) => {
    const executor = new JobExecutor({ limit: LIMIT, signal });
    const job = call(work);
    for (let index = 0; index < count; index++) executor.submit(job);
    await executor.idle();
  },
  "p-map": (count, work, signal) =>
    pMap(Array.from({ length: count }), work, { concurrency: LIMIT, signal }),
  "p-limit, no signal": (count, work) =>
    pLimit(LIMIT).map(Array.from({ length: count }), work),
  "p-queue, no signal": (count, work) =>
    new PQueue({ concurrency: LIMIT })
      .addAll(Array.from({ length: count }, () => work)),
  "effect forEach": (count, work, signal) =>
    Effect.runPromise(
      Effect.forEach(
        Array.from({ length: count }),
        () => Effect.promise(work),
        { concurrency: LIMIT, discard: true },
      ),
      { signal },
    ),
};

const OUTER = 20;
const MIDDLE = 50;
const INNER = 4;
const TREE_LIMIT = 8;
const LEAVES = OUTER * MIDDLE * INNER;

type RunTree = (work: Work, signal: AbortSignal) => Promise<unknown>;

async function innerLoop(work: Work): Promise<void> {
  for (let index = 0; index < INNER; index++) await work();
}

function times<T>(count: number, make: () => T): T[] {
  const list: T[] = [];
  for (let index = 0; index < count; index++) list.push(make());
  return list;
}

const innerEffect = (work: Work) =>
  Effect.forEach(times(INNER, () => work), (work) => Effect.promise(work), {
    discard: true,
  });

const treeOf = (work: JobWork): Job =>
  sequential(...times(OUTER, () =>
    parallel(
      times(MIDDLE, () => sequential(...times(INNER, () => call(work)))),
      { limit: TREE_LIMIT },
    )));

let done = 0;

const work: Work = async () => {
  await undefined;
  done++;
};

const tree = treeOf(work);

const trees: Record<string, RunTree> = {
  "plain loops": async (work) => {
    for (let index = 0; index < OUTER; index++) {
      let next = 0;
      const loop = async () => {
        while (next++ < MIDDLE) {
          for (let index = 0; index < INNER; index++) await work();
        }
      };
      await Promise.all(times(TREE_LIMIT, loop));
    }
  },
  "longrun sequential and parallel": (_, signal) => runJob(tree, { signal }),
  "longrun sequential and parallel, made each time": (work, signal) =>
    runJob(treeOf(work), { signal }),
  "p-map and loops": async (work, signal) => {
    for (let index = 0; index < OUTER; index++) {
      await pMap(times(MIDDLE, () => work), innerLoop, {
        concurrency: TREE_LIMIT,
        signal,
      });
    }
  },
  "p-limit and loops, no signal": async (work) => {
    for (let index = 0; index < OUTER; index++) {
      await pLimit(TREE_LIMIT).map(times(MIDDLE, () => work), innerLoop);
    }
  },
  "effect forEach": (work, signal) =>
    Effect.runPromise(
      Effect.forEach(times(OUTER, () => work), (work) =>
        Effect.forEach(
          times(MIDDLE, () => work),
          innerEffect,
          {
            concurrency: TREE_LIMIT,
            discard: true,
          },
        ), { discard: true }),
      { signal },
    ),
};

async function time(
  count: number,
  run: (work: Work, signal: AbortSignal) => Promise<unknown>,
): Promise<number> {
  const { signal } = new AbortController();
  done = 0;
  const start = performance.now();
  await run(work, signal);
  const duration = performance.now() - start;
  if (done !== count) throw new Error(`${count - done} calls were lost`);
  return duration / count * 1e6;
}

async function measure(
  table: string,
  cases: Case[],
  rounds: number,
): Promise<void> {
  for (const [name, { median, min }] of await alternate(cases, rounds)) {
    report(table, name, { median: median.ns ?? NaN, min: min.ns ?? NaN });
  }
}

function crowdCases(count: number): Case[] {
  return Object.entries(crowds).map(([name, run]) => ({
    name,
    measure: async () => ({
      ns: await time(count, (work, signal) => run(count, work, signal)),
    }),
  }));
}

const treeCases: Case[] = Object.entries(trees).map(([name, run]) => ({
  name,
  measure: async () => ({ ns: await time(LEAVES, run) }),
}));

/** How long a tree takes to end that is aborted among its calls. */
async function quiet(): Promise<number> {
  const controller = new AbortController();
  const { signal } = controller;
  let running = 0;
  let calls = 0;
  let aborted = 0;
  const tree = treeOf(async ({ signal }) => {
    running++;
    try {
      if (++calls === LEAVES / 2) {
        aborted = performance.now();
        controller.abort("dawn");
      }
      await (calls < LEAVES / 2 ? undefined : sleep(1e6, { signal }));
    } finally {
      running--;
    }
  });
  const ended = runJob(tree, { signal }).catch((error) => {
    if (!isCancellation(error, signal)) throw error;
  });
  await ended;
  const duration = performance.now() - aborted;
  if (running !== 0) throw new Error(`${running} calls run on`);
  return duration;
}

await measure("jobs 10000", crowdCases(10_000), 18);
await measure("jobs 100000", crowdCases(100_000), 3);
await measure("job tree", treeCases, 18);
const quietCases: Case[] = [{
  name: "longrun sequential and parallel",
  measure: async () => ({ ms: await quiet() }),
}];
for (const [name, { median }] of await alternate(quietCases, 9)) {
  report("job tree", name, { quiet: median.ms ?? NaN });
}
exit();
