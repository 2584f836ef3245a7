// Copyright 2026 the Longrun authors. MIT license.

import { type Clock, systemClock } from "@longrun/tasks/clock";
import { CountingClock } from "../../../tests/_counting_clock.ts";
import { CountingController } from "../../../tests/_listeners.ts";
import {
  check,
  checkEnd,
  checkNone,
  inRounds,
} from "../../../tests/leaks/_watch.ts";
import { connections } from "../../_connection_pool.ts";
import { SETTLING } from "../../_event_channel.ts";
import { DeviceProxy } from "../../device_proxy.ts";
import { EventServer, until } from "../_event_server.ts";

const COUNT = 5000;
const TOGETHER = 100;
const FEWER = 1000;
const FEW = 100;
const checkRounds = inRounds(COUNT, 30);
const checkFewer = inRounds(FEWER, 300);
const checkFew = inRounds(FEW, 3000);

const ignore = (): void => {};
const app = new CountingController();
const { signal } = app;

/**
 * Does not wait before a server that is gone is looked for, nor for one that
 * has to take what it was told of topics.
 */
const hasty: Clock = {
  now: () => systemClock.now(),
  setTimer: (callback, delay, options) =>
    systemClock.setTimer(
      callback,
      delay === 1000 || delay === SETTLING ? 0 : delay,
      options,
    ),
};
const clock = new CountingClock(hasty);
const server = await EventServer.start();
const proxy = await DeviceProxy.connect(server.url, { clock });

/** Does something so often, some of it side by side. */
async function inBatches(
  count: number,
  batch: (numbers: readonly number[]) => Promise<unknown>,
): Promise<void> {
  for (let first = 0; first < count; first += TOGETHER) {
    await batch(Array.from({ length: TOGETHER }, (_, n) => first + n));
    server.beat();
    server.forget();
  }
}

/** Has operations wait for their answers until they are released. */
function hold(...operations: string[]): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.gate = (operation) =>
    operations.includes(operation) ? promise : undefined;
  return () => {
    server.gate = ignore;
    resolve();
  };
}

function subscribers(): number {
  return server.events.subscribers + server.heartbeats.subscribers;
}

await checkRounds("commands", () =>
  inBatches(COUNT, (numbers) =>
    Promise.all(
      numbers.map((n) => proxy.command("Echo", n, { signal })),
    )));

await checkRounds("reads", () =>
  inBatches(COUNT, (numbers) =>
    Promise.all(
      numbers.map(() => proxy.readAttribute("X", { signal })),
    )));
checkNone("commands and reads, listeners", app.listeners);
checkNone("commands and reads, timers", clock.timers);

let most = 0;
let left = 0;
await checkRounds(
  "calls that are aborted before their answers come",
  () =>
    inBatches(COUNT, async (numbers) => {
      const controller = new CountingController();
      const options = { signal: controller.signal };
      const release = hold("command_inout_4", "read_attributes_5");
      const calls = numbers.map((n) =>
        n % 2 === 0
          ? proxy.command("Echo", n, options)
          : proxy.readAttribute("X", options)
      );
      await until(() => server.log.length >= TOGETHER, "all are asked");
      controller.abort("dawn");
      await Promise.allSettled(calls);
      most = Math.max(most, controller.most);
      left += controller.listeners;
      release();
      await proxy.ping();
    }),
);
check("calls that are aborted, listeners at a time", most === 1, `${most}`);
checkNone("calls that are aborted, listeners", left);
checkNone("calls that are aborted, timers", clock.timers);

await checkRounds(
  "calls that time out",
  () =>
    inBatches(COUNT, async (numbers) => {
      const release = hold("read_attributes_5");
      await Promise.allSettled(
        numbers.map(() => proxy.readAttribute("X", { signal, timeout: 1 })),
      );
      release();
      await proxy.ping();
    }),
);
checkNone("calls that time out, listeners", app.listeners);
checkNone("calls that time out, timers", clock.timers);

await checkFewer("proxies with connections of their own", async () => {
  for (let n = 0; n < FEWER; n++) {
    const own = await DeviceProxy.connect(server.url, {
      clock,
      signal,
      maxMessage: 100_000,
    });
    await own.command("Echo", n);
    await own.close();
  }
  await until(() => server.clients === 1, "their connections are closed");
  server.forget();
});
checkNone("proxies, listeners", app.listeners);
checkNone("proxies, timers", clock.timers);

await checkFew("subscriptions with connections of their own", async () => {
  for (let n = 0; n < FEW; n++) {
    const events = await proxy.subscribe("X", { signal });
    await events.next();
    await events.return();
  }
  await until(() => subscribers() === 0, "their connections are closed");
  server.forget();
});
checkNone("subscriptions, listeners", app.listeners);
checkNone("subscriptions, timers", clock.timers);

const kept = await proxy.subscribe("Kept", { signal });
await kept.next();
await server.events.logged(`+${server.topic("Kept")}`);
const timers = clock.timers;
const listeners = app.listeners;

await checkFewer(
  "subscriptions side by side",
  () =>
    inBatches(FEWER, (numbers) =>
      Promise.all(numbers.map(async (n) => {
        const events = await proxy.subscribe(`X${n % 10}`, { signal });
        await events.next();
        await events.return();
      }))),
);
checkNone("subscriptions side by side, listeners", app.listeners - listeners);
checkNone("subscriptions side by side, timers", clock.timers - timers);

await checkFewer(
  "subscriptions that are aborted",
  () =>
    inBatches(FEWER, async (numbers) => {
      const controller = new CountingController();
      const options = { signal: controller.signal };
      const half = TOGETHER / 2;
      const all = await Promise.all(
        numbers.slice(half).map((n) => proxy.subscribe(`X${n % 10}`, options)),
      );
      const waits = all.map(async (events) => {
        for await (const _ of events);
      });
      const release = hold("command_inout_4");
      server.log.length = 0;
      const begun = numbers.slice(0, half).map((n) =>
        proxy.subscribe(`Y${n % 10}`, options)
      );
      const asked = /^subscribe Y/;
      await until(
        () => server.log.filter((line) => asked.test(line)).length === half,
        "all are asked",
      );
      controller.abort("dawn");
      await Promise.allSettled([...waits, ...begun]);
      left += controller.listeners;
      release();
      await proxy.ping();
    }),
);
checkNone("subscriptions that are aborted, listeners", left);
checkNone("subscriptions that are aborted, timers", clock.timers - timers);

await checkRounds("events", () =>
  inBatches(COUNT, async (numbers) => {
    for (const n of numbers) server.push("Kept", n);
    for (let n = 0; n < TOGETHER; n++) await kept.next();
  }));

await checkFew("losses of a server", async () => {
  for (let n = 0; n < FEW; n++) {
    server.events.reset();
    let isBack = false;
    for (let isLost = false; !isBack;) {
      const { value } = await kept.next();
      if (value === undefined) throw new Error("The subscription has ended");
      isBack = isLost && "value" in value;
      isLost ||= "errors" in value;
    }
  }
  await until(() => subscribers() === 2, "what was lost is closed");
  server.forget();
});
checkNone("losses of a server, listeners", app.listeners - listeners);
checkNone("losses of a server, timers", clock.timers - timers);

await kept.return();
await proxy.close();
checkNone("all is closed, connections", connections.size);
checkNone("all is closed, listeners", app.listeners);
checkNone("all is closed, timers", clock.timers);
await until(
  () => server.clients + subscribers() === 0,
  "the server sees nobody any more",
);
await server[Symbol.asyncDispose]();

checkEnd();
