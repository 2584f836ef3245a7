// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import * as fc from "fast-check";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import process from "node:process";
import { setImmediate } from "node:timers";
import {
  type Helper,
  type HelperEvents,
  startThreadHelper,
} from "../_precise_helper.ts";
import { PreciseTimers, type PreciseUser } from "../_precise_timers.ts";
import { sleep } from "../cancellation.ts";
import { type Clock, systemClock } from "../clock.ts";
import { type PreciseClock, preciseClock } from "../precise_clock.ts";
import { ticks } from "../ticks.ts";
import { comeInOrder } from "./_deadlines.ts";
import { runProgram } from "./_process.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { unhandledDuring } from "./_unhandled.ts";
import { AGES, until } from "./_until.ts";
import { withWorker } from "./_with_worker.ts";

/** Starts the helper of a clock. */
async function started(clock: PreciseClock): Promise<void> {
  clock.setTimer(() => {}, 0);
  await answered(clock);
}

/**
 * Waits until the helper of a clock has answered what it was asked: where it is
 * held up, the timers of the system come before it now and then.
 */
function answered(clock: PreciseClock): Promise<void> {
  return until(() => clock.precise);
}

/** Runs with a clock that is precise from the beginning. */
async function withClock(
  run: (clock: PreciseClock) => Promise<void>,
): Promise<void> {
  const clock = preciseClock();
  try {
    await started(clock);
    await run(clock);
  } finally {
    await clock.stop();
  }
}

function after(clock: Clock, delay: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(resolve, delay);
  });
}

test("PreciseClock.setTimer() calls back once, never before the delay", () =>
  withClock(async (clock) => {
    for (const delay of [0, 0.01, 0.1, 0.25, 0.5, 1, 1.5, 3, 20]) {
      let calls = 0;
      const before = clock.now();
      await new Promise<void>((resolve) => {
        clock.setTimer(() => {
          calls++;
          resolve();
        }, delay);
      });
      const taken = clock.now() - before;
      assert(taken >= delay && taken < AGES, `${delay} took ${taken}`);
      await sleep(1, { clock });
      assertEquals(calls, 1);
    }
  }));

test("PreciseClock timers are woken by the helper", () =>
  withClock(async (clock) => {
    let woken = 0;
    for (let round = 0; round < 50; round++) {
      await new Promise<void>((resolve) => {
        clock.setTimer(() => {
          if (clock.precise) woken++;
          resolve();
        }, round / 10);
      });
    }
    // On a busy machine the helper may be late for some.
    assert(woken >= 10, `${woken}`);
  }));

test("PreciseClock never calls back from within setTimer()", () =>
  withClock(async (clock) => {
    for (let round = 0; round < 50; round++) {
      let isSetting = true;
      const fired = new Promise<void>((resolve) => {
        clock.setTimer(() => {
          assertFalse(isSetting);
          resolve();
        }, 0);
        const end = performance.now() + 0.2;
        while (performance.now() < end);
      });
      isSetting = false;
      await fired;
    }
  }));

test("PreciseClock has the time of the system clock", () => {
  const clock = preciseClock();
  const before = systemClock.now();
  const now = clock.now();
  assert(before <= now && now <= systemClock.now());
});

test("PreciseClock timers run in the order of their deadlines", () =>
  withClock((clock) => comeInOrder(clock, [12, 4, 8, 0, 4.5, 4.4, 0.3])));

test("PreciseClock timers can be cancelled, late and twice", () =>
  withClock(async (clock) => {
    const calls: string[] = [];
    const cancel = clock.setTimer(() => calls.push("cancelled"), 2);
    const late = clock.setTimer(() => calls.push("kept"), 2);
    cancel();
    cancel();
    await after(clock, 10);
    late();
    late();
    await after(clock, 5);
    assertEquals(calls, ["kept"]);
  }));

test("PreciseClock comes in time for a deadline before the one it waits for", () =>
  withClock(async (clock) => {
    const cancel = clock.setTimer(() => {}, 10 * AGES);
    await after(clock, 5);
    const calls: number[] = [];
    for (const delay of [40, 30, 20, 10, 1]) {
      clock.setTimer(() => calls.push(delay), delay);
    }
    await after(clock, 45);
    assertEquals(calls, [1, 10, 20, 30, 40]);
    cancel();
  }));

