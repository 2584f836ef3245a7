// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { MarshalError } from "../_cdr_reader.ts";
import { addressOf, isSameServer } from "../_event_address.ts";

function answer(...strings: unknown[]): unknown {
  return [[934, 5], [...strings, "topic", "heartbeat"]];
}

function hosts(strings: unknown[], host?: string): string[] {
  const { routes } = addressOf(answer(...strings), host);
  return routes.map(({ events, heartbeats }) =>
    `${heartbeats.host}:${heartbeats.port} ${events.host}:${events.port}`
  );
}

test("addressOf knows all networks of a server, and where it was reached", () => {
  const one = ["tcp://a:1", "tcp://a:2"];
  const other = ["tcp://[::1]:3", "tcp://[::1]:4"];
  assertEquals(hosts(one), ["a:1 a:2"]);
  assertEquals(hosts(one, "a"), ["a:1 a:2"]);
  assertEquals(hosts(one, "b"), ["a:1 a:2", "b:1 b:2"]);
  assertEquals(hosts([...one, ...other], "::1"), ["a:1 a:2", "::1:3 ::1:4"]);
  assertEquals(hosts(["pgm://a:1", "pgm://a:2", ...one]), ["a:1 a:2"]);
});

test("addressOf takes no endless list of networks", () => {
  const many = Array.from({ length: 2000 }, (_, n) => `tcp://host:${n + 1}`);
  assertEquals(hosts(many).length, 8);
});

test("addressOf refuses what says nothing of events", () => {
  for (
    const one of [
      undefined,
      "tcp://a:1",
      [[], "text"],
      [[], []],
      [[], ["tcp://a:1", "tcp://a:2"]],
      answer("tcp://a:0", "tcp://a:65536"),
      answer("a:1", 5),
      [[], ["tcp://a:1", "tcp://a:2", "", "heartbeat"]],
      [[], ["tcp://a:1", "tcp://a:2", "topic", {}]],
    ]
  ) {
    assertThrows(() => addressOf(one), MarshalError);
  }
});

test("isSameServer does not mind how a server was reached", () => {
  const strings = ["tcp://a:1", "tcp://a:2"];
  const one = addressOf(answer(...strings), "b");
  assert(isSameServer(one, addressOf(answer(...strings))));
  assert(!isSameServer(one, addressOf(answer("tcp://a:1", "tcp://a:3"))));
});
