// Copyright 2026 the Longrun authors. MIT license.

import { TaskContext } from "../task_context.ts";
import type { Troubled } from "./_thread_troubles.ts";

const url = new URL("./_thread_troubles.ts", import.meta.url);
const context = new TaskContext({ grace: 50 });
const task = await context.makeTask<typeof Troubled>(
  "busy",
  url,
  ["be busy for ever"],
  { thread: true },
);
task.start();
for await (const { state } of task.states()) {
  if (state === "running") break;
}
while (task.status !== "busy") {
  await new Promise((resolve) => setTimeout(resolve, 1));
}
console.log(await task.stop(), task.outcome);
await task.join();
await context.dispose();
