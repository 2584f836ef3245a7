// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import type { Clock } from "@longrun/tasks/clock";
import { ManualClock } from "@longrun/tasks/testing";
import { EventLink } from "../_event_link.ts";
import { pause } from "./_child.ts";
import { ZmtpPublisher } from "./_zmtp_publisher.ts";

/** The time of a process that can be held up: timers are late then. */
class HeldUpClock implements Clock {
  readonly manual: ManualClock = new ManualClock();
  /** How often it was asked for the time. */
  asked = 0;
  #heldUp = 0;

  now(): number {
    this.asked++;
    return this.manual.now() + this.#heldUp;
  }

  setTimer(...timer: Parameters<Clock["setTimer"]>): () => void {
    return this.manual.setTimer(...timer);
  }

  holdUp(ms: number): void {
    this.#heldUp += ms;
  }
}

/** Sends a heartbeat, and waits until it was noticed. */
async function beat(
  publisher: ZmtpPublisher,
  clock: HeldUpClock,
): Promise<void> {
  const { asked } = clock;
  publisher.publish("heartbeat");
  while (clock.asked === asked) await pause(5);
}

/** A link to a publisher, and whether it was lost. */
async function linked(publisher: ZmtpPublisher, clock: Clock): Promise<{
  link: EventLink;
  isLost: () => boolean;
}> {
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
  return { link, isLost: () => isLost };
}

test("EventLink is lost after 13 s without a heartbeat", async () => {
  await using publisher = await ZmtpPublisher.listen();
  const clock = new HeldUpClock();
  const { link, isLost } = await linked(publisher, clock);
  await clock.manual.advance(9_000);
  await beat(publisher, clock);
  await clock.manual.advance(12_999);
  assertEquals(isLost(), false);
  await clock.manual.advance(1);
  assertEquals(isLost(), true);
  link.close();
});

test("EventLink reads what has come while the process was held up", async () => {
  await using publisher = await ZmtpPublisher.listen();
  const clock = new HeldUpClock();
  const { link, isLost } = await linked(publisher, clock);
  clock.holdUp(60_000);
  await clock.manual.advance(13_000);
  assertEquals(isLost(), false);
  await beat(publisher, clock);
  await clock.manual.advance(12_999);
  assertEquals(isLost(), false);
  await clock.manual.advance(1);
  assertEquals(isLost(), true);
  link.close();
});

test("EventLink is lost soon after, if nothing has come", async () => {
  await using publisher = await ZmtpPublisher.listen();
  const clock = new HeldUpClock();
  const { link, isLost } = await linked(publisher, clock);
  clock.holdUp(60_000);
  await clock.manual.advance(13_000);
  assertEquals(isLost(), false);
  await clock.manual.advance(1_000);
  assertEquals(isLost(), true);
  link.close();
});

test("EventLink waits once for a server that does not say what it knows", async () => {
  await using publisher = await ZmtpPublisher.listen({ isOld: true });
  const clock = new HeldUpClock();
  const { link } = await linked(publisher, clock);
  const { signal } = new AbortController();
  const known = link.known(signal);
  await clock.manual.advance(2_000);
  await known;
  await link.known(signal);
  link.close();
});

test("EventLink waits again for a server that was too busy once", async () => {
  await using publisher = await ZmtpPublisher.listen();
  const clock = new HeldUpClock();
  const { link } = await linked(publisher, clock);
  const { signal } = new AbortController();
  await link.known(signal);
  publisher.pause();
  for (let times = 0; times < 2; times++) {
    let isKnown = false;
    const known = link.known(signal).then(() => isKnown = true);
    await clock.manual.advance(1_999);
    assertEquals(isKnown, false);
    await clock.manual.advance(1);
    await known;
  }
  link.close();
});
