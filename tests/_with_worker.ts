// Copyright 2026 the Longrun authors. MIT license.

import process from "node:process";

/** A thread of `node:worker_threads`. */
export interface TestThread {
  on(event: string, listener: (value: unknown) => void): unknown;
  terminate(): Promise<unknown>;
}

/** What makes threads. */
export type ThreadClass = new (
  program: string | URL,
  options: object,
) => TestThread;

interface Genuine {
  getBuiltinModule(name: string): { Worker: ThreadClass };
}

/** Runs while workers are made by somebody else. */
export async function withWorker(
  makeWorker: (genuine: ThreadClass) => ThreadClass,
  run: () => Promise<void>,
): Promise<void> {
  const global = process as unknown as Genuine;
  const genuine = global.getBuiltinModule;
  const { Worker } = genuine.call(process, "node:worker_threads");
  global.getBuiltinModule = () => ({ Worker: makeWorker(Worker) });
  try {
    await run();
  } finally {
    global.getBuiltinModule = genuine;
  }
}
