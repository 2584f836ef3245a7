// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { backoff } from "../backoff.ts";
import type { OperationShape } from "../follow_operation.ts";
import { CountingController } from "./_listeners.ts";
import { type Answer, OperationRig, updatesOf } from "./_operation_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const MONITOR = "https://lab.example/operations/1";
const FIRST = "https://lab.example/things/1";
const VALUE = { stars: 7 };
const FAULTS_IN_A_ROW = 3;

type End = "succeeded" | "failed" | "canceled";
type Fault = "network" | "busy" | "throttled" | "garbage" | "hang" | "stall";
type Step = "running" | Fault;

const hang = () => new Promise<never>(() => {});

const FAULTS: Readonly<Record<Fault, Answer>> = {
  network: new TypeError("network"),
  busy: { status: 502, body: { status: "Failed" } },
  throttled: { status: 429, headers: { "retry-after": "2" } },
  garbage: {
    status: 500,
    headers: { "content-type": "application/json" },
    body: "{",
  },
  hang,
  stall: () =>
    Promise.resolve(new Response(new ReadableStream({ pull: hang }))),
};

const WORDS: Readonly<Record<End, string>> = {
  succeeded: "Succeeded",
  failed: "Failed",
  canceled: "Canceled",
};

/** What a server says in one of the forms. */
const FORMS: Readonly<
  Record<OperationShape, {
    first: Exclude<Answer, Error>;
    at: string;
    running: Answer;
    end: (end: End) => Answer;
  }>
> = {
  status: {
    first: { status: 202, headers: { "operation-location": MONITOR } },
    at: MONITOR,
    running: { body: { status: "Odd", percentComplete: 5 } },
    end: (end) => ({ body: { status: WORDS[end], result: VALUE } }),
  },
  location: {
    first: { status: 202, headers: { location: MONITOR } },
    at: MONITOR,
    running: { status: 202 },
    end: (end) =>
      end === "succeeded"
        ? { body: VALUE }
        : end === "failed"
        ? { status: 409 }
        : { body: { status: "cancelled" } },
  },
  "aip-151": {
    first: { body: { name: "operations/1" } },
    at: MONITOR,
    running: { body: { name: "operations/1", metadata: { progress: 5 } } },
    end: (end) => ({
      body: {
        name: "operations/1",
        done: true,
        ...(end === "succeeded"
          ? { response: VALUE }
          : { error: { code: end === "canceled" ? 1 : 2, message: "Why" } }),
      },
    }),
  },
  resource: {
    first: { body: { provisioningState: "Creating" } },
    at: FIRST,
    running: { body: { provisioningState: "Odd" } },
    end: (end) => ({ body: { ...VALUE, provisioningState: WORDS[end] } }),
  },
};

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<Step>("running") },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Step>(...Object.keys(FAULTS) as Fault[]),
    },
  ),
  { maxLength: 12 },
);

/** Whether the faults are too many to go on. */
function isTooMuch(all: readonly Step[]): boolean {
  let inARow = 0;
  for (const step of all) {
    if (step === "running") inARow = 0;
    else if (step !== "throttled" && ++inARow > FAULTS_IN_A_ROW) return true;
  }
  return false;
}

