// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { sleep } from "../cancellation.ts";
import { ManualClock } from "../testing.ts";
import { TimeoutIterator } from "../timeout_iterator.ts";
import {
  Topic,
  type TopicItem,
  type TopicOverflow,
  TopicOverflowError,
  type TopicSubscription,
} from "../topic.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

const POLICIES: TopicOverflow[] = ["drop-oldest", "drop-newest", "error"];

function publishAll<T>(topic: Topic<T>, values: Iterable<T>): void {
  for (const value of values) topic.publish(value);
}

const range = (first: number, end: number): number[] =>
  Array.from({ length: end - first }, (_, index) => first + index);

/** Takes what is queued. */
async function takeQueued<T>(
  subscription: TopicSubscription<T>,
): Promise<TopicItem<T>[]> {
  const items: TopicItem<T>[] = [];
  while (subscription.length > 0) {
    const { value } = await subscription.next();
    assert(value !== undefined);
    items.push(value);
  }
  return items;
}

const valueOf = async <T>(
  subscription: TopicSubscription<T>,
): Promise<T | undefined> => (await subscription.next()).value?.value;

// The pub/sub tests of the original, in one process.

test("Topic without subscribers takes values, and ending a subscription twice does nothing", async () => {
  const topic = new Topic<number>();
  topic.publish(1);
  const end = topic.onPublish(() => {});
  const subscription = topic.subscribe();
  assertEquals(topic.subscribers, 2);
  for (let time = 0; time < 2; time++) {
    end();
    await subscription.return();
  }
  assertEquals(topic.subscribers, 0);
});

test("Topic gives a subscriber what is published while it is subscribed, in order and numbered", async () => {
  const topic = new Topic<string>();
  topic.publish("before");
  const subscription = topic.subscribe();
  publishAll(topic, ["a", "b", "c"]);
  assertEquals(subscription.length, 3);
  assertEquals(await takeQueued(subscription), [
    { value: "a", sequence: 0, dropped: 0 },
    { value: "b", sequence: 1, dropped: 0 },
    { value: "c", sequence: 2, dropped: 0 },
  ]);
  await subscription.return();
  topic.publish("after");
  assertEquals(await subscription.next(), END);

  const again = topic.subscribe();
  topic.publish("again");
  assertEquals(await again.next(), {
    done: false,
    value: { value: "again", sequence: 0, dropped: 0 },
  });
});

test("Topic keeps several subscribers of several topics apart", async () => {
  const topics = [new Topic<string>(), new Topic<string>()];
  const subscriptions = topics.flatMap((topic) =>
    range(0, 3).map(() => topic.subscribe())
  );
  for (const round of range(0, 3)) {
    for (const [index, topic] of topics.entries()) {
      topic.publish(`${index} ${round}`);
    }
  }
  for (const [place, subscription] of subscriptions.entries()) {
    const index = place < 3 ? 0 : 1;
    assertEquals(
      await takeQueued(subscription),
      range(0, 3).map((round) => ({
        value: `${index} ${round}`,
        sequence: round,
        dropped: 0,
      })),
    );
  }
});

test("Topic drops the oldest values of a slow subscriber, or the newest", async () => {
  const topic = new Topic<number>();
  const oldest = topic.subscribe({ capacity: 5 });
  const newest = topic.subscribe({ capacity: 5, overflow: "drop-newest" });
  publishAll(topic, range(10, 20));
  assertEquals([oldest.length, oldest.dropped], [5, 5]);
  assertEquals([newest.length, newest.dropped], [5, 5]);
  assertEquals(
    await takeQueued(oldest),
    range(15, 20).map((value) => ({
      value,
      sequence: value - 10,
      dropped: 5,
    })),
  );
  assertEquals(
    await takeQueued(newest),
    range(10, 15).map((value) => ({
      value,
      sequence: value - 10,
      dropped: 5,
    })),
  );
  topic.publish(30);
  for (const subscription of [oldest, newest]) {
    assertEquals((await subscription.next()).value, {
      value: 30,
      sequence: 10,
      dropped: 5,
    });
  }
});

