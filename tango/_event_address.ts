// Copyright 2026 the Longrun authors. MIT license.

import { MarshalError } from "./_cdr_reader.ts";
import type { Endpoint } from "./_giop_connection.ts";

/** Where a server sends events, as the device that looks after it says. */
export interface EventAddress {
  readonly events: Endpoint;
  readonly heartbeats: Endpoint;
  readonly topic: string;
  readonly heartbeatTopic: string;
}

function endpointOf(text: unknown): Endpoint {
  const [, host, port] = /^tcp:\/\/\[?([^\]]+)\]?:(\d{1,5})$/.exec(
    String(text),
  ) ?? [];
  if (host === undefined || !(Number(port) > 0 && Number(port) < 65_536)) {
    throw new MarshalError(`${JSON.stringify(text)} is no address of events`);
  }
  return { host, port: Number(port) };
}

function topicOf(text: unknown): string {
  if (typeof text === "string" && text !== "") return text;
  throw new MarshalError(`${JSON.stringify(text)} is no topic of events`);
}

/**
 * Reads the answer to a subscription.
 *
 * @throws {MarshalError} If it is none.
 */
export function addressOf(answer: unknown): EventAddress {
  const strings: unknown = Array.isArray(answer) ? answer[1] : undefined;
  if (!Array.isArray(strings)) {
    throw new MarshalError("A server says nothing of its events");
  }
  // The addresses come in pairs, one for each network of the server.
  const [heartbeats, events] = strings;
  const [topic, heartbeatTopic] = strings.slice(-2);
  return {
    events: endpointOf(events),
    heartbeats: endpointOf(heartbeats),
    topic: topicOf(topic),
    heartbeatTopic: topicOf(heartbeatTopic),
  };
}

function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port;
}

/** Whether the same connections serve both. */
export function isSameServer(a: EventAddress, b: EventAddress): boolean {
  return isSameEndpoint(a.events, b.events) &&
    isSameEndpoint(a.heartbeats, b.heartbeats);
}
