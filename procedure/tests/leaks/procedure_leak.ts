// Copyright 2026 the Longrun authors. MIT license.

import { EventBus } from "@longrun/tasks/event-bus";
import { CountingController } from "../../../tests/_listeners.ts";
import {
  check,
  checkEnd,
  checkNone,
  inRounds,
} from "../../../tests/leaks/_watch.ts";
import { ActivityService } from "../../activity_service.ts";
import type { ProcedureBus } from "../../procedure_service.ts";
import { serveProcedures } from "../../procedure_workers.ts";
import { RestApi } from "../../rest_api.ts";
import { InMemorySchedulingBlockStore } from "../../scheduling_block_store.ts";
import { fileSystemScript } from "../../script.ts";
import { ScriptExecutionService } from "../../script_execution_service.ts";
import { FakePool } from "../_fake_pool.ts";

const COUNT = 500;
const MANY = 4_000;
const checkRounds = inRounds(COUNT, 100);

const app = new CountingController();
const { signal } = app;
const bus: ProcedureBus = new EventBus({ name: "leaks" });
const pool = new FakePool();
const script = fileSystemScript("file:///scripts/observe.ts");
const procedures = new ScriptExecutionService({
  pool,
  bus,
  maxLive: COUNT + 1,
  historyLimit: 5,
});
const blocks = new InMemorySchedulingBlockStore();
blocks.add({
  id: "sbd-1",
  version: 1,
  activities: { observe: { script, args: {} } },
});
const activities = new ActivityService({ procedures, blocks, historyLimit: 5 });
const workers = serveProcedures(bus, procedures);
const api = new RestApi({
  procedures,
  activities,
  stream: { replay: 1_000, heartbeat: 3_600_000 },
});
const subscribers = bus.subscribers;

function checkLeft(name: string): void {
  checkNone(`${name}, listeners`, app.listeners);
  const left = [
    procedures.live,
    procedures.running,
    pool.size,
    pool.calls.length,
    api.streams,
    api.requests,
    bus.subscribers - subscribers,
  ];
  check(`${name}, the rest`, left.every((n) => n === 0), left.join(" "));
}

/** Executes a script to its end. */
async function execute(): Promise<void> {
  const { id: pid } = await procedures.prepare({ script }, { signal });
  await procedures.start({ pid, forceStart: true }, { signal });
  bus.publish("script.output", {
    pid,
    stream: "stdout",
    text: "observing",
    dropped: 0,
  });
  const done = procedures.waitForState(pid, "COMPLETE", { signal });
  pool.calls[0]?.end();
  await done;
  pool.log.length = 0;
}

// What is compiled late.
for (let n = 0; n < MANY; n++) await execute();
await inRounds(MANY, 30)("procedures that complete", async () => {
  for (let n = 0; n < MANY; n++) await execute();
});
checkLeft("procedures that complete");

await checkRounds("procedures that fail or are stopped", async () => {
  for (let n = 0; n < COUNT; n++) {
    const { id: pid } = await procedures.prepare({ script });
    await procedures.start({ pid, forceStart: true }, { signal });
    const end = n % 2 === 0 ? "FAILED" : "STOPPED";
    const ended = procedures.waitForState(pid, end, { signal });
    if (n % 2 === 0) pool.calls[0]?.fail(new Error("no power"));
    else await procedures.stop({ pid }, { signal });
    await ended;
    pool.log.length = 0;
  }
});
checkLeft("procedures that fail or are stopped");

const { id: waited } = await procedures.prepare({ script });
await procedures.waitForState(waited, "READY");
await checkRounds("waits that are aborted, or time out", async () => {
  const waits: Promise<unknown>[] = [];
  for (let n = 0; n < COUNT; n++) {
    const controller = new AbortController();
    const options = n % 2 === 0 ? { signal: controller.signal } : {
      signal,
      timeout: 1,
    };
    waits.push(
      procedures.waitForState(waited, "COMPLETE", options).catch(() => {}),
    );
    controller.abort();
  }
  await Promise.all(waits);
});
await procedures.stop({ pid: waited });
checkLeft("waits");

await checkRounds("requests on the bus", async () => {
  for (let n = 0; n < COUNT; n++) {
    await bus.request(
      "request.procedure.list",
      {},
      "procedure.pool.list",
      { signal },
    );
  }
});
checkLeft("requests on the bus");

const turn = (): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, 0));

const ask = (path: string, init?: RequestInit): Promise<Response> =>
  api.fetch(new Request(`http://localhost/api/v1${path}`, init));

const post = (path: string, body: unknown): Promise<Response> =>
  ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

await inRounds(COUNT, 200)("requests over HTTP", async () => {
  for (let n = 0; n < COUNT; n++) {
    for (const path of ["/procedures", "/activities", "/procedures/999999"]) {
      await (await ask(path)).text();
    }
    const response = await post("/procedures", {
      script: { script_type: "filesystem", script_uri: script.uri },
      script_args: { init: { kwargs: { n } } },
    });
    const { id: pid } = await response.json();
    await procedures.stop({ pid });
    await (await post("/procedures", { scripts: n })).text();
    pool.log.length = 0;
  }
});
checkLeft("requests over HTTP");

// Their instances stay.
await inRounds(COUNT, 600)("activities", async () => {
  for (let n = 0; n < COUNT; n++) {
    const started = procedures.bus.subscribe("procedure.lifecycle.started");
    await activities.run({ name: "observe", sbdId: "sbd-1" }, { signal });
    // That of init, then that of main.
    await started.next();
    await started.next();
    await started.return();
    const pid = Math.max(...procedures.summarise().map(({ id }) => id));
    const done = procedures.waitForState(pid, "COMPLETE", { signal });
    pool.calls[0]?.end();
    await done;
    pool.log.length = 0;
  }
});
checkLeft("activities");

await checkRounds("streams that are left", async () => {
  for (let n = 0; n < COUNT; n++) {
    const response = await ask("/stream?topics=dish.*");
    const reader = response.body?.getReader();
    await reader?.read();
    const next = reader?.read();
    await reader?.cancel();
    await next;
  }
});
checkLeft("streams that are left");

await checkRounds("streams whose request is aborted", async () => {
  for (let n = 0; n < COUNT; n++) {
    const controller = new AbortController();
    const request = { signal: controller.signal };
    const response = await ask("/stream", request);
    // In one turn of the event loop weak references hold what they refer to.
    await turn();
    controller.abort();
    await response.body?.cancel().catch(() => {});
  }
});
checkLeft("streams whose request is aborted");

const stream = (await ask("/stream?topics=dish.*")).body?.getReader();
await stream?.read();
await inRounds(20_000, 2)("events to a stream", async () => {
  for (let n = 0; n < 40; n++) {
    for (let m = 0; m < 500; m++) bus.publish("dish.moved", m);
    await stream?.read();
  }
});
await stream?.cancel();
checkLeft("events");

await api.close();
workers.close();
await activities.close();
await procedures.close();
checkNone("subscribers in the end", bus.subscribers);

checkEnd();
