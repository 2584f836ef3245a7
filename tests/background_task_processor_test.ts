// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import type {
  BackgroundTask,
  BackgroundTaskOptions,
} from "../background_task.ts";
import { BackgroundTaskProcessor } from "../background_task_processor.ts";
import { backoff } from "../backoff.ts";
import { ManualClock } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

const names = (tasks: Iterable<BackgroundTask>): string[] =>
  Array.from(tasks, ({ name }) => name);

test("BackgroundTaskProcessor.submit() runs the task and returns it", async () => {
  let ran = false;
  const processor = new BackgroundTaskProcessor();
  const task = processor.submit(() => {
    ran = true;
  });
  assert(task.running);
  assertEquals([...processor], [task]);
  await task.join();
  assert(ran);
  assertEquals(processor.size, 0);
});

test("BackgroundTaskProcessor drops tasks the moment they end, six at once", async () => {
  const clock = new ManualClock();
  const sizes: number[] = [];
  const processor = new BackgroundTaskProcessor({ clock, onError: () => {} });
  for (let index = 0; index < 6; index++) {
    processor.submit(async ({ sleep }) => {
      await sleep(10);
      if (index % 2 === 0) throw new Error("x");
    }, { onEnd: () => sizes.push(processor.size) });
  }
  await clock.advance(10);
  assertEquals(sizes, [5, 4, 3, 2, 1, 0]);
  assertEquals(clock.pending, []);
});

test("BackgroundTaskProcessor runs periodic tasks at their rate", async () => {
  const clock = new ManualClock();
  const processor = new BackgroundTaskProcessor({ clock });
  const fast = processor.submit(() => {}, { frequency: 10 });
  const slow = processor.submit(() => {}, { frequency: 2 });
  await clock.advance(1000);
  assertEquals(fast.statistics.rounds, 11);
  assertEquals(slow.statistics.rounds, 3);
  await processor.stopAll();
  assertEquals(processor.size, 0);
});

test("BackgroundTaskProcessor starts no more than maxConcurrent, in order", async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  const processor = new BackgroundTaskProcessor({ clock, maxConcurrent: 2 });
  for (const name of ["a", "b", "c", "d"]) {
    processor.submit(async ({ sleep }) => {
      log.push(`+${name}`);
      await sleep(name === "a" ? 30 : 10);
      log.push(`-${name}`);
    }, { name });
  }
  await clock.advance(0);
  assertEquals(log, ["+a", "+b"]);
  assertEquals(processor.size, 4);
  assertEquals(processor.waiting, 2);
  assertEquals(names(processor), ["a", "b", "c", "d"]);
  await clock.advance(100);
  assertEquals(log, ["+a", "+b", "-b", "+c", "-c", "+d", "-a", "-d"]);
});

test("BackgroundTaskProcessor never exceeds its limit and runs everything", async () => {
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: 1, max: 5 }),
    fc.array(
      fc.record({
        work: fc.nat(20),
        fails: fc.boolean(),
        stoppedAt: fc.option(fc.nat(40)),
      }),
      { maxLength: 15 },
    ),
    async (maxConcurrent, jobs) => {
      const clock = new ManualClock();
      let busy = 0;
      let most = 0;
      const started: number[] = [];
      const processor = new BackgroundTaskProcessor({
        clock,
        maxConcurrent,
        onError: () => {},
      });
      const tasks = jobs.map(({ work, fails, stoppedAt }, index) => {
        const task = processor.submit(async ({ sleep }) => {
          started.push(index);
          most = Math.max(most, ++busy);
          try {
            await sleep(work);
            if (fails) throw new Error("x");
          } finally {
            busy--;
          }
        });
        if (stoppedAt !== null) clock.setTimer(() => task.stop(), stoppedAt);
        return task;
      });
      let isIdle = false;
      processor.idle().then(() => isIdle = true);
      await clock.runAll();
      assert(isIdle);
      assertEquals(processor.size, 0);
      assert(most <= maxConcurrent);
      assertEquals(started, [...started].sort((a, b) => a - b));
      for (const [index, task] of tasks.entries()) {
        assert(task.ended);
        if (jobs[index]?.stoppedAt === null) assert(started.includes(index));
      }
    },
  ));
});

test("BackgroundTaskProcessor.stopAll() stops running and waiting tasks together", async () => {
  const clock = new ManualClock();
  let started = 0;
  const processor = new BackgroundTaskProcessor({ clock, maxConcurrent: 1 });
  const tasks = Array.from(
    { length: 3 },
    () =>
      processor.submit(async ({ sleep }) => {
        started++;
        await sleep(1e6);
      }),
  );
  await clock.advance(1);
  const { stopped, abandoned } = await processor.stopAll({ reason: "dawn" });
  assertEquals(new Set(stopped), new Set(tasks));
  assertEquals(abandoned, []);
  assertEquals(started, 1);
  assertEquals(processor.size, 0);
  assertEquals(clock.pending, []);
});

