// Copyright 2026 the Longrun authors. MIT license.

/** Operations of real servers, over the network. */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { backoff } from "../backoff.ts";
import { followOperation, type OperationHandle } from "../follow_operation.ts";
import { CountingController } from "./_listeners.ts";
import { OperationServer } from "./_operation_server.ts";

const quick = {
  interval: 5,
  shortestRetryAfter: 5,
  longestRetryAfter: 20,
  retry: backoff({ initial: 5, limit: 5 }),
  timeout: 20_000,
};

async function withServer(
  use: (server: OperationServer) => Promise<void>,
): Promise<void> {
  const server = await OperationServer.start();
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

test("An operation is followed over HTTP, through faults and redirects", async () => {
  await withServer(async (server) => {
    server.on("/scans", {
      status: 202,
      headers: { location: "/operations/1", "retry-after": "1" },
    });
    server.on(
      "/operations/1",
      { status: 202 },
      "drop",
      { status: 503, headers: { "retry-after": "1" } },
      { status: 202, headers: { "retry-after": new Date().toUTCString() } },
      { status: 303, headers: { location: "/results/1" } },
    );
    server.on("/results/1", { body: { stars: 7 } });
    const headers = { authorization: "Bearer 1" };
    const response = await fetch(server.url("/scans"), {
      method: "POST",
      headers,
    });
    const handle = followOperation(response, { ...quick, headers });
    const { status, value, response: last } = await handle.done;
    assertEquals(status, "succeeded");
    assertEquals(value, { stars: 7 });
    assertEquals(last?.url, server.url("/results/1"));
    assert(
      server.received.every(({ authorization }) =>
        authorization === "Bearer 1"
      ),
    );
  });
});

test("Headers do not follow a redirect to another origin over HTTP", async () => {
  await withServer(async (server) => {
    await withServer(async (other) => {
      server.on("/operations/1", {
        status: 307,
        headers: { location: other.url("/elsewhere") },
      });
      other.on("/elsewhere", { body: 7 });
      const handle = followOperation(server.url("/operations/1"), {
        ...quick,
        headers: { authorization: "Bearer 1" },
      });
      assertEquals((await handle.done).value, 7);
      assertEquals(server.received[0]?.authorization, "Bearer 1");
      assertEquals(other.received[0]?.authorization, undefined);
    });
  });
});

test("An operation of AIP-151 is cancelled over HTTP", async () => {
  await withServer(async (server) => {
    const name = "operations/1";
    server.on("/v1/scans", { body: { name } });
    server.on("/v1/operations/1", { body: { name } });
    server.on("/v1/operations/1:cancel", { body: {} });
    const response = await fetch(server.url("/v1/scans"), { method: "POST" });
    const handle = followOperation(response, quick);
    assertEquals(await handle.cancel(), true);
    assertEquals(
      server.received.filter(({ path }) => path.endsWith(":cancel")),
      [{
        method: "POST",
        path: "/v1/operations/1:cancel",
        authorization: undefined,
      }],
    );
    server.on("/v1/operations/1", {
      body: { name, done: true, error: { code: 1, message: "Cancelled" } },
    });
    assertEquals((await handle.done).status, "canceled");
  });
});

test("A stalled answer is given up, and a signal ends one at once", async () => {
  await withServer(async (server) => {
    server.on("/operations/1", "stall", { body: { status: "done" } });
    const handle = followOperation(server.url("/operations/1"), {
      ...quick,
      requestTimeout: 200,
    });
    assertEquals((await handle.done).status, "succeeded");
    assert(handle.counters.failed >= 1);

    server.on("/operations/2", "stall");
    const app = new CountingController();
    const handles: OperationHandle[] = [];
    for (let n = 0; n < 5; n++) {
      handles.push(followOperation(server.url("/operations/2"), {
        ...quick,
        signal: app.signal,
      }));
    }
    const isSecond = ({ path }: { path: string }) => path === "/operations/2";
    while (server.received.filter(isSecond).length < 5) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    app.abort("dawn");
    for (const { done } of handles) assertEquals((await done).error, "dawn");
    assertEquals(app.listeners, 0);
    assertEquals(app.most, 1);
  });
});

test("A server that is gone is unknown after the retries", async () => {
  const server = await OperationServer.start();
  const url = server.url("/operations/1");
  await server.stop();
  const handle = followOperation(url, quick);
  const { status, message } = await handle.done;
  assertEquals(status, "unknown");
  assert(message.startsWith("Asking has failed 6 times in a row"), message);
});
