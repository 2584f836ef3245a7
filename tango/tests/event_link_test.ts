// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { HeldClock } from "../../tests/_held_clock.ts";
import { ANSWER, EventLink } from "../_event_link.ts";
import { pause } from "./_child.ts";
import { ZmtpPublisher, type ZmtpPublisherOptions } from "./_zmtp_publisher.ts";

/** Sends a heartbeat, and waits until it was noticed. */
async function beat(
  publisher: ZmtpPublisher,
  clock: HeldClock,
): Promise<void> {
  const { asked } = clock;
  publisher.publish("heartbeat");
  while (clock.asked === asked) await pause(5);
}

interface Linked extends AsyncDisposable {
  readonly publisher: ZmtpPublisher;
  readonly clock: HeldClock;
  readonly link: EventLink;
  isLost(): boolean;
}

/** A link to a publisher, and whether it was lost. */
async function linked(options?: ZmtpPublisherOptions): Promise<Linked> {
  const publisher = await ZmtpPublisher.listen(options);
  const clock = new HeldClock();
  const endpoint = { host: "127.0.0.1", port: publisher.port };
  const link = await EventLink.open({
    routes: [{ events: endpoint, heartbeats: endpoint }],
    topic: "events",
    heartbeatTopic: "heartbeat",
  }, {
    clock,
    timeout: 5_000,
    maxMessage: 1_000,
    signal: new AbortController().signal,
  });
  await publisher.logged("+heartbeat");
  let isLost = false;
  link.lost.then(() => isLost = true);
  return {
    publisher,
    clock,
    link,
    isLost: () => isLost,
    async [Symbol.asyncDispose]() {
      link.close();
      await publisher[Symbol.asyncDispose]();
    },
  };
}

test("EventLink is lost after 13 s without a heartbeat", async () => {
  await using all = await linked();
  const { publisher, clock, isLost } = all;
  await clock.manual.advance(9_000);
  await beat(publisher, clock);
  await clock.manual.advance(12_999);
  assertEquals(isLost(), false);
  await clock.manual.advance(1);
  assertEquals(isLost(), true);
});

test("EventLink reads what has come while the process was held up", async () => {
  await using all = await linked();
  const { publisher, clock, isLost } = all;
  clock.held = 60_000;
  await clock.manual.advance(13_000);
  assertEquals(isLost(), false);
  await beat(publisher, clock);
  await clock.manual.advance(12_999);
  assertEquals(isLost(), false);
  await clock.manual.advance(1);
  assertEquals(isLost(), true);
});

test("EventLink is lost soon after, if nothing has come", async () => {
  await using all = await linked();
  const { clock, isLost } = all;
  clock.held = 60_000;
  await clock.manual.advance(13_000);
  assertEquals(isLost(), false);
  await clock.manual.advance(1_000);
  assertEquals(isLost(), true);
});

test("EventLink waits once for a server that does not say what it knows", async () => {
  await using all = await linked({ isOld: true });
  const { clock, link } = all;
  const { signal } = new AbortController();
  const known = link.known(signal);
  await clock.manual.advance(ANSWER);
  await known;
  await link.known(signal);
});

test("EventLink waits again for a server that was too busy once", async () => {
  await using all = await linked();
  const { publisher, clock, link } = all;
  const { signal } = new AbortController();
  await link.known(signal);
  publisher.pause();
  for (let times = 0; times < 2; times++) {
    let isKnown = false;
    const known = link.known(signal).then(() => isKnown = true);
    await clock.manual.advance(ANSWER - 1);
    assertEquals(isKnown, false);
    await clock.manual.advance(1);
    await known;
  }
});