test("Topic wakes a subscriber that waits, also after waits that were too long", async () => {
  const clock = new ManualClock();
  const topic = new Topic<number>();
  const times: [value: number, at: number][] = [];
  let waits = 0;
  const items = new TimeoutIterator(topic.subscribe(), {
    timeout: 100,
    clock,
    onTimeout: () => {
      waits++;
      return "continue";
    },
  });
  (async () => {
    for await (const { value } of items) times.push([value, clock.now()]);
  })();
  for (const value of range(0, 5)) {
    await clock.advance(500);
    topic.publish(value);
  }
  await clock.advance(0);
  assertEquals(times, range(0, 5).map((value) => [value, 500 * (value + 1)]));
  assert(waits >= 5);
  topic.close();
  await clock.advance(0);
});

test("Topic that is closed ends its subscribers, and one of the same name is another", async () => {
  const topic = new Topic<number>({ name: "position" });
  const subscription = topic.subscribe();
  publishAll(topic, [1, 2]);
  topic.close();
  const successor = new Topic<number>({ name: "position" });
  successor.publish(3);
  const seen: number[] = [];
  for await (const { value } of subscription) seen.push(value);
  assertEquals(seen, [1, 2]);
});

// Publishing.

test("Topic knows its last value and how many there were", () => {
  const topic = new Topic<number | undefined>();
  assertEquals([topic.last, topic.published], [undefined, 0]);
  topic.publish(7);
  assertEquals([topic.last, topic.published], [7, 1]);
  topic.publish(undefined);
  assertEquals([topic.last, topic.published], [undefined, 2]);
  topic.publish(8);
  topic.close();
  topic.publish(9);
  assertEquals([topic.last, topic.published], [8, 3]);
});

test("Topic hands on values as they are, undefined and promises too", async () => {
  const topic = new Topic<unknown>();
  const subscription = topic.subscribe();
  const image = { pixels: [1, 2, 3] };
  const promise = Promise.resolve(4);
  publishAll(topic, [undefined, null, image, promise]);
  assertEquals(await valueOf(subscription), undefined);
  assertEquals(await valueOf(subscription), null);
  assertStrictEquals(await valueOf(subscription), image);
  assertStrictEquals((await subscription.next()).value?.value, promise);
  const waiting = subscription.next();
  topic.publish(undefined);
  assertEquals(await waiting, {
    done: false,
    value: { value: undefined, sequence: 4, dropped: 0 },
  });
});

test("Topic gives every subscriber an item of its own", async () => {
  const topic = new Topic<number>();
  const [slow, fast] = [topic.subscribe({ capacity: 1 }), topic.subscribe()];
  publishAll(topic, [1, 2]);
  assertEquals((await slow.next()).value?.dropped, 1);
  assertEquals((await takeQueued(fast)).map(({ dropped }) => dropped), [0, 0]);
});

test("Topic never delays the publisher for a slow subscriber", async () => {
  const clock = new ManualClock();
  const topic = new Topic<number>();
  const gone: number[] = [];
  (async () => {
    for await (const _ of topic.subscribe({ capacity: 2 })) {
      await sleep(1000, { clock });
    }
  })();
  (async () => {
    for (const value of range(0, 10)) {
      topic.publish(value);
      gone.push(clock.now());
      await sleep(10, { clock });
    }
    topic.close();
  })();
  await clock.advance(5000);
  assertEquals(gone, range(0, 10).map((value) => value * 10));
  assertEquals([topic.subscribers, clock.pending], [0, []]);
});

test("Topic.close() ends requests that wait and is final", async () => {
  const topic = new Topic<number>();
  const subscription = topic.subscribe();
  const calls: number[] = [];
  topic.onPublish((value) => calls.push(value));
  const waiting = [subscription.next(), subscription.next()];
  topic.close();
  topic.close();
  assertEquals(await Promise.all(waiting), [END, END]);
  topic.publish(1);
  topic.onPublish((value) => calls.push(value));
  assertEquals(calls, []);
  assertEquals(await topic.subscribe().next(), END);
  assertEquals(topic.subscribers, 0);
});

test("Topic is closed when it is disposed of", async () => {
  const topic = new Topic<number>();
  const subscription = topic.subscribe();
  topic.publish(1);
  topic[Symbol.dispose]();
  assertEquals(await valueOf(subscription), 1);
  assertEquals(await subscription.next(), END);
});

// Subscriptions.

test("TopicSubscription answers requests side by side in order", async () => {
  const topic = new Topic<number>();
  const subscription = topic.subscribe();
  const seen: unknown[] = [];
  for (let request = 0; request < 100; request++) {
    subscription.next().then(({ value }) => seen.push(value?.value));
  }
  publishAll(topic, range(0, 101));
  await turns();
  assertEquals(seen, range(0, 100));
  assertEquals(subscription.length, 1);
});

