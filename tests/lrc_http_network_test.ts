// Copyright 2026 the Longrun authors. MIT license.

/** Real HTTP on this machine: servers that die, readers that sleep, crowds. */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { test } from "@std/testing/bdd";
import { spawn } from "node:child_process";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { backoff } from "../backoff.ts";
import { type DeviceEvent, ResultCode, TaskStatus } from "../device_proxy.ts";
import { LongRunningCommand } from "../long_running_command.ts";
import { attachLrc, CallbackScheduler, invokeLrc } from "../lrc.ts";
import { LrcDevice, type LrcDeviceOptions } from "../lrc_device.ts";
import { DeviceHandler, HttpDevice } from "../lrc_http.ts";
import { HttpServer } from "./_http_server.ts";
import { collect, Held, valuesOf } from "./_lrc_device_rig.ts";
import { runProgram } from "./_process.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { TcpProxy } from "./_tcp_proxy.ts";
import { until } from "./_until.ts";

const NAME = "test/net/1";
const restart = backoff({ limit: Infinity, initial: 20, factor: 1 });

function makeDevice(
  held: Held,
  protocolVersions: readonly [number, number] = [1, 2],
): LrcDevice<Record<string, unknown>, { level: unknown }> {
  const options: LrcDeviceOptions<
    Record<string, unknown>,
    { level: unknown }
  > = {
    name: NAME,
    protocolVersions,
    attributes: { level: 0 },
    commands: { Hold: held.execute },
  };
  return new LrcDevice(options);
}

function clientOf(url: string): HttpDevice {
  return new HttpDevice(url, { name: NAME, restart });
}

/** What a client wants to know of commands. */
const quick = (): { scheduler: CallbackScheduler; silence: number } => ({
  scheduler: new CallbackScheduler(),
  silence: 300,
});

/** Goes through a command and its end. */
async function tryCommand(
  url: string,
  held: Held,
  handler: DeviceHandler,
): Promise<void> {
  const client = clientOf(url);
  const { scheduler } = quick();
  const handle = await invokeLrc(null, client, "Hold", 5, { scheduler });
  held.last.execution.progress(30);
  await until(() => handle.progress === 30, "progress");
  const found = await attachLrc(null, client, handle.serialize(), {
    scheduler,
  });
  held.last.end([ResultCode.OK, "held"]);
  for (const each of [handle, found]) {
    assertEquals((await each.done).message, "held");
  }
  const work = new LongRunningCommand("Hold", { scheduler });
  const executing = work.execute(client);
  await until(() => held.calls.length === 2, "another call");
  held.last.end([ResultCode.FAILED, "no"]);
  assertEquals((await executing).resultCode, ResultCode.FAILED);
  await until(() => handler.streams === 0, "no streams");
}

test("Commands over sockets come to their ends, in both versions of the protocol", async () => {
  for (const versions of [[1, 1], [1, 2]] as const) {
    const held = new Held();
    await using device = makeDevice(held, versions);
    await using handler = new DeviceHandler(device, { linger: 0 });
    await using server = await HttpServer.serve(handler.fetch);
    await tryCommand(server.url, held, handler);
    await until(() => device.subscriptions === 0, "no subscriptions");
  }
});

interface Servers {
  Deno?: {
    serve(options: object, handler: unknown): {
      readonly addr: { readonly port: number };
      shutdown(): Promise<void>;
    };
  };
  Bun?: {
    serve(options: object): {
      readonly port: number;
      stop(force: boolean): Promise<void>;
    };
  };
}

test("The handler works with the server that the runtime has", async () => {
  const { Deno, Bun } = globalThis as Servers;
  const held = new Held();
  await using device = makeDevice(held);
  await using handler = new DeviceHandler(device, { linger: 0 });
  if (Deno !== undefined) {
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    const server = Deno.serve(options, handler.fetch);
    const url = `http://127.0.0.1:${server.addr.port}`;
    await tryCommand(url, held, handler);
    const subscription = await clientOf(url).subscribe("level");
    await subscription.next();
    await handler.close();
    await server.shutdown();
    await subscription.return();
  } else if (Bun !== undefined) {
    const hostname = "127.0.0.1";
    const server = Bun.serve({ hostname, port: 0, fetch: handler.fetch });
    await tryCommand(`http://127.0.0.1:${server.port}`, held, handler);
    await server.stop(true);
  }
});

