// Copyright 2026 the Longrun authors. MIT license.

/** When a command has to have ended, has to tell, and is asked for. */

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { type AttachLrcOptions, settingsOf } from "../_lrc_client_options.ts";
import { LrcDeadlines } from "../_lrc_deadlines.ts";
import { HeldClock } from "./_held_clock.ts";

/** Deadlines that begin now, and what they have told, each with its time. */
function watch(options: AttachLrcOptions) {
  const held = new HeldClock();
  const clock = held.manual;
  const told: [string, number][] = [];
  const settings = settingsOf("test", { ...options, clock: held });
  const deadlines = new LrcDeadlines({
    settings,
    command: "Scan",
    deadline: settings.timeout,
    onTimeout: (kind, now) => {
      told.push([kind, now]);
      deadlines.end();
    },
    onSilence: () => void told.push(["silence", clock.now()]),
  });
  deadlines.begin();
  return { clock, held, told, deadlines };
}

test("Deadlines tell once that the time is over, and no timer is left", async () => {
  const { clock, told } = watch({ timeout: 100, silence: Infinity });
  await clock.advance(500);
  assertEquals(told.filter(([what]) => what !== "silence"), [["overall", 100]]);
  assertEquals(clock.pending, []);
});

test("Deadlines move away with news, and the end of all with progress only", async () => {
  const { clock, told, deadlines } = watch({
    timeout: 100,
    idleTimeout: 80,
    extendOnProgress: 50,
  });
  await clock.advance(70);
  deadlines.heed(false, clock.now());
  await clock.advance(20);
  deadlines.heed(true, clock.now());
  await clock.advance(100);
  assertEquals(told.filter(([what]) => what !== "silence"), [["overall", 140]]);
});

test("Deadlines tell that there are no news, and sooner where none ever came", async () => {
  const never = watch({ idleTimeout: 100, firstEventTimeout: 30 });
  await never.clock.advance(500);
  assertEquals(never.told.at(-1), ["idle", 30]);
  const once = watch({ idleTimeout: 100, firstEventTimeout: 30 });
  await once.clock.advance(20);
  once.deadlines.heed(true, once.clock.now());
  await once.clock.advance(500);
  assertEquals(once.told.at(-1), ["idle", 120]);
});

test("Deadlines do not tell of silence while the device is asked", async () => {
  const poll = { delay: () => 10 };
  const { clock, told, deadlines } = watch({ poll });
  await clock.advance(10);
  assertEquals(told, [["silence", 10]]);
  deadlines.beginAsking();
  await clock.advance(100);
  deadlines.heed(true, clock.now());
  await clock.advance(100);
  assertEquals(told.length, 1);
  deadlines.endAsking();
  await clock.advance(10);
  assertEquals(told.at(-1), ["silence", 220]);
  deadlines.end();
  deadlines.endAsking();
  await clock.advance(100);
  assertEquals(told.length, 2);
  assertEquals(clock.pending, []);
});

test("Deadlines let a program that was held up read the news first", async () => {
  const { clock, held, told, deadlines } = watch({
    idleTimeout: 1_000,
    silence: Infinity,
  });
  held.held = 5_000;
  await clock.advance(1_000);
  assertEquals(told, []);
  deadlines.heed(true, held.now());
  await clock.advance(999);
  assertEquals(told, []);
  await clock.advance(1);
  assertEquals(told, [["idle", 7_000]]);
});

test("Deadlines are over soon after a program was held up without news", async () => {
  const { clock, held, told } = watch({ timeout: 1_000, silence: Infinity });
  held.held = 5_000;
  await clock.advance(1_000);
  assertEquals(told, []);
  await clock.advance(50);
  assertEquals(told, [["overall", 6_050]]);
  assertEquals(clock.pending, []);
});