test("PreciseClock goes on after a timer was cancelled that it waited for", () =>
  withClock(async (clock) => {
    for (let round = 0; round < 20; round++) {
      clock.setTimer(() => {}, 1)();
      await after(clock, 2);
      const cancel = clock.setTimer(() => {}, 0.5);
      const fired = after(clock, 1);
      cancel();
      await fired;
    }
    await answered(clock);
  }));

test("PreciseClock waits for ever where the delay is infinite", async () => {
  const clock = preciseClock();
  let calls = 0;
  const cancel = clock.setTimer(() => calls++, Infinity);
  await after(clock, 10);
  assertEquals(calls, 0);
  cancel();
  await clock.stop();
});

test("PreciseClock refuses bad arguments", () => {
  const clock = preciseClock();
  const setTimer = (callback: unknown, delay: unknown) =>
    clock.setTimer(callback as () => void, delay as number);
  assertThrows(() => setTimer(5, 1), TypeError, "'callback'");
  assertThrows(() => setTimer(() => {}, NaN), RangeError, "'delay'");
  assertThrows(() => setTimer(() => {}, -1), RangeError, "'delay'");
  assertThrows(
    () => preciseClock({ logger: {} as never }),
    TypeError,
    "Cannot create PreciseClock as 'logger' must be a Logger",
  );
  assertThrows(() => preciseClock(null as never), TypeError, "'options'");
});

test("PreciseClock follows FakeTime, and its own timers go on in real time", () =>
  withClock(async (clock) => {
    const slept = after(clock, 15);
    const time = new FakeTime();
    try {
      const before = clock.now();
      let faked = false;
      after(clock, 60_000).then(() => faked = true);
      await slept;
      await time.tickAsync(59_999);
      assertFalse(faked);
      await time.tickAsync(1);
      assert(faked);
      assertEquals(clock.now() - before, 60_000);
    } finally {
      time.restore();
    }
    await after(clock, 1);
    await answered(clock);
  }));

test("PreciseClock keeps the period of ticks() without drifting", () =>
  withClock(async (clock) => {
    let begin = NaN;
    for await (const tick of ticks(0.5, { clock })) {
      const { index, scheduled, overrun } = tick;
      if (overrun) continue;
      if (index === 0) begin = scheduled;
      assert(Math.abs(scheduled - begin - index * 0.5) < 1e-6);
      assert(clock.now() >= scheduled - 1e-6);
      if (index >= 100) break;
    }
  }));

test("PreciseClock leaves other timers and sockets their turns", () =>
  withClock(async (clock) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.setNoDelay(true);
    let echoes = 0;
    let timeouts = 0;
    let running = true;
    socket.on("data", () => {
      echoes++;
      if (running) socket.write("x");
    });
    socket.write("x");
    const chain = () => {
      timeouts++;
      if (running) setTimeout(chain, 1);
    };
    chain();
    const counts = [0, 0, 0];
    const loops = [0, 0.05, 1].map(async (delay, index) => {
      while (running) {
        await after(clock, delay);
        counts[index] = (counts[index] ?? 0) + 1;
      }
    });
    try {
      await until(() =>
        echoes > 50 && timeouts > 50 && counts.every((count) => count > 50)
      );
    } finally {
      running = false;
      await Promise.all(loops);
      socket.destroy();
      server.close();
    }
    await answered(clock);
  }));

test("PreciseClock.stop() loses no timer", async () => {
  const clock = preciseClock();
  await started(clock);
  const calls: number[] = [];
  const set = (delay: number) => {
    const due = clock.now() + delay;
    clock.setTimer(() => {
      assert(clock.now() >= due);
      calls.push(delay);
    }, delay);
  };
  for (const delay of [0, 5, 30]) set(delay);
  const cancel = clock.setTimer(() => calls.push(NaN), 10);
  const stopped = clock.stop();
  assertEquals(clock.stop(), stopped);
  assertFalse(clock.precise);
  cancel();
  set(15);
  await stopped;
  set(1);
  await until(() => calls.length === 5);
  assertEquals(calls.toSorted((a, b) => a - b), [0, 1, 5, 15, 30]);
  assertFalse(clock.precise);
});

