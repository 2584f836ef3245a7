// Copyright 2026 the Longrun authors. MIT license.

import { TaskStatus } from "../../device_proxy.ts";
import { LongRunningCommand } from "../../long_running_command.ts";
import {
  CallbackScheduler,
  connectLrcInterface,
  invokeLrc,
  type LrcHandle,
} from "../../lrc.ts";
import { CountingController } from "../_listeners.ts";
import { FakeDevice } from "../_lrc_fake.ts";
import { check, checkEnd, checkNone, inRounds } from "./_watch.ts";

const COUNT = 10_000;
const checkRounds = inRounds(COUNT, 20);

const app = new CountingController();
const { signal } = app;
const scheduler = new CallbackScheduler();
const device = new FakeDevice([1, 2]);
const end = { status: TaskStatus.COMPLETED, result: [0, "ok"] };
const options = { scheduler, signal, timeout: 60_000 };
let updates = 0;

function forget(): void {
  device.known.clear();
  device.calls.length = 0;
}

function checkLeft(name: string, devices: number): void {
  checkNone(`${name}, listeners`, app.listeners);
  checkNone(`${name}, updates`, scheduler.pending);
  check(
    `${name}, subscriptions`,
    device.subscribers === devices && scheduler.devices === devices,
    `${device.subscribers} of ${devices}`,
  );
}

const connection = await connectLrcInterface(device, scheduler, { signal });

await checkRounds("commands over one subscription", async () => {
  device.accepts("Scan");
  const handles: LrcHandle[] = [];
  for (let n = 0; n < COUNT; n++) {
    const handle = await invokeLrc(
      () => void updates++,
      device,
      "Scan",
      n,
      options,
    );
    device.tell(handle.commandId, end);
    handles.push(handle);
    if (n % 100 === 99) {
      await Promise.all(handles.map(({ done }) => done));
      handles.length = 0;
      forget();
    }
  }
  forget();
});
checkLeft("commands over one subscription", 1);
check("updates", updates > COUNT, `${updates} were told`);

await checkRounds("commands that were left", async () => {
  for (let n = 0; n < COUNT; n++) {
    const handle = await invokeLrc(null, device, "Scan", n, options);
    await handle.unsubscribe();
    device.known.clear();
  }
  forget();
});
checkLeft("commands that were left", 1);

await connection[Symbol.asyncDispose]();
checkLeft("disconnected", 0);

await checkRounds("commands that subscribe each", async () => {
  device.accepts("Scan", (id) => device.tell(id, end));
  const command = new LongRunningCommand("Scan", { scheduler });
  for (let n = 0; n < COUNT; n++) {
    await command.execute(device, n, { signal, timeout: 60_000 });
    device.known.clear();
  }
  forget();
});
checkLeft("commands that subscribe each", 0);

await checkRounds("commands that are rejected", async () => {
  device.answers.set("Scan", () => [[5], ["busy"]]);
  const command = new LongRunningCommand("Scan", { scheduler });
  for (let n = 0; n < COUNT; n++) {
    await command.execute(device, n, { signal, timeout: 60_000 });
  }
  forget();
});
checkLeft("commands that are rejected", 0);

checkEnd();
