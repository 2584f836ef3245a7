// Copyright 2026 the Longrun authors. MIT license.

import { MarshalError } from "./_cdr_reader.ts";
import type { Endpoint } from "./_giop_connection.ts";

/** One of the networks of a server. */
export interface EventRoute {
  readonly events: Endpoint;
  readonly heartbeats: Endpoint;
}

/** Where a server sends events, as the device that looks after it says. */
export interface EventAddress {
  /** Where to connect to, the best first. */
  readonly routes: readonly EventRoute[];
  readonly topic: string;
  readonly heartbeatTopic: string;
}

/** How many networks of a server are tried. */
const MAX_ROUTES = 8;

function parseEndpoint(text: unknown): Endpoint | undefined {
  const [, host, port] = /^tcp:\/\/\[?([^\]]+)\]?:(\d{1,5})$/.exec(
    String(text),
  ) ?? [];
  return host !== undefined && Number(port) > 0 && Number(port) < 65_536
    ? { host, port: Number(port) }
    : undefined;
}

function topicOf(text: unknown): string {
  if (typeof text === "string" && text !== "") return text;
  throw new MarshalError(`${JSON.stringify(text)} is no topic of events`);
}

/** The addresses, in pairs of heartbeats and events. */
function routesOf(addresses: readonly unknown[]): EventRoute[] {
  const routes: EventRoute[] = [];
  for (let at = 0; at + 1 < addresses.length; at += 2) {
    const heartbeats = parseEndpoint(addresses[at]);
    const events = parseEndpoint(addresses[at + 1]);
    if (heartbeats === undefined || events === undefined) continue;
    if (routes.push({ heartbeats, events }) === MAX_ROUTES) break;
  }
  return routes;
}

/**
 * Reads the answer to a subscription.
 *
 * @param host The server by which it came. It is tried, too: the names that
 * servers have for themselves are not known everywhere.
 * @throws {MarshalError} If it is none.
 */
export function addressOf(answer: unknown, host?: string): EventAddress {
  const strings: unknown = Array.isArray(answer) ? answer[1] : undefined;
  if (!Array.isArray(strings) || strings.length < 4) {
    throw new MarshalError("A server says nothing of its events");
  }
  const routes = routesOf(strings.slice(0, -2));
  const [first] = routes;
  if (first === undefined) {
    throw new MarshalError("A server says nothing of where its events are");
  }
  if (
    host !== undefined && routes.every(({ events }) => events.host !== host)
  ) {
    routes.push({
      events: { host, port: first.events.port },
      heartbeats: { host, port: first.heartbeats.port },
    });
  }
  const [topic, heartbeatTopic] = strings.slice(-2);
  return {
    routes,
    topic: topicOf(topic),
    heartbeatTopic: topicOf(heartbeatTopic),
  };
}

function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port;
}

function isSameRoute(a: EventRoute, b: EventRoute | undefined): boolean {
  return b !== undefined && isSameEndpoint(a.events, b.events) &&
    isSameEndpoint(a.heartbeats, b.heartbeats);
}

/** Whether the same connections serve both. */
export function isSameServer(a: EventAddress, b: EventAddress): boolean {
  const [first] = a.routes;
  return first !== undefined && isSameRoute(first, b.routes[0]);
}
