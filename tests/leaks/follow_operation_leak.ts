// Copyright 2026 the Longrun authors. MIT license.

import { followOperation } from "../../follow_operation.ts";
import { backoff } from "../../backoff.ts";
import { CountingController } from "../_listeners.ts";
import { check, checkEnd, checkNone, inRounds } from "./_watch.ts";

const COUNT = 2000;
const checkRounds = inRounds(COUNT, 100);

const app = new CountingController();
const { signal } = app;
const headers = { "operation-location": "https://lab.example/operations/1" };
const accepted = (): Response => new Response(null, { status: 202, headers });
const retry = backoff({ initial: 0, limit: 3 });
const interval = { delay: () => 0 };

let asked = 0;
const fetch = (): Promise<Response> => {
  switch (asked++ % 3) {
    case 0:
      return Promise.resolve(Response.json({ status: "running" }));
    case 1:
      return Promise.reject(new TypeError("network"));
    default:
      return Promise.resolve(Response.json({ status: "succeeded" }));
  }
};

let bodies = 0;
const stall = (): Promise<Response> => {
  bodies++;
  const body = new ReadableStream({
    pull: () => new Promise<void>(() => {}),
    cancel: () => void bodies--,
  });
  return Promise.resolve(new Response(body));
};

await checkRounds("operations to their end", async () => {
  for (let n = 0; n < COUNT; n += 100) {
    const handles = Array.from(
      { length: 100 },
      () =>
        followOperation(accepted(), {
          fetch,
          interval,
          retry,
          signal,
          timeout: 60_000,
        }),
    );
    await Promise.all(handles.map(({ done }) => done));
  }
});
checkNone("operations to their end, listeners", app.listeners);
check("operations, listeners at a time", app.most === 1, `${app.most}`);

await checkRounds("operations that were left", async () => {
  for (let n = 0; n < COUNT; n++) {
    const handle = followOperation(accepted(), { fetch, signal, timeout: 1e6 });
    await handle.unsubscribe();
  }
});
checkNone("operations that were left, listeners", app.listeners);

await checkRounds("operations left in a body that stalls", async () => {
  for (let n = 0; n < COUNT; n += 100) {
    const handles = Array.from({ length: 100 }, () => {
      const handle = followOperation("https://lab.example/operations/1", {
        fetch: stall,
        signal,
      });
      return handle;
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
    await Promise.all(handles.map((handle) => handle.unsubscribe()));
  }
});
checkNone("operations left in a body that stalls, listeners", app.listeners);
checkNone("operations left in a body that stalls, bodies", bodies);

await checkRounds("iterators of one operation that are left", async () => {
  const handle = followOperation(accepted(), { fetch, signal, interval: 1e6 });
  for (let n = 0; n < COUNT; n++) {
    const iterator = handle[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return?.();
  }
  await handle.unsubscribe();
});
checkNone("iterators, listeners", app.listeners);

checkEnd();
