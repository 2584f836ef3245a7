// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * Talks to the REST interface for the control page.
 *
 * @module
 */

/** An answer that says that something is wrong, or none at all. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 without an answer.
   * @param {ErrorOptions} [options]
   */
  constructor(message, status, options) {
    super(message, options);
    this.name = "ApiError";
    this.status = status;
  }
}

/**
 * Where the interface is, seen from the page.
 *
 * @param {string} pathname The path of the page.
 * @param {string} basePath The base path of the interface.
 * @returns {string}
 */
export function findApi(pathname, basePath) {
  const folder = pathname.replace(/\/ui\/?$/, "");
  return folder.endsWith(basePath) ? folder : folder + basePath;
}

/**
 * What an answer says that something is wrong with.
 *
 * @param {unknown} body
 * @param {number} status
 * @returns {string}
 */
export function problemText(body, status) {
  const { detail, title, errors } = /** @type {Record<string, unknown>} */ (
    typeof body === "object" && body !== null ? body : {}
  );
  const said = typeof detail === "string"
    ? detail
    : detail !== undefined
    ? JSON.stringify(detail)
    : typeof title === "string"
    ? title
    : `The service answered ${status}`;
  const places = (Array.isArray(errors) ? errors : []).slice(0, 10).map(
    (place) => typeof place === "string" ? place : JSON.stringify(place),
  );
  return [said, ...places].join("\n");
}

/**
 * @typedef {object} Client
 * @property {(path: string, signal?: AbortSignal) => Promise<unknown>} get
 * @property {(method: string, path: string, body: unknown) => Promise<unknown>} send
 * @property {(path: string, headers: Record<string, string>, signal: AbortSignal) => Promise<Response>} open
 */

/**
 * @param {object} options
 * @param {string} options.api Where the interface is.
 * @param {() => string | null} options.token
 * @param {(message: string) => void} options.onUnauthorized Called when a token
 * is needed, or another one.
 * @param {number} [options.timeout] How long an answer may take, in
 * milliseconds.
 * @returns {Client}
 */
export function createClient({ api, token, onUnauthorized, timeout = 60_000 }) {
  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<Response>}
   */
  async function ask(path, init) {
    const known = token();
    const headers = new Headers(init.headers);
    if (known !== null) headers.set("Authorization", `Bearer ${known}`);
    let response;
    try {
      response = await fetch(api + path, {
        ...init,
        headers,
        credentials: "same-origin",
        cache: "no-store",
      });
    } catch (cause) {
      init.signal?.throwIfAborted();
      throw new ApiError("The service cannot be reached", 0, { cause });
    }
    if (response.ok) return response;
    const body = await response.json().catch(() => undefined);
    const error = new ApiError(
      problemText(body, response.status),
      response.status,
    );
    // Whoever has signed out, or in with another token, is not asked again.
    if (response.status === 401 && token() === known) {
      onUnauthorized(known === null ? "" : error.message);
    }
    throw error;
  }

  /** @param {AbortSignal} [signal] */
  const limited = (signal) =>
    signal === undefined
      ? AbortSignal.timeout(timeout)
      : AbortSignal.any([signal, AbortSignal.timeout(timeout)]);

  return {
    async get(path, signal) {
      const response = await ask(path, { signal: limited(signal) });
      return await response.json();
    },
    async send(method, path, body) {
      const response = await ask(path, {
        method,
        signal: limited(),
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      return await response.json().catch(() => undefined);
    },
    open(path, headers, signal) {
      return ask(path, { headers, signal });
    },
  };
}
