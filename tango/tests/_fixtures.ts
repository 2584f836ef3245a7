// Copyright 2026 the Longrun authors. MIT license.

import type { DevError } from "@longrun/tasks/device-proxy";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { fromOracle } from "./_oracle.ts";

/** The files of exchanges that `capture.ts` has written. */
export const EXCHANGES = [
  "basics",
  "commands",
  "reads",
  "writes",
  "errors",
  "subscribing",
] as const;

/** A request of PyTango and the reply of a server. */
export interface Exchange {
  /** The key of the object that was asked, a char for each byte. */
  readonly key: string;
  readonly operation: string;
  /** A message of GIOP 1.2 with its header, and the fragments that follow. */
  readonly request: Uint8Array;
  readonly reply: Uint8Array;
}

/** What the oracle was asked to do, and what went over the wire. */
export interface ExchangeCase {
  readonly description: string;
  /** What PyTango made of it, with bigints and bytes. */
  readonly expected?: unknown;
  /** What PyTango threw instead, its own reasons last. */
  readonly errors?: DevError[];
  readonly exchanges: readonly Exchange[];
}

/** What a server sent to a subscriber, from the greeting on. */
export interface Stream {
  readonly description: string;
  readonly topic: string;
  /** The events as PyTango heard them. */
  readonly expected: readonly Record<string, unknown>[];
  readonly bytes: Uint8Array;
}

/** How the files hold bytes, and values that JSON cannot. */
type Written<T> = {
  [K in keyof T]: T[K] extends Uint8Array ? string
    : T[K] extends readonly Exchange[] ? Written<Exchange>[]
    : T[K];
};

function read<T>(name: string): T {
  const url = new URL(`fixtures/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8"));
}

function toBytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

/** Reads a file of exchanges. */
export function readExchanges(
  name: typeof EXCHANGES[number],
): ExchangeCase[] {
  const { cases } = read<{ cases: Written<ExchangeCase>[] }>(name);
  return cases.map(({ expected, exchanges, ...rest }) => ({
    ...rest,
    expected: fromOracle(expected),
    exchanges: exchanges.map((exchange) => ({
      ...exchange,
      request: toBytes(exchange.request),
      reply: toBytes(exchange.reply),
    })),
  }));
}

/** Reads the streams of events and heartbeats. */
export function readStreams(): Stream[] {
  const { streams } = read<{ streams: Written<Stream>[] }>("events");
  return streams.map(({ expected, bytes, ...rest }) => ({
    ...rest,
    expected: fromOracle(expected) as Record<string, unknown>[],
    bytes: toBytes(bytes),
  }));
}
