// Copyright 2026 the Longrun authors. MIT license.

// A service under load: `_load_service.ts FOLDER`. Writes where it is, and for
// each line it reads how many events there were and what is on its heap. Needs
// `--v8-flags=--expose-gc`.

import process from "node:process";
import { createInterface } from "node:readline";
import { serve } from "../server.ts";

const [path = ""] = Deno.args;
const server = await serve({
  port: 0,
  policy: { roots: [{ path }] },
  maxLive: 6,
  maxRunning: 2,
  stream: { replay: 2000 },
});
let events = 0;
server.procedures.bus.onEvent("*", () => void events++);
console.log(JSON.stringify({ url: server.url }));
const { gc } = globalThis as unknown as { gc(): void };
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "end") break;
  if (line !== "") server.procedures.bus.publish(line, null);
  for (let time = 0; time < 3; time++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    gc();
  }
  const { heapUsed, rss } = Deno.memoryUsage();
  console.log(JSON.stringify({ events, heapUsed, rss }));
}
await server.close();
