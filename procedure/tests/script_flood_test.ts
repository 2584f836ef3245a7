// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import type { Clock } from "@longrun/tasks/clock";
import { ManualClock } from "@longrun/tasks/testing";
import { procedureInput } from "../procedure.ts";
import { arePatterns } from "../_script_messages.ts";
import { OUTPUT_LIMITS } from "../_script_output.ts";
import { Pipes } from "../_script_pipes.ts";
import { ScriptError } from "../script_error.ts";
import { CONTEXT, Heard, spawnScript, withFiles } from "./_script_rig.ts";

/** A clock that runs when it is looked at, as if that were work. */
class BusyClock implements Clock {
  readonly pauses: number[] = [];
  #time = 0;

  now(): number {
    return this.#time += 0.001;
  }

  setTimer(callback: () => void, ms: number): () => void {
    this.pauses.push(ms);
    this.#time += ms;
    queueMicrotask(callback);
    return () => {};
  }
}

function streamOf(chunks: readonly Uint8Array<ArrayBuffer>[]) {
  return ReadableStream.from(chunks);
}

test("Lines without number are read no faster than the service has time for", async () => {
  const clock = new BusyClock();
  const chunk = new Uint8Array(65_536).fill(10);
  const process = {
    stdout: streamOf(Array(8).fill(chunk)),
    stderr: streamOf([]),
  } as unknown as Deno.ChildProcess;
  const pipes = new Pipes(process, "marker", OUTPUT_LIMITS, clock, () => {});
  const deadline = performance.now() + 5_000;
  while (clock.pauses.length < 5 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await pipes.drain();
  assert(clock.pauses.length >= 5);
  // Each took 65 ms, of which there are 250 in a second.
  assert(clock.pauses.slice(1, 5).every((ms) => ms > 100 && ms < 500));
});

test("A script may write and publish without limit", async () => {
  await using files = await withFiles({
    "a.ts": `export function main({ publish }) {
      for (let count = 1; count <= 100; count++) publish("dish.moved", count);
      console.log("moved");
    }`,
  });
  const names = Object.keys(OUTPUT_LIMITS);
  const heard = new Heard();
  const options = {
    roots: [files.folder],
    outputLimits: Object.fromEntries(names.map((name) => [name, Infinity])),
    // On a clock that stands still no time passes between two events.
    clock: new ManualClock(),
    stopPolicy: { abort: 0 },
  };
  await using worker = await spawnScript(
    heard,
    options,
    `${files.folder}/a.ts`,
  );
  await worker.run("main", procedureInput(), CONTEXT);
  assertEquals(heard.published.length, 100);
  assertEquals(heard.texts("stdout"), ["moved"]);
  assertEquals(heard.warnings, []);
});

test("A script has no more than so many patterns", async () => {
  await using files = await withFiles({
    "a.ts": `export function main({ subscribe, kwargs, publish }) {
      for (let left = kwargs.times; left > 0; left--) {
        subscribe(Array.from({ length: kwargs.count }, (_, i) => "a" + i));
      }
      publish("user.done");
    }`,
  });
  const heard = new Heard();
  const options = { roots: [files.folder] };
  await using worker = await spawnScript(
    heard,
    options,
    `${files.folder}/a.ts`,
  );
  const run = (count: number, times: number) =>
    worker.run("main", procedureInput({ count, times }), CONTEXT);
  await assertRejects(() => run(1_001, 1), ScriptError, "more than 1000");
  assertEquals(heard.patterns, []);
  await run(100, 9);
  assertEquals(heard.patterns.at(-1)?.length, 100);
  await assertRejects(() => run(101, 1), ScriptError, "more than 1000");
  assert(!arePatterns(Array(1_001).fill("a")));
});
