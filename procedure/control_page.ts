// Copyright 2026 the Longrun authors. MIT license.

/**
 * The control page: procedures, activities, events and output in a browser,
 * live.
 *
 * @module
 */

import { checkType } from "./_arguments.ts";

/** Options of {@linkcode controlPage}. */
export interface ControlPageOptions {
  /**
   * Where the REST interface is on the same server.
   *
   * @default {"/api/v1"}
   */
  basePath?: string;
}

const PAGE = "control_page.html";
const STYLE = "control_page.css";
const SCRIPTS = [
  "control_page.js",
  "control_page_client.js",
  "control_page_commands.js",
  "control_page_elements.js",
  "control_page_forms.js",
  "control_page_inputs.js",
  "control_page_loading.js",
  "control_page_model.js",
  "control_page_notices.js",
  "control_page_output.js",
  "control_page_painter.js",
  "control_page_rows.js",
  "control_page_sign_in.js",
  "control_page_stream.js",
  "control_page_texts.js",
  "control_page_views.js",
  "control_page_wire.js",
];

const TYPES: ReadonlyMap<string, string> = new Map([
  [PAGE, "text/html; charset=utf-8"],
  [STYLE, "text/css; charset=utf-8"],
  ...SCRIPTS.map((name) => [name, "text/javascript; charset=utf-8"] as const),
]);

const HEADERS = {
  "Cache-Control": "no-cache",
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

const BASE_PATH = /^(?:\/[\w.~-]+)*$/;
const PLACEHOLDER = 'content="/api/v1"';

const files = new Map<string, Promise<string>>();

function read(name: string): Promise<string> {
  const known = files.get(name);
  if (known !== undefined) return known;
  const reading = (async () => {
    const address = new URL(`./${name}`, import.meta.url);
    const response = await fetch(address);
    if (response.ok) return await response.text();
    await response.body?.cancel();
    throw new Error(`Cannot read ${address}: ${response.status}`);
  })();
  files.set(name, reading);
  // The next request tries again.
  reading.catch(() => files.delete(name));
  return reading;
}

async function entityTag(text: string): Promise<string> {
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(text),
  );
  const bytes = new Uint8Array(digest, 0, 16);
  return `"${bytes.toHex()}"`;
}

function isKnown(condition: string | null, tag: string): boolean {
  if (condition === null) return false;
  return condition.split(",").some((one) => {
    const trimmed = one.trim();
    return trimmed === "*" || trimmed.replace(/^W\//, "") === tag;
  });
}

function plain(status: number, text: string, headers: HeadersInit): Response {
  return new Response(text, {
    status,
    headers: {
      ...HEADERS,
      "Content-Type": "text/plain; charset=utf-8",
      ...headers,
    },
  });
}

/**
 * Answers a request for the control page, `/ui`, or for one of its files, below
 * `/ui/`. What is before `/ui` in the path does not matter: the page looks for
 * the REST interface beside itself.
 *
 * The files are read once, beside this module, wherever it is: from a disk or
 * from a server. That takes the permission to read it, or to reach that server.
 *
 * ### When to use
 *
 * To serve the page from a server of your own. The page needs no token, and
 * shows nothing without one where the REST interface asks for it.
 *
 * @param request The request.
 * @param options Where the REST interface is.
 * @returns The page, one of its files, 304, 308, 404 or 405. Never fails but
 * for files that cannot be read.
 * @throws {TypeError} If the base path is no path like `/api/v1`.
 *
 * @example Usage
 * ```ts
 * import { controlPage } from "@longrun/procedure";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const response = await controlPage(new Request("http://127.0.0.1/ui"));
 *
 * assertEquals(response.status, 200);
 * assert((await response.text()).includes("Longrun"));
 * ```
 */
export async function controlPage(
  request: Request,
  options: ControlPageOptions = {},
): Promise<Response> {
  const { basePath = "/api/v1" } = options;
  checkType(
    typeof basePath === "string" && BASE_PATH.test(basePath),
    "serve the control page",
    "basePath",
    "a path like '/api/v1'",
    basePath,
  );
  const found = /\/ui(?:\/([^/]*))?$/.exec(new URL(request.url).pathname);
  const name = found?.[1] ?? PAGE;
  if (found !== null && name === "") {
    return plain(308, "The page has moved", { Location: "../ui" });
  }
  const type = TYPES.get(name);
  if (found === null || type === undefined || found[1] === PAGE) {
    return plain(404, "There is no such file", {});
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return plain(405, "The page can only be read", { Allow: "GET, HEAD" });
  }
  const file = await read(name);
  const text = name === PAGE
    ? file.replace(PLACEHOLDER, () => `content="${basePath}"`)
    : file;
  const tag = await entityTag(text);
  const headers = { ...HEADERS, "Content-Type": type, ETag: tag };
  if (isKnown(request.headers.get("If-None-Match"), tag)) {
    return new Response(null, { status: 304, headers });
  }
  return new Response(request.method === "HEAD" ? null : text, { headers });
}
