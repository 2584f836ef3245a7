// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import { ApiError } from "../control_page_client.js";
import {
  createListLoader,
  createOutputLoader,
} from "../control_page_loading.js";
import { initialState, reduce } from "../control_page_model.js";

type Action = Parameters<typeof reduce>[1];

/** A page without a document: what it knows, and requests that it makes. */
class Page {
  state = initialState();
  session = new AbortController();
  readonly asked: string[] = [];
  readonly failures: string[] = [];
  /** What answers; never, if it is not told. */
  answer: (path: string) => unknown = () => [];
  readonly lists: ReturnType<typeof createListLoader>;
  readonly output: ReturnType<typeof createOutputLoader>;

  constructor() {
    const options = {
      store: this,
      client: {
        get: async (path: string, signal?: AbortSignal) => {
          this.asked.push(path);
          const aborted = Promise.withResolvers<never>();
          const abort = () => aborted.reject(signal?.reason);
          signal?.addEventListener("abort", abort);
          try {
            return await Promise.race([this.answer(path), aborted.promise]);
          } finally {
            signal?.removeEventListener("abort", abort);
          }
        },
      },
      session: () => this.session.signal,
    };
    this.lists = createListLoader({
      ...options,
      onFailure: (message) => this.failures.push(message),
    });
    this.output = createOutputLoader(options);
  }

  dispatch = (action: Action): void => {
    this.state = reduce(this.state, action);
    this.lists.look();
    this.output.look();
  };

  isLive(): void {
    const connection = { status: "live", since: 0 } as const;
    this.dispatch({ type: "connection", connection });
    this.dispatch({ type: "stale" });
  }

  /** How often something was asked for. */
  count(path: string): number {
    return this.asked.filter((each) => each === path).length;
  }
}

/** Lets time pass, step by step. */
async function pass(time: FakeTime, milliseconds = 0): Promise<void> {
  for (let at = 0; at < milliseconds; at += 250) await time.tickAsync(250);
  await time.tickAsync(0);
  await time.tickAsync(0);
}

function testPage(
  name: string,
  body: (page: Page, time: FakeTime) => Promise<void>,
): void {
  test(name, async () => {
    using time = new FakeTime();
    const page = new Page();
    await body(page, time);
    page.session.abort();
    await pass(time, 10_000);
  });
}

function procedure(id: number) {
  const history = { process_states: [["READY", 1]], stacktrace: null };
  return { id, script: {}, history, state: "READY" };
}

testPage("Lists are loaded once for many reasons", async (page, time) => {
  page.answer = (path) => path === "/procedures" ? [procedure(1)] : [];
  page.isLive();
  for (let count = 0; count < 100; count++) page.dispatch({ type: "stale" });
  await pass(time);
  assertEquals([...page.state.procedures.keys()], [1]);
  assertEquals(page.count("/procedures"), 1);

  await pass(time, 10_000);

  assertEquals(page.count("/procedures"), 2);
  assertEquals(page.failures, []);
});

testPage("Lists that fail are loaded again", async (page, time) => {
  page.answer = () => Promise.reject(new ApiError("It is busy", 503));
  page.isLive();
  await pass(time);
  assertEquals(page.failures, ["The lists could not be loaded: It is busy"]);

  page.answer = () => [procedure(1)];
  await pass(time, 1_000);

  assertEquals([...page.state.procedures.keys()], [1]);
});

testPage(
  "Lists are loaded after signing in again while they were loaded",
  async (page, time) => {
    page.isLive();
    for (let count = 0; count < 9; count++) page.dispatch({ type: "stale" });
    page.answer = () => new Promise(() => {});
    await pass(time, 2_000);

    page.session.abort();
    const connection = { status: "signed-out", since: 0 } as const;
    page.dispatch({ type: "forget" });
    page.lists.forget();
    page.dispatch({ type: "connection", connection });
    await pass(time);
    page.session = new AbortController();
    page.answer = () => [procedure(1)];
    page.isLive();
    await pass(time, 2_000);

    assertEquals(page.state.loaded, true);
    assertEquals(page.failures, []);
  },
);

