// Copyright 2026 the Longrun authors. MIT license.

import { TaskContext } from "../task_context.ts";
import type { Counter } from "./_thread_counter.ts";

const url = new URL("./_thread_counter.ts", import.meta.url);
const context = new TaskContext();
await context.makeTask<typeof Counter>("idle", url, [], { thread: true });
console.log("made");