test("PreciseClock.stop() before the helper has started is an end, too", async () => {
  const idle = preciseClock();
  await idle.stop();
  const clock = preciseClock();
  const slept = after(clock, 5);
  await clock.stop();
  await slept;
  await after(clock, 1);
  assertFalse(clock.precise);
});

test("PreciseClock shares its helper, which ends with the last clock that uses it", async () => {
  const first = preciseClock();
  const second = preciseClock();
  await started(first);
  await started(second);
  await first.stop();
  assertFalse(first.precise);
  await after(second, 1);
  await answered(second);
  await second.stop();
  assertFalse(second.precise);

  await withClock(async (third) => {
    await after(third, 1);
    await answered(third);
  });
});

test("PreciseClock can be stopped and made again while its helper ends", async () => {
  const calls: number[] = [];
  for (let round = 0; round < 5; round++) {
    const clock = preciseClock();
    clock.setTimer(() => calls.push(round), 5);
    if (round % 2 === 0) await until(() => clock.precise);
    clock.stop();
  }
  await until(() => calls.length === 5);
});

test("PreciseClock leaves no thread behind", async () => {
  if (process.platform !== "linux") return;
  const threads = () => readdirSync("/proc/self/task").length;
  await withClock(() => Promise.resolve());
  const before = threads();
  for (let round = 0; round < 30; round++) {
    const clock = preciseClock();
    clock.setTimer(() => {}, 1);
    if (round % 2 === 0) await until(() => clock.precise);
    await clock.stop();
  }
  // Runtimes have some threads of their own.
  await until(() => threads() < before + 15);
});

const LIVES = `
  import { preciseClock } from "ROOT/precise_clock.ts";
  const clock = preciseClock({ logger: console });
  const ready = () => new Promise((resolve) => {
    const look = () => clock.precise ? resolve() : clock.setTimer(look, 1);
    look();
  });
`;

test("PreciseClock timers keep the process alive until they have fired", async () => {
  const { stdout, stderr, code } = await runProgram(`${LIVES}
    await ready();
    clock.setTimer(() => {
      console.log("first");
      clock.setTimer(() => console.log("second"), 50);
    }, 50);
  `);
  assertEquals([stdout, code], ["first\nsecond\n", 0], stderr);
});

test("PreciseClock keeps no process alive with timers that are told not to", async () => {
  const { stdout, stderr, code } = await runProgram(`${LIVES}
    await ready();
    clock.setTimer(() => console.log("never"), 60_000, { ref: false });
    clock.setTimer(() => console.log("kept"), 20);
    clock.setTimer(() => console.log("never"), 60_000)();
  `);
  assertEquals([stdout, code], ["kept\n", 0], stderr);
});

test("PreciseClock lets a process wait for its stop()", async () => {
  const { stdout, stderr, code } = await runProgram(`${LIVES}
    await ready();
    clock.setTimer(() => console.log("fired"), 50);
    await clock.stop();
    console.log("stopped");
  `);
  assertEquals([stdout, code], ["stopped\nfired\n", 0], stderr);
});

test("PreciseClock callback that throws does not stop the other timers", async () => {
  const { stdout, stderr, code } = await runProgram(`${LIVES}
    const report = (event) => {
      event?.preventDefault?.();
      console.log("uncaught");
    };
    if ("Deno" in globalThis) addEventListener("error", report);
    else process.on("uncaughtException", report);
    await ready();
    clock.setTimer(() => { throw new Error("mine"); }, 5);
    clock.setTimer(() => console.log("later"), 20);
  `);
  assertEquals([stdout, code], ["uncaught\nlater\n", 0], stderr);
});

const FALLS_BACK = "Precise clock goes on as the system clock";

