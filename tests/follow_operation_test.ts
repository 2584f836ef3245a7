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
import { backoff } from "../backoff.ts";
import {
  followOperation,
  type FollowOperationOptions,
  OperationError,
  type OperationHandle,
} from "../follow_operation.ts";
import { ManualClock } from "../testing.ts";
import { CountingClock } from "./_counting_clock.ts";
import { CountingController } from "./_listeners.ts";
import { OperationRig, responseOf, updatesOf } from "./_operation_rig.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { unhandledDuring } from "./_unhandled.ts";

const URL_1 = "https://lab.example/operations/1";
const RESULT = "https://lab.example/results/1";
const FIRST = "https://lab.example/scans";

const accepted = { status: 202, headers: { location: URL_1 } };
const monitored = { status: 202, headers: { "operation-location": URL_1 } };
const running = { status: 202 };
const busy = { status: 503 };

const assertUnknown = async (
  handle: OperationHandle,
  message: string,
): Promise<unknown> => {
  const result = await handle.done;
  assertEquals(result.status, "unknown");
  assertEquals(result.message, message);
  assertEquals(handle.ended, true);
  return result.error;
};

test("followOperation makes no text of a result of bytes", async () => {
  const rig = new OperationRig();
  const image = new Uint8Array([1, 2, 3]);
  const headers = { "content-type": "application/octet-stream" };
  rig.on(
    URL_1,
    running,
    () => Promise.resolve(new Response(image, { headers })),
  );
  let texts = 0;
  Object.defineProperty(Uint8Array.prototype, "toJSON", {
    value: () => texts++,
    configurable: true,
  });
  try {
    const { status, value } = await rig.end(rig.follow(accepted));
    assertEquals([status, value, texts], ["succeeded", image, 0]);
  } finally {
    Reflect.deleteProperty(Uint8Array.prototype, "toJSON");
  }
});

test("followOperation waits for the interval, and longer without news", async () => {
  const rig = new OperationRig();
  const body = (progress: number) => ({
    body: { status: "running", progress },
  });
  rig.on(URL_1, body(1), body(1), body(1), body(2), body(2), {
    body: { status: "done" },
  });
  const interval = backoff({ limit: Infinity, initial: 100, factor: 2 });
  const handle = rig.follow(monitored, { interval });
  assertEquals((await rig.end(handle)).status, "succeeded");
  assertEquals(rig.times.map(([, time]) => time), [
    100,
    200,
    400,
    800,
    900,
    1100,
  ]);
  assertEquals(handle.counters, { asked: 6, failed: 0, throttled: 0 });
});

test("followOperation heeds Retry-After in seconds and dates, within bounds", async () => {
  const rig = new OperationRig();
  const at = (text: string, date?: string) => ({
    ...running,
    headers: {
      "retry-after": text,
      ...(date === undefined ? {} : { date }),
    },
  });
  rig.on(
    URL_1,
    at("20"),
    at("Sat, 21 Nov 2026 12:00:30 GMT"),
    at("Sat, 21 Nov 2026 12:00:07 GMT", "Sat, 21 Nov 2026 12:00:00 GMT"),
    at("0"),
    at("100000"),
    at("soon"),
    { body: 1 },
  );
  const handle = rig.follow(accepted, {
    dateNow: () => Date.UTC(2026, 10, 21, 12),
    shortestRetryAfter: 500,
    longestRetryAfter: 60_000,
  });
  await rig.end(handle);
  assertEquals(rig.times.map(([, time]) => time), [
    1000,
    21_000,
    51_000,
    58_000,
    58_500,
    118_500,
    119_500,
  ]);
});

