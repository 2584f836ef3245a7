// Copyright 2026 the Longrun authors. MIT license.

import { CallbackScheduler } from "../../lrc.ts";
import { LongRunningCommand } from "../../long_running_command.ts";
import { DeviceHandler, HttpDevice } from "../../lrc_http.ts";
import { TaskStatus } from "../../device_proxy.ts";
import { CountingController } from "../_listeners.ts";
import { HttpServer } from "../_http_server.ts";
import { FakeDevice } from "../_lrc_fake.ts";
import { Way } from "../_lrc_http_way.ts";
import { check, checkEnd, checkNone, inRounds } from "./_watch.ts";

const COUNT = 500;
const checkRounds = inRounds(COUNT, 300);

const app = new CountingController();
const { signal } = app;
const end = { status: TaskStatus.COMPLETED, result: [0, "ok"] };
const device = new FakeDevice([1, 2]);
device.accepts("Scan", (id) => device.tell(id, end));
const handler = new DeviceHandler(device, { linger: 0 });
const way = new Way(handler.fetch);
const client = new HttpDevice("http://localhost", {
  name: device.name,
  fetch: way.fetch,
  restart: { delay: () => 0 },
});

function forget(): void {
  device.known.clear();
  device.calls.length = 0;
  way.requests.length = 0;
  way.lastIds.length = 0;
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

function checkLeft(name: string): void {
  checkNone(`${name}, listeners`, app.listeners);
  const left = [
    handler.streams,
    handler.subscriptions,
    handler.requests,
    client.subscriptions,
    device.subscribers,
    way.streams,
  ];
  check(`${name}, streams`, left.every((count) => count === 0), left.join(" "));
}

const commands = async (): Promise<void> => {
  const scheduler = new CallbackScheduler();
  const command = new LongRunningCommand("Scan", { scheduler });
  for (let n = 0; n < COUNT; n++) {
    await command.execute(client, n, { signal, timeout: 60_000 });
    device.known.clear();
  }
  await turn();
  forget();
};
// The answers that are kept for those who ask again.
for (let round = 0; round < 4; round++) await commands();
await checkRounds("commands", commands);
checkLeft("commands");

await checkRounds("subscriptions that are left", async () => {
  for (let n = 0; n < COUNT; n++) {
    const subscription = await client.subscribe("_lrcEvent", { signal });
    await subscription.next();
    await subscription.return();
  }
  await turn();
  forget();
});
checkLeft("subscriptions that are left");

const long = await client.subscribe("_lrcEvent", { signal });
await long.next();
await checkRounds("connections that break", async () => {
  for (let n = 0; n < COUNT; n++) {
    way.cut();
    device.emit("_lrcEvent", [`${n}`, "{}"]);
    await long.next();
  }
  forget();
});
await checkRounds("events", async () => {
  for (let n = 0; n < COUNT; n++) {
    device.emit("_lrcEvent", [`${n}`, "{}"]);
    await long.next();
  }
});
await long.return();
await turn();
checkLeft("connections that break");

const server = await HttpServer.serve(handler.fetch);
const far = new HttpDevice(server.url, { name: device.name });
await inRounds(COUNT, 3000)("commands over sockets", async () => {
  const scheduler = new CallbackScheduler();
  const command = new LongRunningCommand("Scan", { scheduler });
  for (let n = 0; n < COUNT; n++) {
    await command.execute(far, n, { signal, timeout: 60_000 });
    device.known.clear();
  }
  await turn();
  forget();
});
for (let time = 0; time < 100 && handler.streams > 0; time++) {
  await new Promise((resolve) => setTimeout(resolve, 10));
}
checkLeft("commands over sockets");
checkNone("subscriptions of the far client", far.subscriptions);
await server.kill();
await handler.close();

checkEnd();
