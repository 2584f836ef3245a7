// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { deserialize, serialize } from "node:v8";
import {
  decodeFrame,
  encodeFrame,
  type FromRunner,
  readFrames,
  writeAll,
} from "../_script_messages.ts";
import { startProcess } from "../_script_process.ts";
import { withFiles } from "./_script_rig.ts";

const CLONER = { serialize, deserialize };

/** Says that nothing has come, over and over, until it is to end. */
async function pester(
  connection: Deno.TcpConn,
  signal: AbortSignal,
): Promise<void> {
  const frame = encodeFrame({ type: "taken", count: 0 });
  const many = new Uint8Array(frame.length * 100);
  for (let i = 0; i < 100; i++) many.set(frame, frame.length * i);
  try {
    while (!signal.aborted) await writeAll(connection, many);
  } catch {
    // The process has ended.
  }
}

test("What a script published before its end comes, though its process was spoken to meanwhile", async () => {
  await using files = await withFiles({
    "a.ts": `export function main({ publish }) {
      for (let i = 0; i < 20; i++) publish("user.large", "x".repeat(50_000));
      Deno.exit(0);
    }`,
  });
  const { folder } = files;
  const started = await startProcess({
    pid: 7,
    roots: [folder],
    grants: {},
    memory: 512,
  });
  const { process } = started;
  const drained = Promise.all([
    process.stdout.cancel(),
    process.stderr.cancel(),
  ]);
  const connection = await started.connect();
  const frames = readFrames(connection);
  const send = (message: unknown) =>
    writeAll(connection, encodeFrame(message, CLONER));
  await send({ type: "load", url: `file://${folder}/a.ts` });
  await frames.next();
  const controller = new AbortController();
  const pestering = pester(connection, controller.signal);
  await send({ type: "run", id: 1, fn: "main", args: [], kwargs: {} });
  // Nothing is read until all is written.
  await new Promise((resolve) => setTimeout(resolve, 300));
  controller.abort();
  const heard: string[] = [];
  try {
    for await (const frame of frames) {
      heard.push((decodeFrame(frame, CLONER) as FromRunner).type);
    }
  } catch {
    // The connection broke.
  }
  assertEquals(heard, [...Array(20).fill("publish"), "gone"]);
  connection.close();
  assertEquals((await process.status).code, 1);
  await pestering;
  await drained;
});