test("followOperation asks again when asking fails, and counts it", async () => {
  for (
    const failure of [
      new TypeError("network"),
      { status: 408 },
      { status: 429 },
      { status: 500 },
      busy,
      { body: "<html>" },
      { headers: { "content-type": "application/json" }, body: "{" },
      { body: { unrelated: true } },
    ]
  ) {
    const rig = new OperationRig();
    rig.on(URL_1, failure, failure, { body: { status: "succeeded" } });
    const handle = rig.follow(monitored, {
      retry: backoff({ initial: 100, limit: 2 }),
    });
    const updates = updatesOf(handle);
    assertEquals((await rig.end(handle)).status, "succeeded");
    assertEquals(rig.times.map(([, time]) => time), [1000, 1100, 1300]);
    assertEquals(handle.counters.failed, 2);
    const errors = (await updates).filter(({ error }) => error !== undefined);
    assertEquals((await updates).at(-1)?.error, undefined);
    assertEquals(errors.length, 2);
    assertEquals(errors.map(({ status }) => status), ["running", "running"]);
  }
});

test("followOperation gives up after so many failures in a row", async () => {
  const rig = new OperationRig();
  const network = new TypeError("no route");
  rig.on(URL_1, network, network, running, network);
  const handle = rig.follow(accepted, {
    retry: backoff({ initial: 10, limit: 2 }),
  });
  await rig.clock.runAll();
  const error = await assertUnknown(
    handle,
    "Asking has failed 3 times in a row: no route",
  );
  assertInstanceOf(error, OperationError);
  assertStrictEquals(error.cause, network);
  assertEquals(rig.asked.length, 6);
});

test("followOperation takes 429 and 503 with Retry-After for not yet", async () => {
  const rig = new OperationRig();
  const later = { status: 429, headers: { "retry-after": "3" } };
  const down = { status: 503, headers: { "retry-after": "5" } };
  rig.on(URL_1, later, down, later, later, { body: 1 });
  const handle = rig.follow(accepted, { retry: backoff({ limit: 0 }) });
  assertEquals((await rig.end(handle)).value, 1);
  assertEquals(rig.times.at(-1)?.[1], 15_000);
  assertEquals(handle.counters, { asked: 5, failed: 0, throttled: 4 });
});

test("followOperation waits for the longer of Retry-After and its own policy", async () => {
  const rig = new OperationRig();
  const failed = (text: string) => ({
    status: 500,
    headers: { "retry-after": text },
  });
  rig.on(URL_1, failed("3"), failed("1"), { body: 1 });
  const handle = rig.follow(accepted, {
    retry: { delay: () => 2000 },
  });
  await rig.end(handle);
  assertEquals(rig.times.map(([, time]) => time), [1000, 4000, 6000]);
});

test("followOperation ends with the timeout and says what was seen", async () => {
  const rig = new OperationRig();
  rig.on(URL_1, { body: { status: "Slewing", percentComplete: 40 } });
  const handle = rig.follow(monitored, { timeout: 2500 });
  await rig.clock.advance(2499);
  assertEquals(handle.ended, false);
  await rig.clock.advance(1);
  const error = await assertUnknown(
    handle,
    "The operation has not ended within 2500 ms: asked 2 times, last seen Slewing, progress 40",
  );
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "TimeoutError");
  assertEquals(rig.clock.pending, []);
});

test("followOperation ends one request that takes too long, and asks again", async () => {
  const rig = new OperationRig();
  rig.on(URL_1, () => new Promise(() => {}), { body: 1 });
  const handle = rig.follow(accepted, {
    requestTimeout: 5000,
    retry: backoff({ initial: 100 }),
  });
  assertEquals((await rig.end(handle)).value, 1);
  assertEquals(rig.times.map(([, time]) => time), [1000, 6100]);
});

test("followOperation ends with the reason of the signal, whatever it does then", async () => {
  const hang = () => new Promise<never>(() => {});
  const stall = () =>
    Promise.resolve(new Response(new ReadableStream({ pull: hang })));
  const begin = { status: 202, headers: monitored.headers };
  for (
    const [answers, time] of [
      [[running], 500],
      [[running], 1500],
      [[hang], 1500],
      [[stall], 1500],
      [[busy], 1500],
      [[{ body: { status: "done", resourceLocation: "/x" } }], 1500],
    ] as const
  ) {
    const rig = new OperationRig();
    rig.on(URL_1, ...answers).on("https://lab.example/x", hang);
    const app = new CountingController();
    const handle = rig.follow(begin, { signal: app.signal, timeout: 1e6 });
    const updates = updatesOf(handle);
    await rig.clock.advance(time);
    assertEquals(app.listeners, 1);
    app.abort("dawn");
    const result = await handle.done;
    assertEquals(result.status, "unknown");
    assertEquals(result.error, "dawn");
    assertEquals((await updates).at(-1)?.status, "unknown");
    await rig.clock.advance(0);
    assertEquals(app.listeners, 0);
    assertEquals(rig.clock.pending, []);
  }
});

