// Copyright 2026 the Longrun authors. MIT license.

/**
 * Ten thousand long-running commands in flight on one device, over one
 * connection: what an event costs on its way from the code of the command to
 * the callback of the client, what a command costs, the heap of each, and
 * whether anything was lost. With the arguments `memory` and a row the heap.
 *
 * No peer speaks this protocol. Beside it are floors: the same texts, handed to
 * the callbacks with nothing in between.
 *
 * @module
 */

import process from "node:process";
import { connectLrcInterface, invokeLrc, type LrcHandle } from "../lrc.ts";
import { LrcDevice } from "../lrc_device.ts";
import {
  alternate,
  type Case,
  exit,
  heapUsed,
  median,
  report,
  settle,
} from "./_harness.ts";

const TABLE = "lrc";
const MANY = 10_000;
/** Each event of the first version lists all commands: this is quadratic. */
const FEW = 500;
const WAVES = 10;
/** After this time what has not come will not come. */
const PATIENCE = 20_000;

const MAP = "bare map of callbacks";
const TARGET = "bare EventTarget";
const DEVICE = "longrun LrcDevice to a bare map of callbacks";
const SECOND = "longrun LrcDevice and invokeLrc, version 2";
const FIRST = `longrun LrcDevice and invokeLrc, version 1, ${FEW} commands`;

/** Counts what has come to callbacks. */
class Meter {
  #heard = 0;
  #awaited = Infinity;
  #resolve: () => void = () => {};

  get heard(): number {
    return this.#heard;
  }