test("A command is followed to its end though its server is killed and started again", async () => {
  for (const isSameHandler of [true, false]) {
    const held = new Held();
    await using device = makeDevice(held);
    let handler = new DeviceHandler(device);
    let server = await HttpServer.serve(handler.fetch);
    const { port } = server;
    const client = clientOf(server.url);
    const handle = await invokeLrc(null, client, "Hold", undefined, quick());
    await until(() => handle.status === TaskStatus.IN_PROGRESS, "the start");
    await server.kill();
    if (!isSameHandler) {
      await handler.close();
      handler = new DeviceHandler(device);
    }
    held.last.end([ResultCode.OK, "held"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert(!handle.ended);
    server = await HttpServer.serve(handler.fetch, port);
    assertEquals((await handle.done).message, "held");
    await until(() => handler.streams === 0, "no streams");
    await server.kill();
    await handler.close();
  }
});

test("A command of a device that has lost its memory is not found", async () => {
  const held = new Held();
  const first = makeDevice(held);
  const handler = new DeviceHandler(first);
  const server = await HttpServer.serve(handler.fetch);
  const client = clientOf(server.url);
  const handle = await invokeLrc(null, client, "Hold", undefined, quick());
  await until(() => handle.status === TaskStatus.IN_PROGRESS, "the start");
  await server.kill();
  await handler.close();
  await first.stop();
  await using device = makeDevice(held);
  await using other = new DeviceHandler(device);
  await using _server = await HttpServer.serve(other.fetch, server.port);
  const { status, resultCode } = await handle.done;
  assertEquals([status, resultCode], [
    TaskStatus.NOT_FOUND,
    ResultCode.UNKNOWN,
  ]);
});

/** Starts a server in a process of its own. */
async function startProcess(
  port: number,
): Promise<{ url: string; kill: () => Promise<void> }> {
  const file = fileURLToPath(
    new URL("./_lrc_http_process.ts", import.meta.url),
  );
  const flags = "Deno" in globalThis
    ? ["run", "--no-check", "--no-config", "-A"]
    : [];
  const child = spawn(process.execPath, [...flags, file, `${port}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  let url = "";
  child.stdout.on("data", (data) => url += data);
  await until(() => url.endsWith("\n"), "the process");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return { url: url.trim(), kill };
}

test("A command whose process was killed is not found in the next one, which works", async () => {
  const first = await startProcess(0);
  const client = clientOf(first.url);
  const handle = await invokeLrc(null, client, "Hold", undefined, quick());
  await until(() => handle.progress === 10, "the start");
  await first.kill();
  const second = await startProcess(Number(new URL(first.url).port));
  const { status, resultCode } = await handle.done;
  assertEquals([status, resultCode], [
    TaskStatus.NOT_FOUND,
    ResultCode.UNKNOWN,
  ]);
  const { scheduler } = quick();
  const work = new LongRunningCommand("Quick", { scheduler });
  assertEquals((await work.execute(client)).message, "quick");
  await second.kill();
});

test("Events are whole and complete though the connection is cut within them", async () => {
  const held = new Held();
  await using device = makeDevice(held);
  await using handler = new DeviceHandler(device);
  await using server = await HttpServer.serve(handler.fetch);
  let seed = 7;
  let cuts = 0;
  // Enough for the headers, and then for a part of the events.
  const allowance = (): number => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    cuts++;
    return 600 + seed % 900;
  };
  await using proxy = await TcpProxy.open(server.port, allowance);
  const subscription = await clientOf(proxy.url).subscribe("level");
  const events: DeviceEvent[] = collect(subscription);
  for (let level = 1; level <= 100; level++) {
    device.setAttribute("level", level);
    await new Promise((resolve) =>
      setTimeout(resolve, level % 10 === 0 ? 20 : 1)
    );
  }
  await until(() => valuesOf(events).includes(100), "the last event");
  const values = valuesOf(events).filter((value) => typeof value === "number");
  assertEquals([...new Set(values)], Array.from({ length: 101 }, (_, n) => n));
  assertGreater(cuts, 5);
  await subscription.return();
});

/** Asks for a stream over a socket that is read by nobody but the caller. */
function askForEvents(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.pause();
  socket.on("error", () => {});
  const device = encodeURIComponent(NAME);
  socket.write(
    `GET /devices/${device}/events?attribute=level HTTP/1.1\r\n` +
      `Host: 127.0.0.1:${port}\r\n\r\n`,
  );
  return socket;
}

test("A reader that sleeps loses events and is told so, and holds up nobody", async () => {
  const held = new Held();
  await using device = makeDevice(held);
  await using handler = new DeviceHandler(device, { replay: 10 });
  await using server = await HttpServer.serve(handler.fetch);
  const awake = await clientOf(server.url).subscribe("level");
  const events = collect(awake);
  const socket = askForEvents(server.port);
  await until(() => handler.streams === 2, "both streams");
  const large = "x".repeat(100_000);
  for (let n = 1; n <= 300; n++) {
    device.setAttribute("level", `${n} ${large}`);
    // As fast as the one who is awake.
    await until(() => events.length > n, `event ${n}`);
  }
  let text = "";
  socket.on("data", (data) => text += data);
  socket.resume();
  await until(() => text.includes('"value":"300 '), "the last value");
  assert(text.includes("API_MissedEvents"));
  assert(!valuesOf(events).includes("API_MissedEvents"));
  socket.destroy();
  await awake.return();
});

test("A reader that never wakes up is given up, and one that has gone is forgotten", async () => {
  const held = new Held();
  await using device = makeDevice(held);
  const options = { linger: 0, heartbeat: 50 };
  await using handler = new DeviceHandler(device, options);
  await using server = await HttpServer.serve(handler.fetch);
  const sleeper = askForEvents(server.port);
  await until(() => handler.streams === 1, "the stream");
  const large = "x".repeat(1_000_000);
  for (let n = 1; n <= 30; n++) {
    device.setAttribute("level", `${n} ${large}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => handler.streams === 0, "no stream");
  sleeper.destroy();

  const leaver = askForEvents(server.port);
  leaver.resume();
  await until(() => handler.streams === 1, "the stream");
  leaver.destroy();
  await until(() => handler.streams === 0, "no stream");
  assertEquals(device.subscriptions, 0);
});

test("A server refuses bodies that are too large or no JSON, and goes on", async () => {
  const held = new Held();
  await using device = makeDevice(held);
  await using handler = new DeviceHandler(device, { maxBody: 1000 });
  await using server = await HttpServer.serve(handler.fetch);
  const url = `${clientOf(server.url).url}/commands/Hold`;
  const post = async (body: BodyInit, type: string): Promise<unknown[]> => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": type },
      body,
    });
    const { code } = await response.json();
    return [response.status, code];
  };
  const json = "application/json";
  const long = JSON.stringify({ argument: "x".repeat(1000) });
  assertEquals(await post(long, json), [413, "too-large"]);
  assertEquals(await post("{}", "text/plain"), [415, "unsupported-media-type"]);
  assertEquals(await post("{", json), [400, "bad-request"]);

  const socket = connect(server.port, "127.0.0.1");
  let text = "";
  let isClosed = false;
  socket.on("data", (data) => text += data);
  socket.on("error", () => {});
  socket.on("close", () => isClosed = true);
  socket.write(
    `POST ${new URL(url).pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
      `Content-Type: ${json}\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  const chunk = `64\r\n${"x".repeat(100)}\r\n`;
  for (let n = 0; n < 1000 && !isClosed && text === ""; n++) {
    socket.write(chunk);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => text.includes(" 413 "), "the answer");
  socket.destroy();
  await until(() => handler.requests === 0, "no requests");
  assertEquals(held.calls.length, 0);
});