test("An operation ends as it has ended, or unknown, whatever comes between", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(FORMS) as OperationShape[]),
      steps,
      fc.constantFrom<End>("succeeded", "failed", "canceled"),
      fc.option(fc.nat(60_000), { nil: undefined }),
      fc.option(fc.nat(60_000), { nil: undefined }),
      fc.boolean(),
      async (shape, all, end, timeout, abortAt, isResumed) => {
        const form = FORMS[shape];
        const rig = new OperationRig();
        rig.on(
          form.at,
          ...all.map((step) =>
            step === "running" ? form.running : FAULTS[step]
          ),
          form.end(end),
        );
        const app = new CountingController();
        const { clock } = rig;
        const options = {
          url: FIRST,
          signal: app.signal,
          requestTimeout: 1000,
          retry: backoff({ initial: 50, limit: FAULTS_IN_A_ROW, jitter: 0.5 }),
        };
        let handle = rig.follow(form.first, options);
        await handle.ready;
        if (isResumed) {
          const text = handle.serialize();
          await handle.unsubscribe();
          handle = rig.follow(text, {
            ...options,
            ...(timeout === undefined ? {} : { timeout }),
          });
        }
        const updates = updatesOf(handle);
        if (abortAt !== undefined) {
          clock.setTimer(() => app.abort("dawn"), abortAt);
        }
        await clock.runAll();

        const result = await handle.done;
        assertEquals(handle.ended, true);
        assertEquals((await updates).at(-1)?.status, result.status);
        if (result.status === "unknown") {
          const isCut = result.error === "dawn" ||
            (isResumed && timeout !== undefined &&
              result.error instanceof DOMException &&
              result.error.name === "TimeoutError");
          assert(isCut || isTooMuch(all), String(result.error));
        } else {
          assertEquals(result.status, end);
          assert(!isTooMuch(all));
        }
        if (result.status === "succeeded") {
          assertEquals((result.value as typeof VALUE).stars, VALUE.stars);
        } else {
          assertEquals(result.value, undefined);
          assert(result.message !== "");
        }
        assertEquals(clock.pending, []);
        assertEquals(app.listeners, 0);
        assert(app.most <= 1);
      },
    ),
    { numRuns: 300 },
  );
});

const json: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 3 });

const odd: fc.Arbitrary<Exclude<Answer, Error>> = fc.record({
  status: fc.constantFrom(
    200,
    201,
    202,
    204,
    302,
    303,
    304,
    400,
    404,
    429,
    503,
  ),
  headers: fc.dictionary(
    fc.constantFrom(
      "location",
      "operation-location",
      "azure-asyncoperation",
      "retry-after",
      "content-type",
      "date",
    ),
    fc.constantFrom(
      MONITOR,
      FIRST,
      "/x",
      "file:///x",
      "://",
      "3",
      "Sun, 06 Nov 1994 08:49:37 GMT",
      "application/json",
    ),
  ),
  body: fc.oneof(
    json,
    fc.record({
      name: fc.oneof(json, fc.constant("operations/1")),
      done: fc.oneof(json, fc.boolean()),
      status: fc.oneof(json, fc.constantFrom("Running", "Succeeded", "Failed")),
      error: json,
      metadata: json,
      properties: json,
      provisioningState: fc.oneof(json, fc.constantFrom("Creating")),
      resourceLocation: fc.oneof(json, fc.constantFrom("/x", MONITOR)),
      selfLink: json,
      kind: fc.constantFrom("compute#operation"),
    }, { requiredKeys: [] }),
  ).map((body) => typeof body === "string" ? `"${body}"` : body),
});

test("Whatever a server answers, the handle ends and nothing is left", async () => {
  const reasons = await unhandledDuring(async () => {
    await fc.assert(
      fc.asyncProperty(
        odd,
        fc.array(odd, { maxLength: 5 }),
        async (first, rest) => {
          const rig = new OperationRig();
          for (const url of [MONITOR, FIRST, "https://lab.example/x"]) {
            rig.on(url, ...rest, { status: 404 });
          }
          const app = new CountingController();
          const handle = rig.follow(first, {
            url: FIRST,
            signal: app.signal,
            timeout: 100_000,
            headers: { authorization: "Bearer 1" },
          });
          await rig.clock.runAll();
          const { status, error, message } = await handle.done;
          assertEquals(status === "succeeded", error === undefined);
          assertEquals(status === "succeeded", message === "");
          assertEquals(handle.ended, true);
          assertEquals(rig.clock.pending, []);
          assertEquals(app.listeners, 0);
          assert(rig.asked.every(({ url }) => url.startsWith("https://lab.")));
        },
      ),
      { numRuns: 500 },
    );
  });
  assertEquals(reasons, []);
});
