// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "../../clock.ts";
import { type Loop, loop } from "../../loop.ts";
import { CountingController } from "../_listeners.ts";
import { check, checkEnd, checkNone, inRounds } from "./_watch.ts";

const COUNT = 10_000;
const HOUR = 3_600_000;
const checkRounds = inRounds(COUNT, 20);

const app = new CountingController();
const { signal } = app;

const many = (make: () => Loop): Loop[] => Array.from({ length: COUNT }, make);

async function stopAll(loops: Loop[]): Promise<void> {
  await Promise.resolve();
  await Promise.all(loops.map((loop) => loop.stop()));
  await Promise.all(loops.map((loop) => loop.join()));
}

await checkRounds("loops started and stopped", async () => {
  await stopAll(many(() => loop(() => {}, { period: HOUR })));
});

await checkRounds("loops on a signal that lives", async () => {
  await stopAll(many(() => loop(() => {}, { period: HOUR, signal })));
});
checkNone("loops on a signal that lives, listeners", app.listeners);

await checkRounds("loops stopped by a signal", async () => {
  const night = new CountingController();
  const loops = many(() =>
    loop(() => {}, { period: HOUR, signal: night.signal })
  );
  await Promise.resolve();
  night.abort("dawn");
  await Promise.all(loops.map((loop) => loop.join()));
});

await checkRounds("loops stopped before their first round", async () => {
  await Promise.all(
    many(() => loop(() => {}, { period: HOUR, signal })).map((loop) =>
      loop.stop()
    ),
  );
});

await checkRounds("loops stopped in a round that sleeps", async () => {
  await stopAll(
    many(() => loop(({ sleep }) => sleep(HOUR), { period: 1, signal })),
  );
});

await checkRounds("loops that fail", async () => {
  const fail = () => Promise.reject("by design");
  await Promise.all(
    many(() => loop(fail, { period: 1, signal })).map((loop) =>
      loop.join().catch(() => {})
    ),
  );
});

await checkRounds("joins cut short on a loop that lives", async () => {
  const lives = loop(() => {}, { period: HOUR });
  const impatient = new AbortController();
  const joins = Array.from(
    { length: COUNT },
    () => lives.join({ signal: impatient.signal }).catch(() => {}),
  );
  impatient.abort("impatient");
  await Promise.all(joins);
  await lives.stop();
});
checkNone("loops that ended in any way, listeners", app.listeners);

/** A clock whose only timer comes due when it is told to. */
class Crank implements Clock {
  #time = 0;
  #callback: (() => void) | undefined = undefined;

  now(): number {
    return this.#time;
  }

  setTimer(callback: () => void, delay: number): () => void {
    this.#time += delay;
    this.#callback = callback;
    return () => this.#callback = undefined;
  }

  turn(): void {
    this.#callback?.();
  }
}

const crank = new Crank();
const steady = loop(() => {}, { period: 1, clock: crank, signal });
await checkRounds("rounds that are synchronous", async () => {
  await Promise.resolve();
  for (let round = 0; round < COUNT; round++) crank.turn();
});
check(
  "rounds that are synchronous, all of them",
  steady.statistics.rounds === 4 * COUNT + 1,
  `${steady.statistics.rounds}`,
);
await steady.stop();

const slow = loop(({ signal }) => Promise.resolve(signal), {
  period: 1,
  clock: crank,
  signal,
});
await checkRounds("rounds that return promises", async () => {
  for (let round = 0; round < COUNT; round++) {
    for (let turn = 0; turn < 3; turn++) await undefined;
    crank.turn();
  }
});
check(
  "rounds that return promises, all of them",
  slow.statistics.rounds === 4 * COUNT + 1,
  `${slow.statistics.rounds}`,
);

await checkRounds("changes of the period", async () => {
  for (let time = 0; time < COUNT; time++) slow.period = 1000 + time;
  await undefined;
});
await slow.stop();

checkEnd();