test("TopicSubscription with the policy error gives what it has and then fails, once", async () => {
  const topic = new Topic<number>({ name: "frames" });
  const subscription = topic.subscribe({ capacity: 3, overflow: "error" });
  publishAll(topic, range(0, 3));
  assertEquals([topic.subscribers, subscription.dropped], [1, 0]);
  publishAll(topic, range(3, 6));
  assertEquals([topic.subscribers, subscription.dropped], [0, 1]);
  const seen: number[] = [];
  const error = await assertRejects(
    async () => {
      for await (const { value } of subscription) seen.push(value);
    },
    TopicOverflowError,
    "Topic 'frames' was more than 3 values ahead of a subscriber",
  );
  assertEquals([error.name, error.capacity], ["TopicOverflowError", 3]);
  assertInstanceOf(error, Error);
  assertEquals(seen, [0, 1, 2]);
  assertEquals(await subscription.next(), END);
});

test("TopicSubscription with the policy error that is not read is nobody's unhandled rejection", async () => {
  const reasons = await unhandledDuring(() => {
    const topic = new Topic<number>();
    topic.subscribe({ capacity: 1, overflow: "error" });
    topic.subscribe({ signal: AbortSignal.abort("before") });
    publishAll(topic, range(0, 3));
  });
  assertEquals(reasons, []);
});

test("TopicSubscription with the policy error still ends by return()", async () => {
  const topic = new Topic<number>();
  const subscription = topic.subscribe({ capacity: 1, overflow: "error" });
  publishAll(topic, range(0, 3));
  assertEquals(await subscription.return(), END);
  assertEquals(await subscription.next(), END);
});

test("TopicSubscription.clear() discards what is queued, and the numbers tell", async () => {
  const topic = new Topic<number>();
  const subscription = topic.subscribe();
  publishAll(topic, range(0, 3));
  subscription.clear();
  assertEquals([subscription.length, subscription.dropped], [0, 0]);
  topic.publish(3);
  assertEquals((await subscription.next()).value, {
    value: 3,
    sequence: 3,
    dropped: 0,
  });
  const waiting = subscription.next();
  subscription.clear();
  topic.publish(4);
  assertEquals((await waiting).value?.value, 4);
  topic.publish(5);
  topic.close();
  subscription.clear();
  assertEquals(await subscription.next(), END);
});

test("TopicSubscription rejects with the reason of its signal, in a wait or between two", async () => {
  for (const isWaiting of [true, false]) {
    const topic = new Topic<number>();
    const controller = new CountingController();
    const subscription = topic.subscribe({ signal: controller.signal });
    assertEquals(controller.listeners, 1);
    publishAll(topic, range(0, 2));
    await subscription.next();
    if (isWaiting) await subscription.next();
    const waiting = isWaiting
      ? [subscription.next(), subscription.next()]
      : undefined;
    const reasons = waiting?.map((next) => next.catch((reason) => reason));
    controller.abort("dawn");
    assertEquals([topic.subscribers, controller.listeners], [0, 0]);
    assertEquals(subscription.length, 0);
    topic.publish(2);
    if (reasons !== undefined) {
      assertEquals(await Promise.all(reasons), ["dawn", "dawn"]);
    } else {
      assertEquals(await subscription.next().catch((reason) => reason), "dawn");
    }
    assertEquals(await subscription.next(), END);
  }
});

test("TopicSubscription on an aborted signal rejects, on a closed topic too", async () => {
  for (const isClosed of [false, true]) {
    const topic = new Topic<number>();
    if (isClosed) topic.close();
    const signal = AbortSignal.abort("before");
    const subscription = topic.subscribe({ signal });
    topic.publish(1);
    assertEquals(topic.subscribers, 0);
    assertEquals(await subscription.next().catch((reason) => reason), "before");
    assertEquals(await subscription.next(), END);
  }
});

test("TopicSubscription obeys its signal when the topic is closed, without listening to it", async () => {
  const topic = new Topic<number>();
  const controller = new CountingController();
  const subscription = topic.subscribe({ signal: controller.signal });
  const drained = topic.subscribe({ signal: controller.signal });
  publishAll(topic, range(0, 3));
  await takeQueued(drained);
  topic.close();
  assertEquals(controller.listeners, 0);
  assertEquals(await valueOf(subscription), 0);
  controller.abort("dawn");
  assertEquals(await subscription.next().catch((reason) => reason), "dawn");
  assertEquals(await subscription.next(), END);
  assertEquals(await drained.next(), END);
});