for (
  const [what, takeAway, reason] of [
    [
      "SharedArrayBuffer",
      "delete globalThis.SharedArrayBuffer;",
      "There is no SharedArrayBuffer",
    ],
    [
      "Atomics.waitAsync",
      "delete Atomics.waitAsync;",
      "There is no Atomics.waitAsync",
    ],
    [
      "Worker",
      "process.getBuiltinModule = undefined; delete globalThis.Worker;",
      "There is no Worker",
    ],
    [
      "the right to threads",
      `process.getBuiltinModule = () => ({
        Worker: class { constructor() { throw new Error("Not allowed"); } },
      });`,
      "Not allowed",
    ],
  ] as const
) {
  test(`PreciseClock goes on as the system clock where ${what} is missing`, async () => {
    const { stdout, stderr, code } = await runProgram(`
      ${takeAway}
      const { preciseClock } = await import("ROOT/precise_clock.ts");
      const warn = (message) => console.log(message);
      const logger = { ...console, warn };
      const clock = preciseClock({ logger });
      for (let round = 0; round < 3; round++) {
        const before = clock.now();
        await new Promise((resolve) => clock.setTimer(resolve, 2.5));
        if (clock.now() - before < 2.5) console.log("early");
      }
      console.log(clock.precise);
      await clock.stop();
    `);
    const line = `${FALLS_BACK}: Error: ${reason}`;
    assertEquals([stdout, code], [`${line}\nfalse\n`, 0], stderr);
  });
}

test("PreciseClock makes do with the workers of the web", async () => {
  if (!("Worker" in globalThis)) return;
  const { stdout, stderr, code } = await runProgram(`
    process.getBuiltinModule = undefined;
    delete globalThis.Deno;
    const { preciseClock } = await import("ROOT/precise_clock.ts");
    const clock = preciseClock({ logger: console });
    const sleep = (ms) => new Promise((resolve) => clock.setTimer(resolve, ms));
    while (!clock.precise) await sleep(1);
    for (let round = 0; round < 20; round++) await sleep(0.5);
    while (!clock.precise) await sleep(1);
    console.log(clock.precise);
    await clock.stop();
  `);
  assertEquals([stdout, code], ["true\n", 0], stderr);
});

/** A user that remembers what it was told. */
class Listening implements PreciseUser {
  readonly failures: string[] = [];

  onFailure(error: unknown): void {
    this.failures.push(String(error));
  }
}

const afterIn = (timers: PreciseTimers, delay: number) =>
  new Promise<void>((resolve) => {
    timers.setTimer(resolve, delay, true);
  });

test("PreciseClock survives the death of its helper", async () => {
  const user = new Listening();
  const timers = new PreciseTimers(startThreadHelper);
  timers.join(user);
  const reasons = await unhandledDuring(async () => {
    let end: (() => Promise<unknown>) | undefined;
    await withWorker((Worker) =>
      class extends Worker {
        constructor(program: string | URL, options: object) {
          super(program, options);
          end = () => this.terminate();
        }
      }, async () => {
      timers.setTimer(() => {}, 0, true);
      await until(() => timers.isTrusted);
    });
    const calls: number[] = [];
    for (const delay of [5, 50]) {
      timers.setTimer(() => calls.push(delay), delay, true);
    }
    await end?.();
    await until(() => user.failures.length > 0);
    assertFalse(timers.isTrusted);
    await until(() => calls.length === 2);
    await afterIn(timers, 2);
    await timers.leave(user);
  });
  assertEquals(user.failures.length, 1);
  assertStringIncludes(user.failures[0] ?? "", "The helper exited");
  assertEquals(reasons, []);
});

test("PreciseClock survives a helper that throws", async () => {
  const user = new Listening();
  const timers = new PreciseTimers(startThreadHelper);
  timers.join(user);
  await withWorker((Worker) =>
    class extends Worker {
      constructor(_program: string | URL, options: object) {
        super(`throw new Error("broken");`, options);
      }
    }, async () => {
    await afterIn(timers, 5);
    await until(() => user.failures.length > 0);
    await afterIn(timers, 5);
  });
  assertEquals(user.failures, ["Error: broken"]);
  await timers.leave(user);
});

/** A helper that answers when the test says so. */
class FakeHelper implements Helper {
  askedFor = Infinity;
  stops = 0;
  readonly asked: number[] = [];
  readonly #events: HelperEvents;

  constructor(events: HelperEvents) {
    this.#events = events;
  }

