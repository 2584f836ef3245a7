// Copyright 2026 the Longrun authors. MIT license.

/** What goes over the wire, apart from those who send it. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { BodyLimitError, readText } from "../_lrc_http_body.ts";
import { isLoopback } from "../_lrc_http_gate.ts";
import { Once } from "../_lrc_http_once.ts";
import { parsePrefer } from "../_lrc_http_prefer.ts";
import {
  formatEvent,
  formatRetry,
  HEARTBEAT,
  type SseEvent,
  SseLimitError,
  SseParser,
} from "../_lrc_http_sse.ts";
import {
  encodeJson,
  formatId,
  parseId,
  randomId,
  readEvent,
  readReasons,
} from "../_lrc_http_wire.ts";
import { ManualClock } from "../testing.ts";

function parse(...pieces: string[]): SseEvent[] {
  const events: SseEvent[] = [];
  const parser = new SseParser(1000, (event) => void events.push(event));
  for (const piece of pieces) parser.push(piece);
  return events;
}

test("SseParser reads what formatEvent writes", () => {
  const text = formatEvent("change", '{"a":1}', "x-1") + HEARTBEAT +
    formatRetry(1000) + formatEvent("gap", "{}", undefined);
  assertEquals(parse(text), [
    { event: "change", data: '{"a":1}', id: "x-1" },
    { event: "gap", data: "{}", id: "x-1" },
  ]);
});

test("SseParser follows the rules of the format", () => {
  const lines = [
    "\uFEFF: a comment",
    "event: first",
    "data:one",
    "data: two",
    "data",
    "",
    "id: 7",
    "id: not\0this",
    "nonsense: x",
    "retry: 20",
    "retry: soon",
    "",
    "data:  three",
    "",
    "data: never",
  ];
  const expected = [
    { event: "first", data: "one\ntwo\n", id: "" },
    { event: "message", data: " three", id: "7" },
  ];
  for (const end of ["\n", "\r", "\r\n"]) {
    assertEquals(parse(lines.join(end)), expected);
  }
});

test("SseParser reads the same wherever the text is cut", () => {
  const part = fc.constantFrom(
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "data: a",
    "data:",
    "event: b",
    "id: c",
    ": d",
    "retry: 5",
    " ",
    "é",
    "\uFEFF",
  );
  fc.assert(fc.property(
    fc.array(part, { maxLength: 40 }).map((parts) => parts.join("")),
    fc.array(fc.nat({ max: 60 })),
    (text, cuts) => {
      const places = cuts.filter((cut) => cut < text.length)
        .toSorted((a, b) => a - b);
      const pieces = [0, ...places].map((from, index) =>
        text.slice(from, places[index] ?? text.length)
      );
      assertEquals(pieces.join(""), text);
      assertEquals(parse(...pieces), parse(text));
      assertEquals(parse(...text), parse(text));
    },
  ));
});

test("SseParser refuses a line, an event and a rest that are too long", () => {
  const long = "x".repeat(600);
  for (
    const pieces of [
      [`data: ${long}${long}\n`],
      [`data: ${long}\ndata: ${long}\n`],
      [long, long],
      [`: ${long}`, `${long}\n`],
    ]
  ) {
    assertThrows(() => parse(...pieces), SseLimitError, "longer than 1000");
  }
  assertEquals(parse(`data: ${long}\n\ndata: ${long}\n\n`).length, 2);
});

test("An id stands for a position, and other ids for none", () => {
  const position = { epoch: randomId(), sequence: 42 };
  assertEquals(parseId(formatId(position)), position);
  assert(randomId() !== randomId());
  for (const id of ["", "1", "a-", "-1", "a-b", "A-1", "a-1-2", "a-1 "]) {
    assertEquals(parseId(id), undefined, id);
  }
});

test("parsePrefer reads what clients prefer", () => {
  const none = { respondAsync: false, wait: undefined };
  assertEquals(parsePrefer(null), none);
  assertEquals(parsePrefer("return=minimal, wait=, wait=-1, wait=1.5"), none);
  assertEquals(parsePrefer("Respond-Async; x=1 , WAIT = 10, wait=20"), {
    respondAsync: true,
    wait: 10_000,
  });
  assertEquals(parsePrefer('wait="3"').wait, 3000);
});

test("encodeJson has words for what JSON has none for", () => {
  assertEquals(encodeJson(undefined), "null");
  assertEquals(encodeJson([1n, 2n ** 64n + 1n]), '[1,"18446744073709551617"]');
  assertEquals(encodeJson(-(10n ** 400n)), `"-1${"0".repeat(400)}"`);
  assertEquals(encodeJson(new Float32Array([0.5, 1])), "[0.5,1]");
  assertEquals(encodeJson({ value: undefined }), "{}");
  const circle: unknown[] = [];
  circle.push(circle);
  assertThrows(() => encodeJson(circle), TypeError);
});

test("readEvent and readReasons take what they understand", () => {
  assertEquals(readEvent("{", "a"), undefined);
  assertEquals(readEvent("[]", "a"), undefined);
  assertEquals(readEvent("{}", "a"), { attribute: "a", value: undefined });
  assertEquals(readEvent('{"attribute":"b","value":[1]}', "a"), {
    attribute: "b",
    value: [1],
  });
  const errors = [{ reason: "R", desc: "d", severity: "ERR", origin: "" }];
  assertEquals(
    readEvent('{"errors":[{"reason":"R","desc":"d","severity":"odd"}]}', "a"),
    { attribute: "a", errors: errors as never },
  );
  for (const value of [undefined, [], {}, [1], [{ reason: "R" }]]) {
    assertEquals(readReasons(value), undefined);
  }
});

test("readText stops at the limit, whoever sends more", async () => {
  let pulled = 0;
  let isLeft = false;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(10));
    },
    cancel() {
      isLeft = true;
    },
  });
  await assertRejects(() => readText(endless, 25), BodyLimitError);
  assert(isLeft && pulled <= 4);
  assertEquals(await readText(null, 1), "");
  assertEquals(await readText(new Response("h€").body, 4), "h€");
  const broken = new Response(new Uint8Array([0xff])).body;
  await assertRejects(() => readText(broken, 4), TypeError);
});

test("Only names of this machine are loopback names", () => {
  for (const host of ["localhost", "a.localhost", "127.0.0.1", "[::1]"]) {
    assert(isLoopback(host), host);
  }
  for (
    const host of [
      "localhost.example",
      "127.0.0.1.example",
      "notlocalhost",
      "10.0.0.1",
      "[::2]",
    ]
  ) {
    assert(!isLoopback(host), host);
  }
});

test("Once does things once, for a while, and keeps no more than a thousand answers", async () => {
  const clock = new ManualClock();
  const once = new Once<number>(clock);
  let count = 0;
  const work = (): Promise<number> => Promise.resolve(++count);
  assertEquals(await once.ask("a", "", work), 1);
  await clock.advance(29_999);
  assertEquals(await once.ask("a", "", work), 1);
  await clock.advance(1);
  assertEquals(await once.ask("a", "", work), 2);
  for (let n = 0; n < 999; n++) await once.ask(`${n}`, "", work);
  assertEquals(await once.ask("998", "", work), 1001);
  assertEquals(await once.ask("a", "", work), 1002);
  assertEquals(once.ask("a", "b", work), undefined);
  assertEquals(await once.ask("a", "", work), 1002);
});