test("An answer that comes after the end is let go of", async () => {
  const rig = new OperationRig();
  let answer: (response: Response) => void = () => {};
  rig.on(URL_1, () => new Promise((resolve) => answer = resolve));
  const handle = rig.follow(URL_1);
  await rig.clock.advance(0);
  await handle.unsubscribe();
  let isCancelled = false;
  const body = new ReadableStream({ cancel: () => void (isCancelled = true) });
  answer(new Response(body));
  await rig.clock.advance(0);
  assert(isCancelled);
});

test("followOperation asks nothing under a signal that has aborted, and lets go of the body", async () => {
  const rig = new OperationRig();
  let isCancelled = false;
  const body = new ReadableStream({ cancel: () => void (isCancelled = true) });
  const handle = followOperation(
    new Response(body, { status: 202, headers: { location: URL_1 } }),
    { fetch: rig.fetch, signal: AbortSignal.abort("dawn") },
  );
  assertEquals((await handle.done).error, "dawn");
  assertEquals(rig.asked, []);
  assert(isCancelled);
});

test("unsubscribe and disposing end the interest, once", async () => {
  const rig = new OperationRig();
  rig.on(URL_1, running);
  const handle = rig.follow(accepted);
  await rig.clock.advance(1500);
  await Promise.all([handle.unsubscribe(), handle.unsubscribe()]);
  await assertUnknown(handle, "The operation was left");
  assertEquals(rig.clock.pending, []);

  const other = rig.follow(accepted);
  other[Symbol.dispose]();
  await assertUnknown(other, "The operation was left");
  const third = rig.follow(accepted);
  await third[Symbol.asyncDispose]();
  assert(third.ended);

  rig.on(URL_1, { body: 1 });
  const ended = rig.follow(accepted);
  await rig.end(ended);
  await ended.unsubscribe();
  assertEquals((await ended.done).value, 1);
});

test("The updates begin with what is known and end with the end", async () => {
  const rig = new OperationRig();
  rig.on(URL_1, { body: { status: "a" } }, { body: { status: "a" } }, {
    body: { status: "b" },
  }, { body: { status: "failed" } });
  const handle = rig.follow(monitored);
  await rig.clock.advance(2500);
  const late = updatesOf(handle);
  await rig.end(handle);
  const stages = (await late).map(({ status, stage }) => `${status} ${stage}`);
  assertEquals(stages, ["running a", "running b", "failed failed"]);
  const after = await updatesOf(handle);
  assertEquals(after.map(({ status }) => status), ["failed"]);
  assertInstanceOf(after[0]?.error, OperationError);
});

test("The updates tell that asking works again", async () => {
  const rig = new OperationRig();
  const same = { body: { status: "a" } };
  rig.on(URL_1, same, busy, same, same);
  const handle = rig.follow(monitored, { retry: { delay: () => 1 } });
  await rig.clock.advance(1999);
  const updates = updatesOf(handle);
  await rig.clock.advance(5000);
  await handle.unsubscribe();
  const told = (await updates).map(({ stage, error }) =>
    `${stage} ${error instanceof Error ? error.name : error}`
  );
  assertEquals(told, [
    "a undefined",
    "a OperationError",
    "a undefined",
    "a AbortError",
  ]);
});

test("A result that is not the JSON it should be is asked for again", async () => {
  const rig = new OperationRig();
  const headers = { "content-type": "application/json" };
  rig.on(URL_1, { headers, body: '{"stars":' }, { body: { stars: 7 } });
  const handle = rig.follow(accepted);
  assertEquals((await rig.end(handle)).value, { stars: 7 });
  assertEquals(handle.counters.failed, 1);
});