testPage("What a service does not offer is no failure", async (page, time) => {
  page.answer = (path) =>
    path === "/procedures"
      ? [procedure(1)]
      : Promise.reject(new ApiError("There is none", 404));
  page.isLive();
  await pass(time, 10_000);

  assertEquals(page.failures, []);
  assertEquals(page.count("/activities"), 1);
  assertEquals(page.state.noActivities, "This service runs no activities");
  assertEquals(page.state.noContext, "Not offered by this service");
  assertEquals(page.state.loaded, true);
});

testPage(
  "Output is fetched page by page, and then when there is more",
  async (page, time) => {
    const lines = Array.from({ length: 2_100 }, (_, index) => ({
      line: index + 1,
      text: "",
    }));
    page.answer = (path) => {
      const { searchParams } = new URL(path, "http://127.0.0.1");
      const after = Number(searchParams.get("after"));
      const found = lines.slice(
        after,
        after + Number(searchParams.get("limit")),
      );
      return { lines: found, next: after + found.length };
    };
    page.dispatch({ type: "choose", pid: 1 });
    await pass(time);
    await pass(time);
    await pass(time, 10_000);
    assertEquals(page.asked.map((path) => /after=\d+/.exec(path)?.[0]), [
      "after=0",
      "after=1000",
      "after=2000",
    ]);
    assertEquals(page.state.output.lines.length, 2_100);

    lines.push({ line: 2_101, text: "" });
    page.dispatch({
      type: "events",
      events: [{ topic: "script.output", pid: 1 }],
    });
    await pass(time, 10_000);

    assertEquals(page.state.output.next, 2_101);
    assertEquals(page.asked.length, 4);
  },
);

testPage(
  "Output of another procedure is not waited for",
  async (page, time) => {
    page.answer = () => Promise.reject(new ApiError("It is busy", 503));
    page.dispatch({ type: "choose", pid: 1 });
    await pass(time);
    page.answer = () => ({ lines: [], next: 0 });

    page.dispatch({ type: "choose", pid: 2 });
    await pass(time);

    assertEquals(page.asked.map((path) => path.split("/")[2]), ["1", "2"]);
  },
);

testPage(
  "Output leaves nothing behind each time that it is fetched",
  async (page, time) => {
    const reactions = new Map<unknown, number>();
    const { then } = Promise.prototype;
    page.answer = () => ({ lines: [], next: 0 });
    page.dispatch({ type: "choose", pid: 1 });
    const events = [{ topic: "script.output", pid: 1 }];
    Promise.prototype.then = new Proxy(then, {
      apply(target, promise, reaction) {
        reactions.set(promise, (reactions.get(promise) ?? 0) + 1);
        return Reflect.apply(target, promise, reaction);
      },
    });
    try {
      for (let count = 0; count < 20; count++) {
        page.dispatch({ type: "events", events });
        await pass(time, 250);
      }
    } finally {
      Promise.prototype.then = then;
    }

    assertGreater(page.asked.length, 10);
    assertLess(Math.max(0, ...reactions.values()), 10);
  },
);

testPage(
  "Output of a procedure that is gone is not asked for again",
  async (page, time) => {
    page.answer = () => Promise.reject(new ApiError("There is none", 404));
    page.dispatch({ type: "choose", pid: 1 });
    await pass(time, 60_000);

    assertEquals(page.asked.length, 1);
  },
);

testPage(
  "Earlier lines are those before the first that is kept",
  async (page, time) => {
    page.answer = () => ({ lines: [], next: 0 });
    page.dispatch({ type: "choose", pid: 1 });
    await pass(time);
    assertEquals(await page.output.earlier(), false);

    page.dispatch({
      type: "earlier-output",
      pid: 1,
      lines: [{ line: 3, time: 0, stream: "log", text: "", dropped: 0 }],
    });
    page.answer = () => ({ lines: [{ line: 1 }, { line: 2 }, { line: 3 }] });

    assertEquals(await page.output.earlier(), true);
    assertEquals(page.state.output.lines.map(({ line }) => line), [1, 2]);
    assertEquals(page.asked.at(-1), "/procedures/1/output?after=0&limit=2");
  },
);