test("TopicSubscription leaves nothing behind, however it ends", async () => {
  const topic = new Topic<number>();
  const controller = new CountingController();
  const { signal } = controller;
  const counts = (): number[] => [topic.subscribers, controller.listeners];

  const looped = topic.subscribe({ signal });
  topic.publish(1);
  for await (const _ of looped) break;
  assertEquals(counts(), [0, 0]);

  const thrown = topic.subscribe({ signal });
  topic.publish(1);
  await assertRejects(async () => {
    for await (const _ of thrown) throw new Error("no");
  });
  assertEquals(counts(), [0, 0]);

  const returned = topic.subscribe({ signal });
  const waiting = returned.next();
  await returned.return();
  assertEquals(await waiting, END);
  assertEquals(counts(), [0, 0]);

  const disposed = topic.subscribe({ signal });
  assertEquals(counts(), [1, 1]);
  await disposed[Symbol.asyncDispose]();
  assertEquals(counts(), [0, 0]);

  const overflown = topic.subscribe({ signal, capacity: 1, overflow: "error" });
  publishAll(topic, [1, 2]);
  assertEquals(counts(), [0, 0]);
  await overflown.return();

  const ends = range(0, 3).map(() => topic.onPublish(() => {}, { signal }));
  assertEquals(counts(), [3, 1]);
  for (const end of ends) end();
  assertEquals(counts(), [0, 0]);

  topic.onPublish(() => {}, { signal });
  topic.subscribe({ signal });
  topic.close();
  assertEquals(counts(), [0, 0]);
});

// Callbacks.

test("Topic.onPublish() calls back within publish() in order of registration", () => {
  const topic = new Topic<string>();
  const calls: string[] = [];
  for (const index of range(0, 3)) {
    topic.onPublish((value) => calls.push(`${index} ${value}`));
  }
  topic.publish("a");
  assertEquals(calls, ["0 a", "1 a", "2 a"]);
});

test("Topic.onPublish() calls a function registered twice twice", () => {
  const topic = new Topic<number>();
  let calls = 0;
  const callback = (): void => {
    calls++;
  };
  const end = topic.onPublish(callback);
  topic.onPublish(callback);
  topic.publish(1);
  end();
  topic.publish(2);
  assertEquals(calls, 3);
});

test("Topic.onPublish() reports each failure once and calls the others", async () => {
  const logger = new RecordingLogger();
  const topic = new Topic<number>({ name: "dome", logger });
  const calls: number[] = [];
  topic.onPublish(() => {
    throw new Error("no");
  });
  topic.onPublish(() => Promise.reject(new Error("later")));
  topic.onPublish((value) => calls.push(value));
  const reasons = await unhandledDuring(() => publishAll(topic, [1, 2]));
  assertEquals(reasons, []);
  assertEquals(calls, [1, 2]);
  const line = (what: string): string =>
    `error A callback of topic 'dome' has failed: Error: ${what}`;
  assertEquals(logger.lines, [
    line("no"),
    line("no"),
    line("later"),
    line("later"),
  ]);
});

test("Topic.publish() does not throw when the logger does", () => {
  const { error } = console;
  const lines: unknown[] = [];
  console.error = (line: unknown) => lines.push(line);
  try {
    const logger = new RecordingLogger();
    logger.error = () => {
      throw new Error("the disk is full");
    };
    const topic = new Topic<number>({ logger });
    topic.onPublish(() => {
      throw "no";
    });
    topic.publish(1);
  } finally {
    console.error = error;
  }
  assertEquals(lines, ["A callback of topic 'topic' has failed: no"]);
});

test("Topic.onPublish() ends by its signal, and does not begin on an aborted one", () => {
  const topic = new Topic<number>();
  const controller = new CountingController();
  const { signal } = controller;
  const calls: number[] = [];
  topic.onPublish((value) => calls.push(value), { signal });
  topic.publish(1);
  controller.abort();
  const end = topic.onPublish((value) => calls.push(value), { signal });
  topic.publish(2);
  end();
  assertEquals(calls, [1]);
  assertEquals([topic.subscribers, controller.listeners], [0, 0]);
});