test("serialize and followOperation go on where another process was", async () => {
  const rig = new OperationRig();
  const first = {
    status: 202,
    headers: { "operation-location": "/operations/1", location: RESULT },
  };
  rig.on(URL_1, { body: { status: "running" } });
  const before = rig.follow(first, {
    url: FIRST,
    method: "POST",
    headers: { authorization: "Bearer 1" },
  });
  assertThrows(() => before.serialize(), Error, "Cannot serialize");
  await before.ready;
  await rig.clock.advance(1500);
  const text = before.serialize();
  assert(!text.includes("Bearer"));
  await before.unsubscribe();
  assertEquals(before.serialize(), text);

  rig.on(URL_1, { body: { status: "Succeeded" } }).on(RESULT, { body: 7 });
  const after = rig.follow(text, { headers: { authorization: "Bearer 2" } });
  assertEquals(after.url, URL_1);
  assertEquals(after.shape, "status");
  const time = rig.clock.now();
  assertEquals((await rig.end(after)).value, 7);
  assertEquals(
    rig.asked.slice(-2).map(({ time, headers }) => [
      time,
      headers.authorization,
    ]),
    [[time, "Bearer 2"], [time, "Bearer 2"]],
  );
});

test("serialize keeps what it takes to end, for every form", async () => {
  const cases = [
    [{ status: 202, headers: { location: URL_1 } }, { body: 1 }],
    [{ body: { name: "operations/1" } }, {
      body: { name: "operations/1", done: true, response: 1 },
    }],
    [{ status: 201, headers: { "operation-location": URL_1 } }, {
      body: { status: "done", resourceLocation: "/r" },
    }],
  ];
  for (const [first = {}, last = {}] of cases) {
    const rig = new OperationRig();
    rig.on(URL_1, last).on("https://lab.example/r", { body: 1 });
    const before = rig.follow(first, { url: FIRST });
    await before.ready;
    const after = rig.follow(before.serialize());
    assertEquals((await rig.end(after)).value, 1);
    assertEquals(await before.done, await after.done);
  }
});

test("Headers go to the origin of the first request and to no other", async () => {
  const rig = new OperationRig();
  const elsewhere = "https://elsewhere.example/1";
  const logger = new RecordingLogger();
  rig.on(URL_1, running, {
    status: 202,
    headers: { location: elsewhere },
  });
  rig.on(elsewhere, running, { status: 303, headers: { location: RESULT } });
  rig.on(RESULT, { body: 1 });
  const headers = { authorization: "Bearer 1", "x-api-key": "2" };
  const handle = rig.follow(accepted, { url: FIRST, headers, logger });
  assertEquals((await rig.end(handle)).value, 1);
  assertEquals(
    rig.asked.map(({ url, headers }) => [
      url,
      headers.authorization,
      headers["x-api-key"],
    ]),
    [
      [URL_1, "Bearer 1", "2"],
      [URL_1, "Bearer 1", "2"],
      [elsewhere, undefined, undefined],
      [elsewhere, undefined, undefined],
      [RESULT, "Bearer 1", "2"],
    ],
  );
  assertEquals(logger.lines, [
    "warn No headers are sent to https://elsewhere.example, which is not in trustedOrigins",
  ]);

  const other = new OperationRig().on(elsewhere, { body: 1 });
  await other.end(other.follow({
    status: 202,
    headers: { location: elsewhere },
  }, { url: FIRST, headers, trustedOrigins: ["https://elsewhere.example/x"] }));
  assertEquals(other.asked[0]?.headers.authorization, "Bearer 1");
});

