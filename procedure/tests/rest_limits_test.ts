// Copyright 2026 the Longrun authors. MIT license.

import { ManualClock } from "@longrun/tasks/testing";
import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { RestRig } from "./_rest_rig.ts";

const json = {
  script: { script_type: "filesystem", script_uri: "file:///a.ts" },
};

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("A service that does not answer is 504, and what it does goes on", async () => {
  for (const compat of [false, true]) {
    const clock = new ManualClock();
    await using rig = new RestRig({ clock, compat });
    const gate = Promise.withResolvers<void>();
    rig.procedures.gate = gate.promise;
    const answer = rig.ask("/procedures", { json });
    await new Promise((resolve) => setTimeout(resolve));
    await clock.advance(30_000);
    const response = await answer;
    assertEquals(response.status, 504);
    const { detail } = await response.json();
    assertEquals(
      detail,
      compat
        ? "Timeout waiting for msg"
        : "The service did not answer within 30000 ms",
    );
    assertEquals(rig.procedures.prepared.length, 0);
    gate.resolve();
    await settle();
    assertEquals(rig.procedures.prepared.length, 1);
    assertEquals(clock.pending.length, 0);
    assertEquals(rig.logger.lines, []);
  }
});

test("A failure that comes after the timeout is nobody's", async () => {
  const clock = new ManualClock();
  await using rig = new RestRig({ clock });
  const gate = Promise.withResolvers<void>();
  rig.procedures.gate = gate.promise;
  const answer = rig.ask("/procedures", { json });
  await new Promise((resolve) => setTimeout(resolve));
  await clock.advance(30_000);
  assertEquals((await answer).status, 504);
  gate.reject(new Error("late"));
  await settle();
});

test("A body that does not come is 408", async () => {
  const clock = new ManualClock();
  await using rig = new RestRig({ clock, requestTimeout: 1000 });
  let isLeft = false;
  const body = new ReadableStream<Uint8Array>({
    cancel: () => void (isLeft = true),
  });
  const headers = { "content-type": "application/json" };
  const answer = rig.ask("/procedures", { method: "POST", headers, body });
  await new Promise((resolve) => setTimeout(resolve));
  await clock.advance(1000);
  assertEquals((await answer).status, 408);
  assert(isLeft);
});

test("authorize and the page may not hang either", async () => {
  const clock = new ManualClock();
  const never = () => new Promise<never>(() => {});
  await using rig = new RestRig({ clock, authorize: never, page: never });
  const answers = [rig.ask("/procedures"), rig.ask("http://localhost/ui")];
  await settle();
  await clock.advance(30_000);
  for (const answer of answers) assertEquals((await answer).status, 504);
  assertEquals(rig.api.requests, 0);
});

test("What nobody waits for any more is not begun", async () => {
  const clock = new ManualClock();
  const gate = Promise.withResolvers<boolean>();
  let asked = 0;
  await using rig = new RestRig({
    clock,
    authorize: (_, scope) => scope === "run" && (++asked < 3 || gate.promise),
  });
  await rig.prepare();
  const answer = rig.ask("/procedures/1", {
    method: "PUT",
    json: { state: "RUNNING" },
  });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(asked, 3);
  await clock.advance(30_000);
  assertEquals((await answer).status, 504);
  gate.resolve(true);
  await settle();
  assertEquals(rig.procedures.started, []);
});

test("Whoever goes ends the wait, not the work", async () => {
  await using rig = new RestRig();
  const gate = Promise.withResolvers<void>();
  rig.procedures.gate = gate.promise;
  const controller = new AbortController();
  const { signal } = controller;
  const answer = rig.ask("/procedures", { json, signal });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(rig.api.requests, 1);
  controller.abort();
  assertEquals((await answer).status, 503);
  assertEquals(rig.api.requests, 0);
  gate.resolve();
  await settle();
  assertEquals(rig.procedures.prepared.length, 1);
  assertEquals(rig.logger.lines, []);
});

test("Whoever has left Deno's server ends the wait, too", async () => {
  await using rig = new RestRig();
  const gate = Promise.withResolvers<void>();
  rig.procedures.gate = gate.promise;
  const left = Promise.withResolvers<void>();
  left.promise.catch(() => {});
  const info = { completed: left.promise };
  const answer = rig.ask("/procedures", { json }, info);
  await new Promise((resolve) => setTimeout(resolve));
  left.reject(new Error("gone"));
  assertEquals((await answer).status, 503);
  gate.resolve();
});

test("Closing ends the requests that wait, and refuses others", async () => {
  const rig = new RestRig();
  rig.procedures.gate = new Promise(() => {});
  const answer = rig.ask("/procedures", { json });
  await new Promise((resolve) => setTimeout(resolve));
  await rig.api.close();
  const response = await answer;
  assertEquals(response.status, 503);
  assertEquals((await response.json()).code, "closed");
  const late = await rig.ask("/health");
  assertEquals(late.status, 503);
  assertEquals(late.headers.get("retry-after"), "1");
  await rig.api.close();
  assertEquals(rig.api.requests, 0);
});

test("A logger that throws harms nobody", async () => {
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error() {
      throw new Error("full");
    },
  };
  await using rig = new RestRig({ logger });
  rig.procedures.failure = new Error("secret");
  const { error } = console;
  console.error = () => {};
  try {
    assertEquals((await rig.ask("/procedures", { json })).status, 500);
  } finally {
    console.error = error;
  }
});
