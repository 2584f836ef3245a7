// Copyright 2026 the Longrun authors. MIT license.

import { call, JobExecutor, parallel, runJob, sequential } from "../../job.ts";
import { CountingController } from "../_listeners.ts";
import { check, checkEnd, checkNone, heap, inRounds } from "./_watch.ts";

const COUNT = 10_000;
const checkRounds = inRounds(COUNT, 30);

const app = new CountingController();
const { signal } = app;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const executor = new JobExecutor({ signal, limit: 10, logger: silent });
const nothing = call(() => {});
const scan = sequential(nothing, parallel([nothing, nothing], { limit: 1 }));

function checkLeft(name: string): void {
  checkNone(`${name}, jobs`, executor.size);
  checkNone(`${name}, calls`, executor.running);
  checkNone(`${name}, listeners`, app.listeners);
}

await checkRounds("jobs on one signal", async () => {
  for (let n = 0; n < COUNT; n++) await runJob(scan, { signal });
});
checkLeft("jobs on one signal");

await checkRounds("jobs of one executor", async () => {
  for (let n = 0; n < COUNT; n++) executor.submit(scan);
  await executor.idle();
});
checkLeft("jobs of one executor");

const broken = parallel([
  call(({ sleep }) => sleep(1e6)),
  call(() => {
    throw new Error("no beam");
  }),
]);
await checkRounds("jobs that fail", async () => {
  for (let n = 0; n < COUNT; n++) executor.submit(broken).done.catch(() => {});
  await executor.idle();
});
checkLeft("jobs that fail");

const endless = call(({ sleep }) => sleep(1e6));
await checkRounds("jobs that are stopped, most before their turn", async () => {
  const runs = Array.from({ length: COUNT }, () => executor.submit(endless));
  await Promise.all(runs.map((run) => run.stop()));
});
checkLeft("jobs that are stopped");

// One that keeps all places: those that wait behind it are forgotten all the
// same.
const busy = executor.submit(
  parallel(Array.from({ length: 10 }, () => endless)),
);
await Promise.resolve();
await checkRounds("jobs that are stopped behind another", async () => {
  const runs = Array.from({ length: COUNT }, () => executor.submit(scan));
  await Promise.resolve();
  await Promise.all(runs.map((run) => run.stop()));
});
await busy.stop();
checkLeft("jobs that are stopped behind another");

await checkRounds("calls that hang and were abandoned", async () => {
  const resolvers = Promise.withResolvers<void>();
  const hang = call(() => resolvers.promise);
  const runs = Array.from({ length: COUNT }, () => executor.submit(hang));
  await Promise.all(runs.map((run) => run.stop({ grace: 0 })));
  resolvers.resolve();
});
checkLeft("calls that hang");

// A long job keeps the results of its calls, and nothing else of them.
const CALLS = 400_000;
let reached = (_half: number): void => {};
let go = (): void => {};
const half = new Promise<number>((resolve) => reached = resolve);
const rest = new Promise<void>((resolve) => go = resolve);
let calls = 0;
const step = call(async () => {
  if (++calls !== CALLS / 2) return;
  reached(calls);
  await rest;
});
const long = executor.submit(
  parallel(Array.from({ length: CALLS }, () => step), { limit: 1 }),
);
const before = await heap();
await half;
const each = (await heap() - before) / (CALLS / 2);
check("a call that has completed", each <= 40, `${each.toFixed(1)} bytes each`);
go();
await long.stop();
checkLeft("a long job");

checkEnd();