test("A response that was redirected makes its origin no trusted one", async () => {
  const elsewhere = "https://other.example/deep/scans";
  const monitor = "https://other.example/deep/operations/1";
  const asked = async (options: FollowOperationOptions): Promise<unknown[]> => {
    const rig = new OperationRig();
    rig.on(monitor, { body: {} });
    const response = responseOf({
      status: 202,
      headers: { location: "operations/1" },
    });
    Object.defineProperties(response, {
      url: { value: elsewhere },
      redirected: { value: true },
    });
    const { fetch, clock } = rig;
    const logger = new RecordingLogger();
    const headers = { authorization: "secret" };
    const handle = followOperation(response, {
      ...{ fetch, clock, logger, headers },
      ...options,
    });
    await rig.end(handle);
    return rig.asked.map(({ url, headers }) => [url, headers.authorization]);
  };
  assertEquals(await asked({}), [[monitor, undefined]]);
  assertEquals(await asked({ url: FIRST }), [[monitor, undefined]]);
  const trustedOrigins = [elsewhere];
  assertEquals(await asked({ trustedOrigins }), [[monitor, "secret"]]);
  assertEquals(await asked({ url: elsewhere }), [[monitor, "secret"]]);
});

test("Headers are asked for anew, and once more when they have gone stale", async () => {
  const rig = new OperationRig();
  rig.on(URL_1, running, { status: 401 }, running, { status: 401 });
  let token = 0;
  const handle = rig.follow(accepted, {
    url: FIRST,
    headers: async () => {
      await undefined;
      return { authorization: `Bearer ${++token}` };
    },
  });
  await rig.clock.runAll();
  await assertUnknown(handle, `${URL_1} has answered with 401`);
  assertEquals(rig.asked.map(({ headers }) => headers.authorization), [
    "Bearer 1",
    "Bearer 2",
    "Bearer 3",
    "Bearer 4",
    "Bearer 5",
  ]);
});

test("Headers that cannot be had are a failure of asking", async () => {
  const rig = new OperationRig().on(URL_1, { body: 1 });
  let calls = 0;
  const handle = rig.follow(URL_1, {
    headers: () => {
      if (++calls < 3) throw new Error("no token");
      return {};
    },
  });
  assertEquals((await rig.end(handle)).value, 1);
  assertEquals(handle.counters.failed, 2);
});

test("Addresses that are none of the web are not asked", async () => {
  for (
    const location of [
      "file:///etc/passwd",
      "data:text/plain,1",
      "https://me:secret@lab.example/",
      "http://",
    ]
  ) {
    for (const name of ["location", "operation-location"]) {
      const rig = new OperationRig();
      const handle = rig.follow(
        { status: 202, headers: { [name]: location } },
        {
          url: FIRST,
        },
      );
      assertEquals((await rig.end(handle)).status, "unknown");
      assertEquals(rig.asked, []);
    }
    const rig = new OperationRig();
    rig.on(URL_1, { status: 302, headers: { location } });
    assertEquals((await rig.end(rig.follow(accepted))).status, "unknown");
    assertEquals(rig.asked.length, 1);
  }
});

test("Redirects that do not end are no answer", async () => {
  const rig = new OperationRig();
  rig.on(URL_1, { status: 307, headers: { location: URL_1 } });
  const handle = rig.follow(accepted);
  await rig.clock.runAll();
  await assertUnknown(handle, `${URL_1} redirects more than 10 times`);
});

test("A body that is too long is not read", async () => {
  const rig = new OperationRig();
  let isCancelled = false;
  const endless = () =>
    Promise.resolve(
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(600)),
          cancel: () => void (isCancelled = true),
        }),
      ),
    );
  rig.on(URL_1, endless);
  const handle = rig.follow(accepted, { maxBody: 1000 });
  await rig.clock.runAll();
  assertEquals((await handle.done).status, "unknown");
  assert((await handle.done).message.endsWith("has more than 1000 bytes"));
  assert(isCancelled);
  assertEquals(rig.asked.length, 1);
});

test("A result is what its content type says", async () => {
  const cases: [type: string, text: string, value: unknown][] = [
    ["application/json; charset=utf-8", '{"a":1}', { a: 1 }],
    ["application/vnd.lab+json", "[1]", [1]],
    ["text/plain", "[1]", "[1]"],
    ["image/fits", "[1]", new TextEncoder().encode("[1]")],
  ];
  for (const [type, text, value] of cases) {
    const rig = new OperationRig();
    rig.on(URL_1, { headers: { "content-type": type }, body: text });
    assertEquals((await rig.end(rig.follow(accepted))).value, value);
  }
});

