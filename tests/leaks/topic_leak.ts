// Copyright 2026 the Longrun authors. MIT license.

import { Topic, type TopicSubscription } from "../../topic.ts";
import { CountingController } from "../_listeners.ts";
import { check, checkEnd, checkNone, heap, inRounds } from "./_watch.ts";

const COUNT = 10_000;
const ITEMS = 1_000_000;
const checkRounds = inRounds(COUNT, 20);
const checkItems = inRounds(ITEMS, 1);

const app = new CountingController();
const { signal } = app;
const topic = new Topic<number>();
const ignore = (): void => {};

function checkLeft(name: string): void {
  checkNone(`${name}, subscribers`, topic.subscribers);
  checkNone(`${name}, listeners`, app.listeners);
}

await checkRounds("subscriptions broken off", async () => {
  for (let n = 0; n < COUNT; n++) {
    const subscription = topic.subscribe({ signal });
    topic.publish(n);
    for await (const _ of subscription) break;
  }
});
checkLeft("subscriptions broken off");

await checkRounds("subscriptions aborted while they wait", async () => {
  const controller = new CountingController();
  const waits = Array.from(
    { length: COUNT },
    () => topic.subscribe({ signal: controller.signal }).next().catch(ignore),
  );
  topic.onPublish(ignore, { signal: controller.signal });
  controller.abort("dawn");
  await Promise.all(waits);
  if (controller.listeners !== 0) checkNone("listeners", controller.listeners);
});
checkLeft("subscriptions aborted while they wait");

await checkRounds("subscriptions that overflow", async () => {
  for (let n = 0; n < COUNT; n++) {
    topic.subscribe({ signal, capacity: 1, overflow: "error" });
    topic.publish(n);
    topic.publish(n);
  }
  await Promise.resolve();
});
checkLeft("subscriptions that overflow");

await checkRounds("callbacks that come and go", async () => {
  for (let n = 0; n < COUNT; n++) {
    const end = topic.onPublish(ignore, { signal });
    topic.publish(n);
    end();
  }
  await Promise.resolve();
});
checkLeft("callbacks that come and go");

const fast = topic.subscribe({ signal });
const slow = topic.subscribe({ signal });
const endCallback = topic.onPublish(() => Promise.resolve());
await checkItems(
  "values, to a subscriber, a full buffer and a callback",
  async () => {
    for (let n = 0; n < ITEMS; n++) {
      topic.publish(n);
      await fast.next();
    }
  },
);
check("values, a full buffer", slow.length === 10_000, `${slow.length}`);
await fast.return();
await slow.return();
endCallback();
checkLeft("values");

async function takeImages(
  images: Topic<object>,
  subscription: TopicSubscription<object>,
): Promise<WeakRef<object>[]> {
  const taken: WeakRef<object>[] = [];
  for (let n = 0; n < 20; n++) images.publish({ n });
  for (let n = 0; n < 10; n++) {
    const { value } = await subscription.next();
    if (value !== undefined) taken.push(new WeakRef(value.value));
  }
  return taken;
}

const images = new Topic<object>();
const subscription = images.subscribe();
const taken = await takeImages(images, subscription);
await heap();
// An engine may see the last one on its stack.
const kept = taken.filter((image) => image.deref() !== undefined).length;
check("values that were taken", kept <= 1, `${kept} of ${taken.length} kept`);
check("values that were not", subscription.length === 10, "10 kept");
subscription.clear();

const before = await heap();
const topics = Array.from({ length: COUNT }, () => new Topic<number>());
const each = (await heap() - before) / topics.length;
check("a topic without subscribers", each <= 160, `${each.toFixed(0)} bytes`);

checkEnd();
