// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { assertType, type IsExact } from "@std/testing/types";
import { BackgroundTaskProcessor } from "../background_task_processor.ts";
import type { BackgroundTask } from "../background_task.ts";
import { backoff } from "../backoff.ts";
import { backgroundTask, runInBackground } from "../run_in_background.ts";
import { ManualClock } from "../testing.ts";
import { RecordingLogger } from "./_recording_logger.ts";

test("runInBackground() submits a task a call, with the arguments", async () => {
  const processor = new BackgroundTaskProcessor();
  const calls: unknown[] = [];
  const wrapped = runInBackground(
    processor,
    (beam: number, mode: string) => {
      calls.push([beam, mode]);
    },
  );
  assertType<
    IsExact<typeof wrapped, (beam: number, mode: string) => BackgroundTask>
  >(true);
  const task = wrapped(4, "scan");
  assertEquals(calls, []);
  assertEquals([...processor], [task]);
  await task.join();
  wrapped(5, "park");
  await processor.idle();
  assertEquals(calls, [[4, "scan"], [5, "park"]]);
});

test("runInBackground() names its tasks after the function", async () => {
  const processor = new BackgroundTaskProcessor();
  const named = runInBackground(processor, function park() {})();
  const renamed = runInBackground(processor, function park() {}, {
    name: "stow",
  })();
  assertEquals([named.name, renamed.name], ["park", "stow"]);
  await processor.idle();
});

test("runInBackground() calls the function with the context as its this", async () => {
  const clock = new ManualClock();
  const processor = new BackgroundTaskProcessor({ clock });
  const expose = runInBackground(processor, async function (ms: number) {
    await this.sleep(ms);
  });
  const task = expose(1e6);
  await clock.advance(1);
  assertEquals(await task.stop(), "stopped");
  assertEquals(clock.pending, []);
});

test("runInBackground() fails as any task does", async () => {
  const processor = new BackgroundTaskProcessor();
  const wrapped = runInBackground(processor, () => Promise.reject("mine"));
  assertEquals(await wrapped().join().catch((error) => error), "mine");
});

test("runInBackground() refuses bad arguments by name", () => {
  const processor = new BackgroundTaskProcessor();
  assertThrows(
    () => runInBackground({} as never, () => {}),
    TypeError,
    "'processor' must be a BackgroundTaskProcessor",
  );
  assertThrows(
    () => runInBackground(processor, 5 as never),
    TypeError,
    "'fn' must be a function",
  );
  assertThrows(
    () => runInBackground(processor, () => {}, null as never),
    TypeError,
    "'options' must be an object",
  );
});

test("runInBackground() does not see later changes of its options, and takes inherited ones", async () => {
  const processor = new BackgroundTaskProcessor();
  const seen: unknown[] = [];
  const onEnd = () => seen.push("first");
  const options = Object.create({ name: "inherited" }, {
    onEnd: { value: onEnd, writable: true, enumerable: true },
  });
  const wrapped = runInBackground(processor, () => {}, options);
  options.onEnd = () => seen.push("later");
  options.name = "later";
  assertEquals(wrapped().name, "inherited");
  await processor.idle();
  assertEquals(seen, ["first"]);
});

// Decorators are called by hand here, as the language would call them, because
// not every runtime has their syntax. See decorator_syntax_test.ts.
interface Rig {
  backgroundTaskProcessor: BackgroundTaskProcessor;
}

function decorate<Args extends unknown[], Return>(
  name: string,
  method: (this: Rig, ...args: Args) => Return,
): (this: Rig, ...args: Args) => Promise<Awaited<Return>> {
  return backgroundTask(
    method,
    { kind: "method", name } as ClassMethodDecoratorContext<Rig>,
  );
}

test("backgroundTask runs the method as a task of its object's processor", async () => {
  const rig: Rig = { backgroundTaskProcessor: new BackgroundTaskProcessor() };
  const calls: unknown[] = [];
  const configure = decorate("configure", async function (beam: number) {
    await undefined;
    calls.push([this === rig, beam]);
    return beam * 2;
  });
  const result = configure.call(rig, 4);
  assertType<IsExact<typeof result, Promise<number>>>(true);
  assertEquals(calls, []);
  assertEquals([...rig.backgroundTaskProcessor].map((task) => task.name), [
    "configure",
  ]);
  assertEquals(await result, 8);
  assertEquals(calls, [[true, 4]]);
  await rig.backgroundTaskProcessor.idle();
});

test("backgroundTask failure that nobody awaits is reported by the processor", async () => {
  const logger = new RecordingLogger();
  const backgroundTaskProcessor = new BackgroundTaskProcessor({ logger });
  const fail = decorate("fail", () => Promise.reject(new Error("x")));
  fail.call({ backgroundTaskProcessor });
  await backgroundTaskProcessor.idle();
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(logger.lines, ["error Task 'fail' failed: Error: x"]);
});

test("backgroundTask failure rejects the promise of the call", async () => {
  const backgroundTaskProcessor = new BackgroundTaskProcessor({
    onError: () => {},
  });
  const fail = decorate("fail", () => {
    throw new Error("x");
  });
  await assertRejects(() => fail.call({ backgroundTaskProcessor }), Error, "x");
});

test("backgroundTask resolves when a restart makes the failure good", async () => {
  let calls = 0;
  const backgroundTaskProcessor = new BackgroundTaskProcessor({
    restart: backoff({ initial: 0 }),
    onError: () => {},
  });
  const flaky = decorate("flaky", () => {
    if (++calls < 3) throw new Error("x");
    return calls;
  });
  assertEquals(await flaky.call({ backgroundTaskProcessor }), 3);
});

test("backgroundTask that is stopped rejects with an AbortError", async () => {
  const clock = new ManualClock();
  const backgroundTaskProcessor = new BackgroundTaskProcessor({
    clock,
    maxConcurrent: 1,
  });
  const hang = decorate("hang", () => new Promise<void>(() => {}));
  const rig = { backgroundTaskProcessor };
  const outcomes = [hang.call(rig), hang.call(rig)].map((promise) =>
    promise.catch((error) => error.name)
  );
  await clock.advance(0);
  const report = backgroundTaskProcessor.stopAll({ grace: 10 });
  await clock.advance(10);
  await report;
  assertEquals(await Promise.all(outcomes), ["AbortError", "AbortError"]);
});

test("backgroundTask says which field is missing, at the call", () => {
  const configure = decorate("configure", () => {});
  assertThrows(
    () => configure.call({} as Rig),
    TypeError,
    "Cannot run 'configure' in background as 'backgroundTaskProcessor' must be a BackgroundTaskProcessor: current value is undefined",
  );
  assertThrows(
    () => configure.call(undefined as unknown as Rig),
    TypeError,
    "'backgroundTaskProcessor'",
  );
});