test("BackgroundTaskProcessor.stopAll() tells which tasks were abandoned, and gives up their places", async () => {
  const clock = new ManualClock();
  const processor = new BackgroundTaskProcessor({ clock, maxConcurrent: 2 });
  const deaf = processor.submit(() => new Promise(() => {}), { name: "deaf" });
  const good = processor.submit(({ sleep }) => sleep(1e6), { name: "good" });
  await clock.advance(0);
  const report = processor.stopAll({ grace: 50 });
  const later = processor.submit(() => {}, { name: "later" });
  await clock.advance(50);
  const { stopped, abandoned } = await report;
  assertEquals(stopped, [good]);
  assertEquals(abandoned, [deaf]);
  assert(later.ended);
  await processor.idle();
  assertEquals(processor.size, 0);
});

test("BackgroundTaskProcessor.idle() resolves when no task is live", async () => {
  const clock = new ManualClock();
  const processor = new BackgroundTaskProcessor({ clock });
  await processor.idle();
  let isIdle = false;
  processor.submit(({ sleep }) => sleep(10), {
    // A task that follows on another keeps the processor busy.
    onEnd: () => processor.submit(({ sleep }) => sleep(10)),
  });
  processor.idle().then(() => isIdle = true);
  await clock.advance(10);
  assertFalse(isIdle);
  await clock.advance(10);
  assert(isIdle);
});

test("BackgroundTaskProcessor.idle() ends early by its signal", async () => {
  const processor = new BackgroundTaskProcessor();
  processor.submit(({ sleep }) => sleep(1e6));
  const controller = new CountingController();
  const idle = processor.idle({ signal: controller.signal })
    .catch((reason) => reason);
  controller.abort("impatient");
  assertEquals(await idle, "impatient");
  assertEquals(controller.listeners, 0);
  await processor.stopAll();
});

test("BackgroundTaskProcessor signal stops every task, those that wait too", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const { signal } = controller;
  const reasons: unknown[] = [];
  const processor = new BackgroundTaskProcessor({
    clock,
    signal,
    maxConcurrent: 1,
  });
  const running = processor.submit(({ sleep }) =>
    sleep(1e6).catch((reason) => {
      reasons.push(reason);
    })
  );
  const waiting = processor.submit(() => {
    reasons.push("ran");
  });
  await clock.advance(1);
  assertEquals(controller.listeners, 1);
  controller.abort("dawn");
  await processor.idle();
  assertEquals(reasons, ["dawn"]);
  assert(running.ended);
  assert(waiting.ended);
  assertEquals(controller.listeners, 0);
  const late = processor.submit(() => {
    reasons.push("late");
  });
  await late.join();
  assertEquals(reasons, ["dawn"]);
});

test("BackgroundTaskProcessor drops a waiting task the moment its own signal aborts", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const { signal } = controller;
  const processor = new BackgroundTaskProcessor({ clock, maxConcurrent: 1 });
  processor.submit(({ sleep }) => sleep(100));
  const ran: string[] = [];
  const queued = processor.submit(() => {
    ran.push("queued");
  }, { signal });
  const last = processor.submit(() => {
    ran.push("last");
  });
  await clock.advance(1);
  controller.abort();
  assertEquals(processor.size, 2);
  await clock.advance(100);
  await last.join();
  await queued.join();
  assertEquals(ran, ["last"]);
  assertEquals(controller.listeners, 0);
  const aborted = processor.submit(() => {
    ran.push("aborted");
  }, { signal });
  assert(aborted.ended);
  assertEquals(processor.size, 0);
});

test("BackgroundTaskProcessor lets go of its signal when it is idle", async () => {
  const controller = new CountingController();
  const processor = new BackgroundTaskProcessor({ signal: controller.signal });
  for (let round = 0; round < 3; round++) {
    const task = processor.submit(({ sleep }) => sleep(1));
    assertEquals(controller.listeners, 1);
    await task.join();
    assertEquals(controller.listeners, 0);
  }
});

test("BackgroundTaskProcessor tells its hook of errors, with the task", async () => {
  const told: unknown[] = [];
  const own: unknown[] = [];
  const processor = new BackgroundTaskProcessor({
    onError: (error, { task }) => told.push([task.name, error]),
  });
  processor.submit(() => Promise.reject(1), { name: "a" });
  processor.submit(() => Promise.reject(2), {
    name: "b",
    onError: (error) => own.push(error),
  });
  await processor.idle();
  assertEquals(told, [["a", 1]]);
  assertEquals(own, [2]);
});

