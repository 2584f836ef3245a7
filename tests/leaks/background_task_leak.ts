// Copyright 2026 the Longrun authors. MIT license.

import { BackgroundTask } from "../../background_task.ts";
import { CountingController } from "../_listeners.ts";
import { checkEnd, checkNone, inRounds } from "./_watch.ts";

const COUNT = 10_000;
const FEWER = 2000;
const checkRounds = inRounds(COUNT, 20);
const checkFewer = inRounds(FEWER, 100);

const app = new CountingController();

async function runAll(tasks: BackgroundTask[]): Promise<void> {
  for (const task of tasks) task.run();
  await Promise.resolve();
  await Promise.all(tasks.map((task) => task.stop()));
  await Promise.all(tasks.map((task) => task.join()));
}

await checkRounds("periodic tasks started and stopped", async () => {
  await runAll(Array.from(
    { length: COUNT },
    () => new BackgroundTask(() => {}, { frequency: 0.001 }),
  ));
});

await checkRounds("periodic tasks on a signal that lives", async () => {
  await runAll(Array.from(
    { length: COUNT },
    () =>
      new BackgroundTask(() => {}, { frequency: 0.001, signal: app.signal }),
  ));
});
checkNone("periodic tasks, listeners", app.listeners);

await checkRounds("tasks that sleep until they are stopped", async () => {
  await runAll(Array.from(
    { length: COUNT },
    () => new BackgroundTask(({ sleep }) => sleep(3_600_000)),
  ));
});

await checkFewer("tasks whose states are followed", async () => {
  const tasks = Array.from(
    { length: FEWER },
    () => new BackgroundTask(() => {}, { frequency: 0.001 }),
  );
  const followers = tasks.map(async (task) => {
    for await (const _ of task.states());
  });
  await runAll(tasks);
  await Promise.all(followers);
});

await checkRounds("tasks stopped before they are run", async () => {
  await Promise.all(Array.from(
    { length: COUNT },
    () => new BackgroundTask(() => {}, { signal: app.signal }).stop(),
  ));
});
checkNone("tasks stopped before they are run, listeners", app.listeners);

checkEnd();