test("parse makes a typed value, and what it throws is not the operation's fault", async () => {
  const rig = new OperationRig().on(URL_1, { body: { stars: 7 } });
  const handle = rig.follow(accepted, {
    parse: (value, { status }) =>
      Promise.resolve((value as { stars: number }).stars + status),
  });
  assertEquals((await rig.end(handle)).value, 207);

  const fault = new Error("no stars");
  const other = rig.follow(accepted, {
    parse: () => {
      throw fault;
    },
  });
  await rig.clock.runAll();
  const error = await assertUnknown(
    other,
    "The operation has succeeded, but its result could not be parsed: no stars",
  );
  assertStrictEquals((error as Error).cause, fault);
});

test("A result that cannot be had is unknown, and says that the operation went well", async () => {
  const rig = new OperationRig();
  rig.on(URL_1, { body: { status: "Succeeded", resourceLocation: "/r" } });
  rig.on("https://lab.example/r", { status: 404 }, { status: 403 });
  const handle = rig.follow(monitored);
  await rig.clock.runAll();
  await assertUnknown(
    handle,
    "The operation has succeeded, but its result could not be read: " +
      "https://lab.example/r has answered with 403",
  );
  assertEquals(handle.stage, "Succeeded");
  assertEquals(rig.asked.length, 3);
});

test("cancel asks the server where it says how", async () => {
  const name = "operations/1";
  const rig = new OperationRig();
  rig.on(URL_1, { body: { name } });
  rig.on(`${URL_1}:cancel`, { status: 200, body: {} }, { status: 501 });
  const handle = rig.follow({ body: { name } }, { url: FIRST });
  const asked = rig.asked.length;
  for (const options of [null, { signal: "now" }] as unknown[]) {
    await assertRejects(
      () => handle.cancel(options as { signal: AbortSignal }),
      TypeError,
      "Cannot cancel operation as",
    );
  }
  assertEquals(rig.asked.length, asked);
  assertEquals(await handle.cancel(), true);
  assertEquals(rig.asked.at(-1)?.method, "POST");
  assertEquals(await handle.cancel(), false);
  rig.on(URL_1, { body: { name, done: true, error: { code: 1 } } });
  assertEquals((await rig.end(handle)).status, "canceled");
  assertEquals(await handle.cancel(), false);

  rig.on(URL_1, running);
  const other = rig.follow(accepted);
  assertEquals(await other.cancel(), false);
  await other.unsubscribe();

  rig.on(URL_1, { body: { name } });
  rig.on(`${URL_1}:cancel`, () => new Promise(() => {}));
  const hung = rig.follow({ body: { name } }, { url: FIRST });
  const controller = new CountingController();
  const asking = hung.cancel({ signal: controller.signal });
  await rig.clock.advance(0);
  controller.abort("enough");
  assertEquals(await asking.catch((reason) => reason), "enough");
  assertEquals(controller.listeners, 0);
  const again = hung.cancel();
  await rig.clock.advance(0);
  await hung.unsubscribe();
  await assertRejects(() => again, DOMException, "The operation was left");
});

test("A response whose body was read is followed by its headers", async () => {
  const rig = new OperationRig().on(URL_1, { body: 1 });
  const { clock, fetch } = rig;
  const response = responseOf({ ...accepted, body: "x" });
  await response.text();
  const handle = followOperation(response, { clock, fetch });
  assertEquals((await rig.end(handle)).value, 1);
});

test("A first answer that breaks off is followed by its headers, or unknown", async () => {
  const broken = (headers: Record<string, string>): Response =>
    new Response(
      new ReadableStream({ pull: (controller) => controller.error("cut") }),
      { status: 202, headers },
    );
  const rig = new OperationRig().on(URL_1, { body: 1 });
  const { clock, fetch } = rig;
  const handle = followOperation(broken({ location: URL_1 }), { clock, fetch });
  assertEquals((await rig.end(handle)).value, 1);
  const lost = followOperation(broken({}), { clock, fetch });
  const error = await assertUnknown(
    lost,
    "The operation may have begun, but its first answer cannot be read",
  );
  assertEquals((error as Error).cause, "cut");
});

