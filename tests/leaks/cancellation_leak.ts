// Copyright 2026 the Longrun authors. MIT license.

import { abortable, CancelScope, sleep, timeout } from "../../cancellation.ts";
import { CountingController } from "../_listeners.ts";
import { check, checkEnd, checkNone, inRounds } from "./_watch.ts";

const COUNT = 100_000;
const FEWER = 20_000;
const checkRounds = inRounds(COUNT, 5);
const checkFewer = inRounds(FEWER, 20);
const HOUR = 3_600_000;

const ignore = (): void => {};

let most = 0;
let left = 0;
await checkRounds("sleeps on one signal, aborted", async () => {
  const controller = new CountingController();
  const sleeps = Array.from(
    { length: COUNT },
    (_, n) => sleep(HOUR + n, { signal: controller.signal }).catch(ignore),
  );
  controller.abort("dawn");
  await Promise.all(sleeps);
  most = Math.max(most, controller.most);
  left += controller.listeners;
});
check("sleeps on one signal, listeners at a time", most === 1, `${most}`);
checkNone("sleeps on one signal, listeners", left);

const app = new CountingController();

await checkFewer("sleeps that end on a signal that lives", async () => {
  await Promise.all(
    Array.from({ length: FEWER }, () => sleep(0, { signal: app.signal })),
  );
});
checkNone("sleeps that end, listeners", app.listeners);

const promise = new Promise<never>(() => {});

await checkRounds("abortable() on one promise", async () => {
  const controller = new CountingController();
  const waits = Array.from(
    { length: COUNT },
    () => abortable(promise, controller.signal).catch(ignore),
  );
  controller.abort("dawn");
  await Promise.all(waits);
  if (controller.listeners !== 0) checkNone("listeners", controller.listeners);
});

await checkFewer("abortable() one after the other", async () => {
  for (let n = 0; n < FEWER; n++) {
    const controller = new AbortController();
    const wait = abortable(promise, controller.signal).catch(ignore);
    controller.abort(n);
    await wait;
  }
});

await checkFewer("abortable() on a signal that has aborted", async () => {
  const aborted = AbortSignal.abort("dawn");
  for (let n = 0; n < FEWER; n++) {
    await abortable(promise, aborted).catch(ignore);
    await timeout(promise, HOUR, { signal: aborted }).catch(ignore);
  }
});

await checkFewer(
  "abortable() that resolves on a signal that lives",
  async () => {
    for (let n = 0; n < FEWER; n++) {
      await abortable(Promise.resolve(n), app.signal);
    }
  },
);
checkNone("abortable() that resolves, listeners", app.listeners);

await checkFewer("timeout() of work on a signal that lives", async () => {
  for (let n = 0; n < FEWER; n++) {
    await timeout(() => n, HOUR, { signal: app.signal });
  }
});
checkNone("timeout() of work, listeners", app.listeners);

await checkFewer("scopes below a signal that lives", async () => {
  for (let n = 0; n < FEWER; n++) {
    using scope = new CancelScope(app.signal);
    scope.signal.addEventListener("abort", ignore);
  }
  await Promise.resolve();
});
checkNone("scopes, listeners", app.listeners);

checkEnd();
