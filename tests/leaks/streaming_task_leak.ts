// Copyright 2026 the Longrun authors. MIT license.

import { StreamingTask } from "../../streaming_task.ts";
import { CountingController } from "../_listeners.ts";
import { checkEnd, checkNone, inRounds } from "./_watch.ts";

const COUNT = 1000;
const ITEMS = 100_000;
const checkRounds = inRounds(COUNT, 200);
const checkItems = inRounds(ITEMS, 2);
const HOUR = 3_600_000;

const app = new CountingController();
const never = <T>(): Promise<T> => new Promise(() => {});

async function* endless(): AsyncGenerator<number> {
  for (let n = 0;; n++) yield await Promise.resolve(n);
}

function hung(): AsyncIterator<number> {
  return {
    next: never,
    return: () => Promise.resolve({ done: true, value: undefined }),
  };
}

for (
  const [name, source] of [["hang", hung], ["flow", endless]] as const
) {
  const task = new StreamingTask<number>({
    name,
    source,
    onItem: () => {},
    timeout: HOUR,
  });

  await checkRounds(`starts and stops of streams that ${name}`, async () => {
    for (let n = 0; n < COUNT; n++) {
      await task.start({ signal: app.signal });
      await task.stop();
    }
  });

  await checkRounds(`restarts of streams that ${name}`, async () => {
    for (let n = 0; n < COUNT; n++) await task.start({ signal: app.signal });
    await task.stop();
  });

  await checkRounds(`tasks over streams that ${name}`, async () => {
    for (let n = 0; n < COUNT; n++) {
      await using task = new StreamingTask<number>({
        name,
        source,
        onItem: () => {},
        timeout: HOUR,
      });
      await task.start({ signal: app.signal });
    }
  });
  checkNone(`streams that ${name}, listeners`, app.listeners);
}

const items = new StreamingTask<number>({
  name: "items",
  source: function* () {
    for (let n = 0; n < ITEMS; n++) yield n;
  },
  onItem: () => {},
  timeout: HOUR,
});

await checkItems("items of a stream", async () => {
  await items.start({ signal: app.signal });
  await items.join();
});
checkNone("items of a stream, listeners", app.listeners);

checkEnd();