test("BackgroundTaskProcessor reports errors through its logger without a hook", async () => {
  const logger = new RecordingLogger();
  const processor = new BackgroundTaskProcessor({ logger });
  processor.submit(() => Promise.reject("no beam"), { name: "a" });
  await processor.idle();
  await turns();
  assertEquals(logger.lines, ["error Task 'a' failed: no beam"]);
});

test("BackgroundTaskProcessor restarts its tasks by its policy", async () => {
  const clock = new ManualClock();
  const processor = new BackgroundTaskProcessor({
    clock,
    restart: backoff({ limit: 2, initial: 10 }),
    onError: () => {},
  });
  const task = processor.submit(() => Promise.reject(new Error("x")));
  const once = processor.submit(() => Promise.reject(new Error("x")), {
    restart: backoff({ limit: 0 }),
  });
  await clock.advance(0);
  assert(once.errored);
  assertEquals(processor.size, 1);
  await clock.advance(1000);
  assertEquals(task.statistics.rounds, 3);
  assert(task.errored);
});

test("BackgroundTaskProcessor stops everything when disposed of, and takes no more", async () => {
  const processor = new BackgroundTaskProcessor();
  const task = processor.submit(() => {}, { frequency: 1 });
  await processor[Symbol.asyncDispose]();
  assert(task.ended);
  assertThrows(
    () => processor.submit(() => {}),
    Error,
    "Cannot submit as the processor was disposed of",
  );
});

test("BackgroundTaskProcessor task can be stopped by hand while it waits", async () => {
  const clock = new ManualClock();
  const processor = new BackgroundTaskProcessor({ clock, maxConcurrent: 1 });
  processor.submit(({ sleep }) => sleep(10));
  const queued = processor.submit(() => {
    throw new Error("must not run");
  });
  assertEquals(await queued.stop(), "stopped");
  assertEquals(processor.waiting, 0);
  await clock.advance(20);
  assertEquals(processor.size, 0);
});

test("BackgroundTaskProcessor calls the onEnd hook of a task with it", async () => {
  const processor = new BackgroundTaskProcessor();
  let told: BackgroundTask | undefined;
  const task = processor.submit(() => {}, { onEnd: (ended) => told = ended });
  await task.join();
  assertStrictEquals(told, task);
});

test("BackgroundTaskProcessor refuses bad arguments by name", async () => {
  for (const maxConcurrent of [0, -1, 1.5, NaN]) {
    assertThrows(
      () => new BackgroundTaskProcessor({ maxConcurrent }),
      RangeError,
      "'maxConcurrent' must be an integer of at least 1 or Infinity",
    );
  }
  const wrong: [Record<string, unknown>, string][] = [
    [{ maxConcurrent: "2" }, "'maxConcurrent'"],
    [{ signal: 1 }, "'signal'"],
    [{ clock: 1 }, "'clock'"],
    [{ logger: 1 }, "'logger'"],
    [{ restart: 1 }, "'restart'"],
    [{ onError: 1 }, "'onError'"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(
      () => new BackgroundTaskProcessor(options),
      TypeError,
      message,
    );
  }
  const processor = new BackgroundTaskProcessor();
  assertThrows(() => processor.submit(1 as never), TypeError, "'action'");
  assertThrows(
    () => processor.submit(() => {}, { onEnd: 1 as never }),
    TypeError,
    "'onEnd'",
  );
  assertThrows(
    () => processor.submit(() => {}, 1 as never),
    TypeError,
    "'options'",
  );
  await assertRejects(
    () => processor.stopAll({ grace: -1 }),
    RangeError,
    "'grace'",
  );
  await assertRejects(
    () => processor.idle({ signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  assertEquals(processor.size, 0);
});

test("BackgroundTaskProcessor.submit() does not see later changes of its options", async () => {
  const processor = new BackgroundTaskProcessor();
  const ended: string[] = [];
  const options: BackgroundTaskOptions = { onEnd: () => ended.push("first") };
  processor.submit(() => {}, options);
  options.onEnd = () => ended.push("later");
  await processor.idle();
  assertEquals(ended, ["first"]);
});

test("BackgroundTaskProcessor reports an onEnd that fails later", async () => {
  const logger = new RecordingLogger();
  const processor = new BackgroundTaskProcessor({ logger });
  const unhandled = await unhandledDuring(async () => {
    const onEnd = () => Promise.reject(new Error("late")) as never;
    processor.submit(() => {}, { name: "beam", onEnd });
    await processor.idle();
  });
  assertEquals(unhandled, []);
  assertEquals(logger.lines, [
    "error Task 'beam' has an onEnd hook that failed: Error: late",
  ]);
});

test("BackgroundTaskProcessor.submit() takes inherited options", async () => {
  const processor = new BackgroundTaskProcessor();
  const task = processor.submit(() => {}, Object.create({ name: "inherited" }));
  assertEquals(task.name, "inherited");
  await processor.idle();
});