test("Topic.onPublish() does not call what was ended during publish(), and does not yet call what has come", () => {
  const topic = new Topic<number>();
  const calls: string[] = [];
  const ends: (() => void)[] = [];
  const add = (name: string, act: () => void): void => {
    ends.push(topic.onPublish((value) => {
      calls.push(`${name} ${value}`);
      act();
    }));
  };
  add("itself", () => ends[0]?.());
  add("others", () => {
    ends[2]?.();
    add("new", () => {});
  });
  add("ended", () => {});
  add("last", () => ends[1]?.());
  topic.publish(1);
  assertEquals(calls, ["itself 1", "others 1", "last 1"]);
  calls.length = 0;
  topic.publish(2);
  assertEquals(calls, ["last 2", "new 2"]);
});

test("Topic.publish() by a callback keeps the order for everybody", async () => {
  const topic = new Topic<number>();
  const calls: string[] = [];
  const subscription = topic.subscribe();
  topic.onPublish((value) => {
    calls.push(`first ${value} of ${topic.last}`);
    if (value < 3) topic.publish(value + 1);
    if (value === 1) topic.onPublish((value) => calls.push(`new ${value}`));
    assertEquals(topic.last, Math.min(value + 1, 3));
  });
  topic.onPublish((value) => calls.push(`second ${value}`));
  topic.publish(1);
  assertEquals(calls, [
    "first 1 of 1",
    "second 1",
    "first 2 of 2",
    "second 2",
    "first 3 of 3",
    "second 3",
    "new 3",
  ]);
  assertEquals(
    (await takeQueued(subscription)).map(({ value }) => value),
    [1, 2, 3],
  );
});

test("Topic.close() by a callback lets the others hear what was published", () => {
  const topic = new Topic<number>();
  const calls: string[] = [];
  const controller = new CountingController();
  const { signal } = controller;
  topic.onPublish((value) => {
    calls.push(`first ${value}`);
    if (value === 1) topic.publish(2);
    topic.close();
    topic.publish(3);
    topic.onPublish(() => calls.push("never"));
  }, { signal });
  topic.onPublish((value) => calls.push(`second ${value}`), { signal });
  topic.publish(1);
  assertEquals(calls, ["first 1", "second 1", "first 2", "second 2"]);
  assertEquals([topic.subscribers, controller.listeners], [0, 0]);
});

test("Topic refuses bad arguments by name", () => {
  assertThrows(() => new Topic(1 as never), TypeError, "'options'");
  assertThrows(() => new Topic({ name: 1 as never }), TypeError, "'name'");
  assertThrows(
    () => new Topic({ logger: {} as never }),
    TypeError,
    "Cannot create Topic as 'logger' must be a Logger: current value is [object Object]",
  );
  const topic = new Topic();
  for (const capacity of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(
      () => topic.subscribe({ capacity }),
      RangeError,
      `Cannot subscribe as 'capacity' must be an integer of at least 1: current value is ${capacity}`,
    );
  }
  assertThrows(
    () => topic.subscribe({ overflow: "drop" as never }),
    TypeError,
    `Cannot subscribe as 'overflow' must be "drop-oldest" or "drop-newest" or "error": current value is "drop"`,
  );
  assertThrows(() => topic.subscribe(null as never), TypeError, "'options'");
  assertThrows(
    () => topic.subscribe({ signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  assertThrows(
    () => topic.onPublish(1 as never),
    TypeError,
    "Cannot listen as 'callback' must be a function: current value is 1",
  );
  assertThrows(
    () => topic.onPublish(() => {}, null as never),
    TypeError,
    "'options'",
  );
  assertThrows(
    () => topic.onPublish(() => {}, { signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  assertEquals(topic.subscribers, 0);
});

// The buffer against a model.

interface Step {
  kind: "publish" | "next" | "clear" | "abort" | "close" | "return";
  count?: number;
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constantFrom("publish" as const, "next" as const),
      count: fc.oneof(fc.nat(4), fc.nat(150)),
    }),
  },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: "clear" }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      { kind: "abort" },
      { kind: "close" },
      { kind: "return" },
    ),
  },
);

/** How a request has ended; `undefined` as long as it waits. */
type Answer = string | undefined;

