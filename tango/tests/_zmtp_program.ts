// Copyright 2026 the Longrun authors. MIT license.

/**
 * Connects to the port that the first argument names, says so, and leaves the
 * rest to the runtime: a message ends it. The second argument is its topic.
 *
 * @module
 */

import process from "node:process";
import { ZmtpSubscriber } from "../_zmtp_subscriber.ts";
import { textOf } from "./_zmtp_publisher.ts";

const [port, ref] = process.argv.slice(2);
const subscriber = new ZmtpSubscriber({
  onMessage: (frames) => {
    console.log(frames.map(textOf).join("|"));
    subscriber.close();
  },
  ref: ref === "true",
});
// A first reason to live, which ends when the handshake is over.
const timer = setTimeout(() => {}, 10_000);
await subscriber.connect("127.0.0.1", Number(port), { timeout: 10_000 });
clearTimeout(timer);
subscriber.subscribe(`${ref}`);
console.log("ready");
