// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { MainStarter, type Startable } from "../_main_starter.ts";
import { ProcedureError } from "../procedure_errors.ts";
import { settle } from "./_fake_pool.ts";

/** One whose start ends when the test says so. */
class One implements Startable {
  isWaiting = true;
  starts: PromiseWithResolvers<void>[] = [];
  errors: unknown[] = [];

  async start(): Promise<void> {
    const starting = Promise.withResolvers<void>();
    this.starts.push(starting);
    await starting.promise;
    this.isWaiting = false;
  }

  fail(error: unknown): void {
    this.isWaiting = false;
    this.errors.push(error);
  }
}

const refusal = () => new ProcedureError("another-running", "Another runs");

test("MainStarter starts one after the other, in their order", async () => {
  const starter = new MainStarter();
  const [first, second] = [new One(), new One()];
  for (const one of [first, second, first]) starter.add(one);
  assertEquals(first.starts.length, 0);
  await settle();
  assertEquals([first.starts.length, second.starts.length], [1, 0]);
  first.starts[0]?.resolve();
  await settle();
  second.starts[0]?.resolve();
  await settle();
  assertEquals([first.starts.length, second.starts.length], [1, 1]);
});

test("MainStarter tries one that was refused again when it is told to", async () => {
  const starter = new MainStarter();
  const [first, second] = [new One(), new One()];
  for (const one of [first, second]) starter.add(one);
  await settle();
  first.starts[0]?.reject(refusal());
  await settle();
  assertEquals([first.starts.length, second.starts.length], [1, 0]);
  starter.tryAgain();
  await settle();
  starter.tryAgain();
  first.starts[1]?.reject(refusal());
  await settle();
  assertEquals(first.starts.length, 3);
  first.starts[2]?.resolve();
  await settle();
  assertEquals(second.starts.length, 1);
  assertEquals(first.errors, []);
});

test("MainStarter goes on when one that was refused waits no more", async () => {
  const starter = new MainStarter();
  const [first, second] = [new One(), new One()];
  for (const one of [first, second]) starter.add(one);
  await settle();
  first.isWaiting = false;
  first.starts[0]?.reject(refusal());
  await settle();
  assertEquals(second.starts.length, 1);
});

test("MainStarter goes on when one could not be started", async () => {
  const starter = new MainStarter();
  const [first, second] = [new One(), new One()];
  for (const one of [first, second]) starter.add(one);
  await settle();
  const error = new Error("no such function");
  first.starts[0]?.reject(error);
  await settle();
  assertEquals(first.errors, [error]);
  assertEquals(second.starts.length, 1);
});

test("MainStarter starts what came after it was cleared", async () => {
  const starter = new MainStarter();
  const [first, second, third] = [new One(), new One(), new One()];
  for (const one of [first, second]) starter.add(one);
  await settle();
  starter.clear();
  starter.add(third);
  first.starts[0]?.resolve();
  await settle();
  assertEquals([second.starts.length, third.starts.length], [0, 1]);
});