  ask(moment: number): void {
    this.askedFor = moment;
    this.asked.push(moment);
  }

  answer(): void {
    this.askedFor = Infinity;
    this.#events.onAnswer();
  }

  end(error: unknown): void {
    this.#events.onEnd(error);
  }

  stop(): Promise<void> {
    this.stops++;
    return Promise.resolve();
  }
}

function fakeTimers(patience?: number) {
  const helpers: FakeHelper[] = [];
  const timers = new PreciseTimers((events) => {
    const helper = new FakeHelper(events);
    helpers.push(helper);
    return helper;
  }, patience);
  const user = new Listening();
  timers.join(user);
  return { timers, user, helpers };
}

test("PreciseTimers fire when the helper never answers, and give it up in the end", async () => {
  const { timers, user, helpers } = fakeTimers(60);
  await until(() => {
    timers.setTimer(() => {}, 3, true);
    return user.failures.length > 0;
  });
  assertEquals(user.failures, [
    "Error: The helper has not answered for 60 ms",
  ]);
  assertEquals(helpers.map(({ stops }) => stops), [1]);
  await afterIn(timers, 3);
  assertEquals(helpers.length, 1);
});

test("PreciseTimers fire when the helper falls silent, and trust it again when it answers", async () => {
  const { timers, user, helpers } = fakeTimers();
  timers.setTimer(() => {}, 1, true);
  const [helper] = helpers;
  helper?.answer();
  assert(timers.isTrusted);
  const fired = afterIn(timers, 5);
  await fired;
  assertFalse(timers.isTrusted);
  await afterIn(timers, 5);
  helper?.answer();
  assert(timers.isTrusted);
  assertEquals(user.failures, []);
  await timers.leave(user);
});

test("PreciseTimers ask the helper only for moments before the one it wakes at anyway", async () => {
  const { timers, user, helpers } = fakeTimers();
  const cancels = [timers.setTimer(() => {}, 1000, true)];
  const [helper] = helpers;
  assertEquals(helper?.asked.length, 1, "the greeting");
  helper?.answer();
  assertEquals(helper?.asked.length, 2);
  for (const delay of [2000, 1500, 500, 800]) {
    cancels.push(timers.setTimer(() => {}, delay, true));
  }
  assertEquals(helper?.asked.length, 3);
  for (const cancel of cancels) cancel();
  for (let round = 0; round < 100; round++) {
    timers.setTimer(() => {}, 900, true)();
  }
  assertEquals(helper?.asked.length, 3);
  await timers.leave(user);
  assertEquals(helper?.stops, 1);
});

test("PreciseTimers do not run a timer early when the helper answers early", async () => {
  const { timers, user, helpers } = fakeTimers();
  let calls = 0;
  const cancel = timers.setTimer(() => calls++, 1000, true);
  const [helper] = helpers;
  helper?.answer();
  helper?.answer();
  assertEquals(calls, 0);
  assertEquals(helper?.asked.length, 3);
  cancel();
  helper?.answer();
  assertEquals(helper?.asked.length, 3);
  await timers.leave(user);
});

test("PreciseTimers tell each user of a failure once, also those that come later", async () => {
  const { timers, user, helpers } = fakeTimers();
  const other = new Listening();
  timers.join(other);
  timers.setTimer(() => {}, 1, true);
  const [helper] = helpers;
  helper?.end("dead");
  helper?.end("dead again");
  helper?.answer();
  assertFalse(timers.isTrusted);
  const late = new Listening();
  timers.join(late);
  assertEquals(
    [user, other, late].map(({ failures }) => failures),
    [["dead"], ["dead"], ["dead"]],
  );
  await afterIn(timers, 2);
  assertEquals(helpers.length, 1);
  for (const each of [user, other, late]) await timers.leave(each);
  assertEquals(helper?.stops, 1);
});

test("PreciseTimers start a new helper for those who come after a failure was left behind", async () => {
  const { timers, user, helpers } = fakeTimers();
  timers.setTimer(() => {}, 1, true);
  helpers[0]?.end("dead");
  await timers.leave(user);
  timers.join(user);
  await afterIn(timers, 1);
  assertEquals(helpers.length, 2);
  assertEquals(user.failures.length, 1);
  await timers.leave(user);
});