  hear(): void {
    if (++this.#heard === this.#awaited) this.#resolve();
  }

  /** Resolves when so many more have come since, or it took too long. */
  async while(work: () => unknown, count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resolve = resolve;
    this.#awaited = this.#heard + count;
    const timer = setTimeout(resolve, PATIENCE);
    await work();
    await promise;
    clearTimeout(timer);
  }
}

/** Commands in flight. */
interface Fleet extends AsyncDisposable {
  readonly size: number;
  /** Resolves when everybody was told the progress of all. */
  tell(progress: number): Promise<void>;
}

/** What all who listen in this way must do. */
function progressOf(json: string): number {
  return JSON.parse(json).progress;
}

function makeIds(): string[] {
  return Array.from(
    { length: MANY },
    (_, index) => `1790000000.${index}_${index}_Work`,
  );
}

function bareMap(): Promise<Fleet> {
  const meter = new Meter();
  const ids = makeIds();
  const callbacks = new Map<string, (json: string) => void>();
  for (const id of ids) {
    callbacks.set(id, (json) => {
      if (progressOf(json) >= 0) meter.hear();
    });
  }
  return Promise.resolve({
    size: MANY,
    tell: (progress) =>
      meter.while(() => {
        for (const id of ids) callbacks.get(id)?.(JSON.stringify({ progress }));
      }, MANY),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

function bareTarget(): Promise<Fleet> {
  const meter = new Meter();
  const target = new EventTarget();
  const ids = makeIds();
  for (const id of ids) {
    target.addEventListener(id, (event) => {
      if (progressOf((event as CustomEvent<string>).detail) >= 0) meter.hear();
    });
  }
  return Promise.resolve({
    size: MANY,
    tell: (progress) =>
      meter.while(() => {
        for (const id of ids) {
          const detail = JSON.stringify({ progress });
          target.dispatchEvent(new CustomEvent(id, { detail }));
        }
      }, MANY),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

interface Running {
  readonly progress: (value: number) => void;
  readonly end: () => void;
}

/** A device whose commands end when they are told to, or at once. */
function makeDevice(size: number, versions: readonly [number, number]) {
  const running: Running[] = [];
  const device = new LrcDevice({
    name: "bench/lrc/1",
    commands: {
      Work: ({ progress }) =>
        new Promise<unknown>((resolve) => {
          running.push({ progress, end: () => resolve([0, "Done"]) });
        }),
      Quick: () => [0, "Done"],
    },
    protocolVersions: versions,
    maxQueued: size,
    maxExecuting: 2 * size + 1,
    // Two or three turns of all commands.
    eventCapacity: 4 * size,
    removalTime: 0,
  });
  return { device, running };
}

/** The events of the second version, taken by hand. */
async function bareDevice(): Promise<Fleet> {
  const { device, running } = makeDevice(MANY, [1, 2]);
  const meter = new Meter();
  const callbacks = new Map<string, (json: string) => void>();
  for (let index = 0; index < MANY; index++) {
    const [, [id]] = await device.command("Work") as [unknown, [string]];
    callbacks.set(id, (json) => {
      if (progressOf(json) >= 0) meter.hear();
    });
  }
  const subscription = await device.subscribe("_lrcEvent");
  const following = (async () => {
    for await (const event of subscription) {
      if ("errors" in event) continue;
      const [id = "", json = ""] = event.value as string[];
      callbacks.get(id)?.(json);
    }
  })();
  return {
    size: MANY,
    tell: (progress) =>
      meter.while(() => {
        for (const each of running) each.progress(progress);
      }, MANY),
    [Symbol.asyncDispose]: async () => {
      for (const { end } of running) end();
      await device.stop();
      await following;
    },
  };
}

/** How many of what may happen on the way has happened. */
interface Losses {
  /** What should have come and has not. */
  lost: number;
  /** Gaps, repairs and questions to the device. */
  asked: number;
}

const losses = new Map<string, Losses>();

function account(
  row: string,
  lost: number,
  handles: readonly LrcHandle[],
): void {
  const sum = losses.get(row) ?? { lost: 0, asked: 0 };
  sum.lost += lost;
  for (const { counters: { gaps, repairs, asked, errors } } of handles) {
    sum.asked += gaps + repairs + asked + errors;
  }
  losses.set(row, sum);
}

interface Client extends Fleet {
  /** Sends a command so many times at once and waits for all ends. */
  execute(): Promise<void>;
}

async function client(
  row: string,
  size: number,
  version: 1 | 2,
): Promise<Client> {
  const { device, running } = makeDevice(size, [1, version]);
  const connection = await connectLrcInterface(device);
  const subscriptions = device.subscriptions;
  const meter = new Meter();
  let statuses = 0;
  const begin = (name: string): Promise<LrcHandle>[] =>
    Array.from({ length: size }, () =>
      invokeLrc(
        ({ status, progress }) => {
          if (status !== undefined) statuses++;
          if (progress !== undefined) meter.hear();
        },
        device,
        name,
      ));
  const handles = await Promise.all(begin("Work"));
  await settle(); // until all have heard that they were begun
  let waves = 0;
  if (device.subscriptions !== subscriptions) {
    throw new Error("It is not one connection");
  }
  return {
    size,
    tell: (progress) => {
      waves++;
      return meter.while(() => {
        for (const each of running) each.progress(progress);
      }, size);
    },
    execute: async () => {
      const before = statuses;
      const quick = await Promise.all(begin("Quick"));
      await Promise.all(quick.map(({ done }) => done));
      await settle(); // the callbacks come after `done`
      // STAGING, QUEUED, IN_PROGRESS, COMPLETED
      account(row, 4 * size - (statuses - before), quick);
    },
    [Symbol.asyncDispose]: async () => {
      const lost = waves * size - meter.heard;
      for (const { end } of running) end();
      const ends = await Promise.all(handles.map(({ done }) => done));
      const unwell =
        ends.filter(({ taskStatusEvents, resultCode }) =>
          taskStatusEvents.length !== 4 || resultCode !== 0
        ).length;
      account(row, lost + unwell, handles);
      await connection[Symbol.asyncDispose]();
      await device.stop();
    },
  };
}

const fleets: Record<string, () => Promise<Fleet>> = {
  [MAP]: bareMap,
  [TARGET]: bareTarget,
  [DEVICE]: bareDevice,
  [SECOND]: () => client(SECOND, MANY, 2),
  [FIRST]: () => client(FIRST, FEW, 1),
};

const micro = (since: number, count: number): number =>
  (performance.now() - since) * 1000 / count;

async function measureEvents(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const cases: Case[] = [];
  for (const [name, open] of Object.entries(fleets)) {
    const fleet = stack.use(await open());
    let wave = 0;
    cases.push({
      name,
      measure: async () => {
        const since = performance.now();
        await fleet.tell(++wave);
        return { event: micro(since, fleet.size) };
      },
    });
  }
  for (const [name, measured] of await alternate(cases, WAVES)) {
    report(TABLE, name, measured.median);
  }
}

async function measureCommands(
  row: string,
  size: number,
  version: 1 | 2,
): Promise<void> {
  await using fleet = await client(row, size, version);
  const durations: number[] = [];
  for (let round = -2; round < 5; round++) {
    const since = performance.now();
    await fleet.execute();
    if (round >= 0) durations.push(micro(since, size));
  }
  report(TABLE, row, { command: median(durations) });
}

/** Has commands begun and ended; returns how many. */
async function pass(
  open: () => Promise<Fleet>,
  look?: (fleet: Fleet) => Promise<void>,
): Promise<number> {
  const fleet = await open();
  await look?.(fleet);
  await fleet[Symbol.asyncDispose]();
  return fleet.size;
}

async function measureHeap(row: string): Promise<void> {
  const open = fleets[row];
  if (open === undefined) throw new TypeError(`There is no "${row}".`);
  // What is made once is no command's.
  await pass(open);
  const before = await heapUsed();
  let count = await pass(open, async (fleet) => {
    const bytes = (await heapUsed() - before) / fleet.size;
    for (let wave = 1; wave <= WAVES; wave++) await fleet.tell(wave);
    const later = (await heapUsed() - before) / fleet.size;
    report(TABLE, row, { bytes, later });
  });
  for (let round = 0; round < 4; round++) count += await pass(open);
  report(TABLE, row, { left: (await heapUsed() - before) / count });
}

const [, , mode, row = ""] = process.argv;
if (mode === "memory") await measureHeap(row);
else {
  await measureEvents();
  await measureCommands(SECOND, MANY, 2);
  await measureCommands(FIRST, FEW, 1);
  for (const [name, { lost, asked }] of losses) {
    report(TABLE, name, { lost, asked });
  }
}
exit();