/** What the subscription should do, as simply as can be. */
class Model {
  readonly answers: Answer[] = [];
  readonly #capacity: number;
  readonly #overflow: TopicOverflow;
  buffer: number[] = [];
  dropped = 0;
  isLive = true;
  #failure: string | undefined = undefined;
  #isAborted = false;
  #sequence = 0;

  constructor(capacity: number, overflow: TopicOverflow) {
    this.#capacity = capacity;
    this.#overflow = overflow;
  }

  #settle(answer: string): boolean {
    const index = this.answers.indexOf(undefined);
    if (index < 0) return false;
    this.answers[index] = answer;
    return true;
  }

  /** The value is its own number. */
  publish(): void {
    if (!this.isLive) return;
    const sequence = this.#sequence++;
    if (this.#settle(`${sequence} -${this.dropped}`)) return;
    if (this.buffer.length < this.#capacity) {
      this.buffer.push(sequence);
      return;
    }
    this.dropped++;
    if (this.#overflow === "drop-oldest") {
      this.buffer = [...this.buffer.slice(1), sequence];
    }
    if (this.#overflow === "error") {
      this.#failure = "TopicOverflowError";
      this.isLive = false;
    }
  }

  next(): void {
    const [sequence, ...rest] = this.buffer;
    if (sequence !== undefined && this.#isAborted) {
      this.buffer = [];
      this.#failure = undefined;
      this.answers.push("dawn");
    } else if (sequence !== undefined) {
      this.buffer = rest;
      this.answers.push(`${sequence} -${this.dropped}`);
    } else if (this.#failure !== undefined) {
      this.answers.push(this.#failure);
      this.#failure = undefined;
    } else {
      this.answers.push(this.isLive ? undefined : "end");
    }
  }

  clear(): void {
    this.buffer = [];
  }

  abort(): void {
    this.#isAborted = true;
    if (!this.isLive) return;
    this.isLive = false;
    this.buffer = [];
    if (!this.#settle("dawn")) this.#failure = "dawn";
    while (this.#settle("dawn"));
  }

  close(): void {
    this.isLive = false;
    while (this.#settle("end"));
  }

  return(): void {
    this.buffer = [];
    this.#failure = undefined;
    this.close();
  }
}

for (const overflow of POLICIES) {
  test(`TopicSubscription with the policy ${overflow} does what a simple model does`, async () => {
    await fc.assert(fc.asyncProperty(
      fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(64, 100)),
      fc.array(step, { maxLength: 25 }),
      async (capacity, steps) => {
        const topic = new Topic<number>();
        const controller = new CountingController();
        const { signal } = controller;
        const subscription = topic.subscribe({ signal, capacity, overflow });
        const model = new Model(capacity, overflow);
        const answers: Answer[] = [];
        const request = (): void => {
          const index = answers.push(undefined) - 1;
          subscription.next().then(
            ({ done, value }) => {
              if (!done) assertEquals(value.value, value.sequence);
              answers[index] = done
                ? "end"
                : `${value.sequence} -${value.dropped}`;
            },
            (reason) => {
              answers[index] = reason?.name ?? reason;
            },
          );
        };
        const act: Record<Step["kind"], () => void> = {
          publish: () => topic.publish(topic.published),
          next: request,
          clear: () => subscription.clear(),
          abort: () => controller.abort("dawn"),
          close: () => topic.close(),
          return: () => void subscription.return(),
        };
        for (const one of steps) {
          for (let time = 0; time < (one.count ?? 1); time++) {
            model[one.kind]();
            act[one.kind]();
          }
          await turns(3);
          assertEquals(answers, model.answers);
          assertEquals(subscription.length, model.buffer.length);
          assertEquals(subscription.dropped, model.dropped);
          assertEquals(topic.subscribers, model.isLive ? 1 : 0);
          assertEquals(controller.listeners, model.isLive ? 1 : 0);
        }
        await subscription.return();
      },
    ));
  });
}

test("TopicSubscription with a long buffer keeps the order through drops and reads", async () => {
  const topic = new Topic<number>();
  const subscription = topic.subscribe();
  publishAll(topic, range(0, 35_000));
  assertEquals([subscription.length, subscription.dropped], [10_000, 25_000]);
  for (const value of range(25_000, 30_000)) {
    assertEquals((await subscription.next()).value?.sequence, value);
  }
  publishAll(topic, range(35_000, 39_000));
  assertEquals(
    (await takeQueued(subscription)).map(({ value }) => value),
    range(30_000, 39_000),
  );
});