test("Policies that fail or make no sense are taken for a minute", async () => {
  for (
    const bad of [() => NaN, () => -1, (): number => {
      throw new Error("policy");
    }]
  ) {
    const rig = new OperationRig().on(URL_1, running, { body: 1 });
    const logger = new RecordingLogger();
    const handle = rig.follow(accepted, { interval: { delay: bad }, logger });
    await rig.end(handle);
    assertEquals(rig.times.map(([, time]) => time), [60_000, 120_000]);
  }
});

test("Nothing is left behind, and no rejection is unhandled", async () => {
  const app = new CountingController();
  const manual = new ManualClock();
  const clock = new CountingClock(manual);
  const reasons = await unhandledDuring(async () => {
    const rig = new OperationRig();
    rig.on(URL_1, new TypeError("network"), running, busy, { body: 1 });
    for (let n = 0; n < 20; n++) {
      followOperation(responseOf(accepted), {
        fetch: rig.fetch,
        clock,
        signal: app.signal,
        timeout: 100_000,
        ...(n % 2 === 0
          ? { headers: () => Promise.reject("no token"), url: FIRST }
          : {}),
      });
    }
    await manual.runAll();
  });
  assertEquals(reasons, []);
  assertEquals(app.listeners, 0);
  assertEquals(app.most, 1);
  assertEquals(clock.timers, 0);
});

test("followOperation checks its arguments first", () => {
  const { fetch } = new OperationRig();
  const response = responseOf(accepted);
  const cases: [options: Record<string, unknown>, message: string][] = [
    [{ signal: 1 }, "'signal' must be an AbortSignal"],
    [{ clock: {} }, "'clock' must be a Clock"],
    [{ fetch: 1 }, "'fetch' must be a function"],
    [{ headers: "a" }, "'headers' must be headers or a function"],
    [{ headers: {} }, "'url' must be given with headers"],
    [{ trustedOrigins: ["x:"] }, "'trustedOrigins' must be an address"],
    [{ trustedOrigins: 1 }, "'trustedOrigins' must be an iterable"],
    [{ url: "file:///x" }, "'url' must be an address of the web"],
    [{ method: 1 }, "'method' must be a string"],
    [{ shape: "odd" }, "'shape' must be"],
    [{ final: "odd" }, "'final' must be"],
    [{ urlOf: 1 }, "'urlOf' must be a function"],
    [{ interval: 0 }, "'interval' must be a positive finite number"],
    [{ interval: {} }, "'interval' must be a number or a RestartPolicy"],
    [{ retry: 1 }, "'retry' must be a RestartPolicy"],
    [{ shortestRetryAfter: -1 }, "'shortestRetryAfter' must be"],
    [{ longestRetryAfter: NaN }, "'longestRetryAfter' must be"],
    [{ timeout: -1 }, "'timeout' must be a non-negative number"],
    [{ requestTimeout: 0 }, "'requestTimeout' must be a positive number"],
    [{ maxBody: 0 }, "'maxBody' must be"],
    [{ parse: 1 }, "'parse' must be a function"],
    [{ dateNow: 1 }, "'dateNow' must be a function"],
  ];
  for (const [options, message] of cases) {
    assertThrows(
      () => followOperation(response, { fetch, ...options }),
      Error,
      `Cannot follow operation as ${message}`,
    );
  }
  for (
    const from of [
      1,
      null,
      "",
      "not an address",
      "file:///x",
      "{",
      "{}",
      '{"operation":1,"url":"file:///x","origins":[],"hasMade":false}',
      '{"operation":2,"url":"https://x.example","origins":[],"hasMade":false}',
    ]
  ) {
    assertThrows(
      () => followOperation(from as string, { fetch }),
      TypeError,
      "Cannot follow operation as 'from' must be",
      String(from),
    );
  }
  assertEquals(response.bodyUsed, false);
});
