// Copyright 2026 the Longrun authors. MIT license.

import type { AnyTaskRunner, TaskContext } from "../task_context.ts";

/** Starts a task in a scope of the language, and leaves the scope. */
export async function runInScope(
  task: AnyTaskRunner,
  body: () => unknown,
): Promise<void> {
  await using scoped = task;
  scoped.start();
  await body();
}

/** Uses a context in a scope of the language. */
export async function useContext(
  made: TaskContext,
  body: (context: TaskContext) => unknown,
): Promise<void> {
  await using context = made;
  await body(context);
}
