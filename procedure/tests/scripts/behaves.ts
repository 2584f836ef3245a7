// Copyright 2026 the Longrun authors. MIT license.

// deno-lint-ignore-file no-console

import type { ScriptArguments } from "../../script_module.ts";
import { ANSWER } from "./answer.ts";

export const notAFunction = ANSWER;

export function init(): void {
  console.log("init");
}

export function main({ args, kwargs, context, pid }: ScriptArguments): void {
  console.log(JSON.stringify({ args, kwargs, context, pid, ANSWER }));
  console.error("to stderr");
}

export async function withoutNewline(): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode("no end"));
}

export function publishMany({ publish, kwargs }: ScriptArguments): void {
  for (let index = 0; index < Number(kwargs.count); index++) {
    publish("user.count", { index, at: new Date(0) });
  }
}

export function refused({ publish, log, context }: ScriptArguments): void {
  const topics = [
    "procedure.x",
    "request.procedure.stop",
    "stream.gap",
    "",
    "a..b",
  ];
  for (const topic of topics) {
    try {
      publish(topic);
    } catch (error) {
      log.info((error as Error).name);
    }
  }
  try {
    publish("user.topic", () => {});
  } catch (error) {
    log.info((error as Error).name);
  }
  try {
    (context as { waitForQaReady: boolean }).waitForQaReady = true;
  } catch (error) {
    log.info((error as Error).name);
  }
}

export function logs({ log }: ScriptArguments): void {
  log.info("one", { two: 3 });
  log.warn("first\nsecond");
}

export async function listen(
  { subscribe, publish }: ScriptArguments,
): Promise<void> {
  await using events = subscribe(["dish.*", "weather"]);
  for await (const { topic, data, source } of events) {
    publish("user.heard", { topic, data, source });
    if (topic === "weather") break;
  }
}

export async function listenLate(
  { subscribe, publish }: ScriptArguments,
): Promise<void> {
  await using events = subscribe("*");
  publish("user.ready");
  const until = Date.now() + 400;
  while (Date.now() < until);
  let seen = 0;
  for await (const { topic } of events) {
    seen++;
    if (topic === "end") break;
  }
  publish("user.seen", { seen, dropped: events.dropped });
}

export function fails(): never {
  throw new RangeError("too far", { cause: new Error("inner") });
}

export function failsOddly(): never {
  throw null;
}

export function recurses(): number {
  return recurses() + 1;
}

export async function rejectsBeside(): Promise<void> {
  Promise.reject(new TypeError("nobody looks"));
  await new Promise(() => setInterval(() => {}, 1_000));
}

export async function throwsBeside(): Promise<void> {
  setTimeout(() => {
    throw new TypeError("in a timer");
  }, 1);
  await new Promise(() => setInterval(() => {}, 1_000));
}

export function busy({ publish }: ScriptArguments): never {
  publish("user.started");
  for (;;);
}

export function polls({ aborted, publish }: ScriptArguments): void {
  publish("user.started");
  while (!aborted());
  console.log("aborted");
}

export async function obeys(
  { signal, publish }: ScriptArguments,
): Promise<void> {
  publish("user.started");
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  publish("user.cleaned", (signal.reason as Error).name);
}

export async function obeysTwice(
  { signal, publish }: ScriptArguments,
): Promise<void> {
  // Nobody looks at this one.
  new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason))
  );
  publish("user.started");
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  publish("user.cleaned");
}

export function publishesAndExits({ publish, log }: ScriptArguments): void {
  for (let index = 0; index < 200; index++) publish("user.count", index);
  log.info("last words");
  Deno.exit(0);
}

export async function ignores({ publish }: ScriptArguments): Promise<void> {
  publish("user.started");
  await new Promise(() => setInterval(() => {}, 1_000));
}

export function defiesSignals({ publish }: ScriptArguments): never {
  Deno.addSignalListener("SIGTERM", () => {});
  publish("user.started");
  for (;;);
}

export function exits(): void {
  Deno.exit(3);
}

export function closes(): void {
  self.close();
}

export async function exitsAsNode(): Promise<void> {
  const { default: process } = await import("node:process");
  process.exit(3);
}

export function hoards(): void {
  const all: unknown[] = [];
  for (;;) all.push(new Array(1_000).fill(Math.random()));
}

export function hoardsBuffers(): void {
  const all: unknown[] = [];
  for (;;) all.push(new Uint8Array(16_777_216).fill(1));
}

export function floodsLines(): void {
  for (;;) console.log("y");
}

export function floodsOneLine(): void {
  const bytes = new Uint8Array(65_536).fill(121);
  for (;;) Deno.stdout.writeSync(bytes);
}

export function floodsBinary(): void {
  const bytes = crypto.getRandomValues(new Uint8Array(65_536));
  for (;;) Deno.stderr.writeSync(bytes);
}

export function floodsTopic({ publish }: ScriptArguments): void {
  const data = "y".repeat(100_000);
  for (;;) publish("user.flood", data);
}

export function floodsSubscriptions({ subscribe }: ScriptArguments): void {
  for (;;) subscribe("user.flood").return();
}

export function publishesMuch({ publish }: ScriptArguments): void {
  publish("user.much", new Uint8Array(3 * 1_024 * 1_024));
  publish("user.shared", new SharedArrayBuffer(8));
  publish("user.little", 1);
}

export function writesLines({ kwargs }: ScriptArguments): void {
  for (let line = 1; line <= Number(kwargs.count); line++) console.log(line);
}

export function writesLongLine({ kwargs }: ScriptArguments): void {
  console.log("y".repeat(Number(kwargs.count)));
}