test("PreciseClock warns through its logger", async () => {
  const logger = new RecordingLogger();
  await withWorker(() => undefined as never, async () => {
    const clock = preciseClock({ logger });
    await after(clock, 1);
    await after(clock, 1);
    await clock[Symbol.asyncDispose]();
  });
  assertEquals(logger.lines.length, 1);
  assertStringIncludes(logger.lines[0] ?? "", `warn ${FALLS_BACK}: TypeError`);
});

const gap = fc.oneof(
  fc.constant("none" as const),
  fc.constant("microtask" as const),
  fc.constant("turn" as const),
  fc.double({ min: 0, max: 0.3, noNaN: true }),
);

const question = fc.record({
  delay: fc.oneof(
    fc.constant(0),
    fc.double({ min: 0, max: 3, noNaN: true }),
    fc.constant(3_600_000),
  ),
  gap,
});

/** A turn of the event loop. */
const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

async function pass(gap: "none" | "microtask" | "turn" | number) {
  if (gap === "microtask") await undefined;
  if (gap === "turn") await sleep(0);
  if (typeof gap !== "number") return;
  const end = performance.now() + gap;
  while (performance.now() < end);
}

/** Asks a helper, and waits for its answer. */
class Asker {
  readonly helper: Helper;
  #moment = Infinity;
  #isAnswered = false;

  constructor() {
    this.helper = startThreadHelper({
      onAnswer: () => {
        assert(performance.now() >= this.#moment);
        this.#isAnswered = true;
      },
      onEnd(error) {
        throw error;
      },
    });
  }

  ask(delay: number): void {
    this.#isAnswered = false;
    this.#moment = performance.now() + delay;
    this.helper.ask(this.#moment);
  }

  async answered(): Promise<void> {
    for (let turn = 0; turn < 100 && !this.#isAnswered; turn++) await tick();
    await until(() => this.#isAnswered);
    assertEquals(this.helper.askedFor, Infinity);
  }
}

test("Helper answers the last question, however questions follow each other, and never early", async () => {
  const asker = new Asker();
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(question, { maxLength: 20 }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        async (questions, last) => {
          for (const { delay, gap } of questions) {
            asker.ask(delay);
            await pass(gap);
          }
          asker.ask(last);
          await asker.answered();
        },
      ),
      { numRuns: 300 },
    );
  } finally {
    await asker.helper.stop();
  }
});

test("Helper misses no question that comes while it falls asleep", async () => {
  const asker = new Asker();
  try {
    for (let round = 0; round < 5000; round++) {
      asker.ask(3_600_000);
      await pass(round % 250 / 1000);
      asker.ask(0);
      await asker.answered();
    }
  } finally {
    await asker.helper.stop();
  }
});

const step = fc.oneof(
  fc.record({
    kind: fc.constant("add" as const),
    delay: fc.double({ min: 0, max: 6, noNaN: true }),
    gap,
  }),
  fc.record({
    kind: fc.constant("cancel" as const),
    index: fc.nat(40),
    gap,
  }),
);

test("PreciseClock fires every timer that was not cancelled, in order and not early", () =>
  withClock(async (clock) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const fired: number[] = [];
        const cancels: (() => void)[] = [];
        const cancelled = new Set<number>();
        let last = -Infinity;
        for (const step of steps) {
          if (step.kind === "add") {
            const index = cancels.length;
            const { delay } = step;
            const earliest = clock.now() + delay;
            let latest = Infinity;
            cancels.push(clock.setTimer(() => {
              assert(clock.now() >= earliest);
              assert(latest >= last);
              last = Math.max(last, earliest);
              fired.push(index);
            }, delay));
            latest = clock.now() + delay;
          } else if (step.index < cancels.length) {
            cancels[step.index]?.();
            if (!fired.includes(step.index)) cancelled.add(step.index);
          }
          await pass(step.gap);
        }
        await until(() => fired.length + cancelled.size === cancels.length);
        assertEquals(new Set([...fired, ...cancelled]).size, cancels.length);
      }),
      { numRuns: 100 },
    );
  }));
