// Copyright 2026 the Longrun authors. MIT license.

import { LoopTask } from "../../loop_task.ts";
import { Task } from "../../task.ts";
import { TaskContext } from "../../task_context.ts";
import { CountingController } from "../_listeners.ts";
import { RecordingLogger } from "../_recording_logger.ts";
import { check, checkEnd, checkNone, heap, inRounds } from "./_watch.ts";

const COUNT = 10_000;
const FEWER = 1000;
const checkMany = inRounds(COUNT, 20);
const checkFewer = inRounds(FEWER, 200);
const HOUR = 3_600_000;

class Idle extends Task<number, string> {
  override settings = 0;
  override status = "idle";

  override run(): Promise<void> {
    return this.sleep(HOUR);
  }
}

class Rounds extends LoopTask<number, number> {
  override settings = 0;
  override status = 0;
}

class Dark extends Task {
  override run(): never {
    throw new Error("no light");
  }
}

const app = new CountingController();
const context = new TaskContext({
  signal: app.signal,
  logger: new RecordingLogger(),
});

await checkMany("tasks made, started, stopped and removed", async () => {
  for (let n = 0; n < COUNT; n++) {
    const task = await context.makeTask("idle", Idle);
    task.start();
    task.setSettings(n);
    await Promise.resolve();
    await task.stop();
    await context.removeTask(task);
  }
});
checkNone("tasks, listeners", app.listeners);

await checkMany("loops made, started, stopped and removed", async () => {
  for (let n = 0; n < COUNT; n++) {
    const task = await context.makeTask("loop", Rounds, [{ period: HOUR }]);
    task.topics.statusUpdated.onPublish(() => {}, { signal: app.signal });
    task.topics.settingsUpdated.subscribe({ signal: app.signal });
    task.start();
    await Promise.resolve();
    await context.removeTask("loop");
  }
});
checkNone("loops, listeners", app.listeners);

await checkMany("tasks at a time, removed all together", async () => {
  const many = new TaskContext({ signal: app.signal });
  for (let n = 0; n < COUNT; n++) {
    const task = await many.makeTask(`idle-${n}`, Idle);
    task.start();
  }
  await many.dispose();
});
checkNone("tasks at a time, listeners", app.listeners);

await checkMany("tasks that were never started", async () => {
  for (let n = 0; n < COUNT; n++) {
    await context.makeTask("new", Idle, [], { signal: app.signal });
    await context.removeTask("new");
  }
});
checkNone("tasks that were never started, listeners", app.listeners);

await checkFewer("tasks that fail and are joined", async () => {
  for (let n = 0; n < FEWER; n++) {
    const task = await context.makeTask("dark", Dark);
    task.start();
    await task.join().catch(() => {});
    await context.removeTask(task);
  }
});
checkNone("tasks that fail, listeners", app.listeners);

const idle = await context.makeTask("idle", Idle);
idle.start();

await checkMany("handles of one task", () => {
  for (let n = 0; n < COUNT; n++) context.getTask("idle", Idle).setSettings(n);
  return Promise.resolve();
});

await checkMany("locks of one task", async () => {
  for (let n = 0; n < COUNT; n++) {
    const handle = context.getTask("idle", Idle);
    const lock = await handle.lock({ signal: app.signal });
    const { signal } = app;
    const waiting = context.getTask("idle").lock({ timeout: HOUR, signal });
    lock?.unlock();
    (await waiting)?.unlock();
  }
});
checkNone("locks, listeners", app.listeners - 1);

await checkMany("joins of one task that are given up", async () => {
  for (let n = 0; n < COUNT; n++) {
    const controller = new AbortController();
    const join = idle.join({ signal: controller.signal });
    controller.abort("enough");
    await join.catch(() => {});
  }
});

await checkMany("settings of one task", () => {
  for (let n = 0; n < COUNT; n++) idle.setSettings(n);
  return Promise.resolve();
});
await context.removeTask(idle);

// A loop leaves nothing behind as it goes on.
class Busy extends LoopTask<number, number> {
  override settings = 0;
  override status = 0;

  override async loopIteration(): Promise<void> {
    await this.sleep(0);
  }

  override updateStatus(): boolean {
    this.status++;
    return true;
  }
}

const ROUNDS = 1000;
const busy = await context.makeTask("busy", Busy, [{ period: 0.5 }]);
busy.start();
const statuses = busy.topics.statusUpdated.subscribe({ capacity: 1 });
const reached = async (count: number): Promise<number> => {
  while (busy.status < count) await statuses.next();
  return await heap();
};
const before = await reached(ROUNDS);
const after = await reached(2 * ROUNDS);
const rounds = busy.statistics.rounds - ROUNDS;
const each = (after - before) / rounds;
check("rounds of a loop", each <= 50, `${each.toFixed(2)} bytes each`);
await context.dispose();
checkNone("everything, listeners", app.listeners);

checkEnd();
