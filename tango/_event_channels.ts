// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import { EventChannel, type EventChannelOptions } from "./_event_channel.ts";

const channels = new WeakMap<Clock, Map<string, EventChannel>>();

/** The channel of a server, for all proxies of its devices. */
export function channelOf(
  server: string,
  options: Omit<EventChannelOptions, "onIdle">,
  onIdle: () => void,
): EventChannel {
  let known = channels.get(options.clock);
  if (known === undefined) channels.set(options.clock, known = new Map());
  let channel = known.get(server);
  if (channel === undefined) {
    channel = new EventChannel({
      ...options,
      onIdle: () => {
        known.delete(server);
        onIdle();
      },
    });
    known.set(server, channel);
  } else {
    // Whoever came first has made what the channel needs.
    onIdle();
  }
  return channel;
}
