// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs a task in a thread, in a project that has only the package.
 */

import { TaskContext } from "@longrun/tasks/task-context";

const context = new TaskContext();
const counter = await context.makeTask(
  "counter",
  new URL("./pack_task.mjs", import.meta.url),
  [{ period: 10 }],
  { thread: true },
);
const counts = counter.topics.statusUpdated.subscribe();
counter.start();
for await (const { value } of counts) {
  if (value === 3) break;
}
await context.dispose();
console.log(`${counter.className}: ${counter.outcome}`);