test("A thousand clients at a time reach the ends of their commands, and leave nothing", async () => {
  // Bun has 256 requests at a time otherwise.
  process.env.BUN_CONFIG_MAX_HTTP_REQUESTS = "4096";
  const { stdout, stderr } = await runProgram(
    'import "ROOT/tests/_lrc_http_crowd.ts";',
    100_000,
  );
  assert(stdout.startsWith("{"), stderr);
  assertEquals(JSON.parse(stdout), {
    good: 1000,
    most: 1000,
    streams: 0,
    subscriptions: 0,
    requests: 0,
  });
});

test("A client logs what happens to its streams, and nobody else hears of it", async () => {
  const held = new Held();
  await using device = makeDevice(held);
  await using handler = new DeviceHandler(device);
  let server = await HttpServer.serve(handler.fetch);
  const logger = new RecordingLogger();
  const client = new HttpDevice(server.url, { name: NAME, restart, logger });
  const subscription = await client.subscribe("level");
  const events = collect(subscription);
  await until(() => events.length === 1, "the first event");
  await server.kill();
  await until(() => events.length === 2, "an outage");
  server = await HttpServer.serve(handler.fetch, server.port);
  await until(() => events.length === 3, "the value");
  assertEquals(valuesOf(events), [0, "API_EventTimeout", 0]);
  assertEquals(logger.lines.length, logger.of("debug").length);
  assertGreater(logger.lines.length, 1);
  await subscription.return();
  await server.kill();
});
