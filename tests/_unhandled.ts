// Copyright 2026 the Longrun authors. MIT license.

import process from "node:process";

/** Lets all promises settle, in two turns of the event loop. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise<void>((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(undefined);
    });
  }
}

/**
 * Runs a function, and gives the rejections that nobody had handled when all
 * promises had settled after it.
 */
export async function unhandledDuring(
  run: () => void | Promise<void>,
): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const onEvent = (event: Event): void => {
    event.preventDefault();
    reasons.push((event as PromiseRejectionEvent).reason);
  };
  const onReason = (reason: unknown): void => {
    reasons.push(reason);
  };
  const isDeno = "Deno" in globalThis;
  if (isDeno) globalThis.addEventListener("unhandledrejection", onEvent);
  else process.on("unhandledRejection", onReason);
  try {
    await run();
    await settle();
  } finally {
    if (isDeno) globalThis.removeEventListener("unhandledrejection", onEvent);
    else process.off("unhandledRejection", onReason);
  }
  return reasons;
}
