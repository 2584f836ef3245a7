// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Problem } from "./_lrc_http_problem.ts";
import { KEY_HEADER } from "./_lrc_http_wire.ts";

/** Who may ask. */
export interface GateSettings {
  /** The names of this server; `undefined` for any. */
  readonly hosts: readonly string[] | undefined;
  /** The origins of other pages that may ask. */
  readonly cors: readonly string[];
}

const METHODS = "GET, HEAD, POST";

/** Whether a host name means this very machine, wherever it is looked up. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") ||
    hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function hostnameOf(host: string): string | undefined {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return undefined;
  }
}

function isSame(origin: string, url: URL, host: string | null): boolean {
  try {
    // Without the scheme: whoever ends the encryption before us changes it.
    const asked = new URL(origin).host;
    return asked === url.host || asked === host;
  } catch {
    return false;
  }
}

/**
 * Whether a page of elsewhere has made its browser ask, and without an origin,
 * as for an image. Who follows a link is no page.
 */
function isEmbedding(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  return (site === "cross-site" || site === "same-site") &&
    headers.get("sec-fetch-mode") !== "navigate";
}

/**
 * Lets a request through, or not: a page of elsewhere must not reach a device
 * through the browser of somebody who may.
 *
 * @returns The headers that tell the browser so.
 * @throws {Problem} If it may not.
 */
export function checkGate(
  request: Request,
  url: URL,
  settings: GateSettings,
): Record<string, string> {
  const { hosts, cors } = settings;
  const host = request.headers.get("host");
  const names = [url.hostname, ...(host === null ? [] : [hostnameOf(host)])];
  const isOurs = (name: string | undefined): boolean =>
    name !== undefined &&
    (hosts === undefined || hosts.includes(name) ||
      (hosts.length === 0 && isLoopback(name)));
  if (!names.every(isOurs)) {
    throw new Problem(421, "wrong-host", "This server has another name");
  }
  const origin = request.headers.get("origin");
  if (origin !== null && cors.includes(origin)) {
    return {
      "access-control-allow-origin": origin,
      "access-control-expose-headers":
        "Location, Preference-Applied, Retry-After",
      vary: "Origin",
    };
  }
  const isOwn = origin === null
    ? !isEmbedding(request.headers)
    : isSame(origin, url, host);
  if (isOwn) return {};
  throw new Problem(
    403,
    "foreign-origin",
    "Pages of another origin may not ask",
  );
}

/** The answer to a browser that asks whether it may ask. */
export function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": METHODS,
      "access-control-allow-headers":
        `Authorization, Content-Type, ${KEY_HEADER}, Last-Event-ID, Prefer`,
      "access-control-max-age": "600",
    },
  });
}
