// Copyright 2026 the Longrun authors. MIT license.

/**
 * A program: a thousand clients at a time, each with a subscription and a
 * command of its own, over sockets of this machine. Prints how it went.
 */

import process from "node:process";
import { ResultCode } from "../device_proxy.ts";
import { CallbackScheduler, connectLrcInterface } from "../lrc.ts";
import { LongRunningCommand } from "../long_running_command.ts";
import { LrcDevice } from "../lrc_device.ts";
import { DeviceHandler, HttpDevice } from "../lrc_http.ts";
import { HttpServer } from "./_http_server.ts";

const clients = 1000;
const devices = 50;

const all = Array.from({ length: devices }, (_, n) =>
  new LrcDevice({
    name: `crowd/device/${n}`,
    maxQueued: clients,
    maxExecuting: clients + 1,
    commands: {
      Work: async ({ argument, sleep, progress }) => {
        progress(50);
        await sleep(10);
        return [ResultCode.OK, String(argument)];
      },
    },
  }));
const handler = new DeviceHandler(all, { linger: 0 });
const server = await HttpServer.serve(handler.fetch);
const crowd = await Promise.all(
  Array.from({ length: clients }, async (_, n) => {
    const client = new HttpDevice(server.url, {
      name: `crowd/device/${n % devices}`,
      timeout: 100_000,
    });
    const scheduler = new CallbackScheduler();
    const connection = await connectLrcInterface(client, scheduler);
    return { client, scheduler, connection };
  }),
);
const most = handler.streams;
const results = await Promise.all(
  crowd.map(async ({ client, scheduler, connection }, n) => {
    const work = new LongRunningCommand("Work", { scheduler });
    const { message } = await work.execute(client, n);
    await connection[Symbol.asyncDispose]();
    return message === String(n);
  }),
);
const until = performance.now() + 5000;
const isLeft = (): boolean =>
  handler.streams + handler.subscriptions + handler.requests > 0;
while (isLeft() && performance.now() < until) {
  await new Promise((resolve) => setTimeout(resolve, 10));
}
const { streams, subscriptions, requests } = handler;
await server.kill();
await handler.close();
await Promise.all(all.map((device) => device.stop()));
console.log(JSON.stringify({
  good: results.filter(Boolean).length,
  most,
  streams,
  subscriptions,
  requests,
}));
process.exit(0);
