// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { OperationError } from "./_operation_error.ts";
import { abortable } from "./cancellation.ts";

/** A response whose body has been read. */
export interface OperationResponse {
  /** Its address. */
  readonly url: string;
  /** Its status, such as 200. */
  readonly status: number;
  /** Its headers. */
  readonly headers: Headers;
  /**
   * Its body: what JSON decodes to, a string if it is another text, bytes if
   * it is neither, `undefined` if there is none.
   */
  readonly body: unknown;
}

/** What a request is made with. */
export interface RequestSettings {
  readonly fetch: typeof globalThis.fetch;
  /** The headers for an address, without those that it is not trusted with. */
  readonly headersFor: (url: URL) => Promise<Headers>;
  readonly maxBody: number;
}

/** What is sent. */
export interface OperationRequest {
  readonly url: string;
  readonly method?: "GET" | "POST";
  readonly body?: string;
}

/** No server that is in order redirects more often. */
const MOST_REDIRECTS = 10;

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** An error that would come again. */
export class HopelessError extends OperationError {}

/** Lets go of a body that nobody reads. */
export function discard(response: Response): void {
  const { body } = response;
  if (body !== null && !body.locked) body.cancel().catch(() => {});
}

async function readBytes(
  response: Response,
  most: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const { body, url } = response;
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    while (true) {
      const { done, value } = await abortable(reader.read(), signal);
      if (done) break;
      size += value.byteLength;
      if (size > most) {
        throw new HopelessError(
          `The body of ${url} has more than ${most} bytes`,
          { httpStatus: response.status },
        );
      }
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function decode(bytes: Uint8Array<ArrayBuffer>, response: Response): unknown {
  const { headers, status, url } = response;
  const type = headers.get("content-type") ?? "";
  if (bytes.byteLength === 0) return undefined;
  const isJson = /^[^;]*\bjson\b/i.test(type);
  if (!isJson && type !== "" && !/^text\//i.test(type)) return bytes;
  const text = new TextDecoder().decode(bytes);
  if (!isJson && type !== "") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    // The body matters only where the status does not say all.
    if (!isJson || !response.ok || status === 202) return text;
    throw new OperationError(
      `The body of ${url} is not the JSON it should be`,
      {
        cause: error,
        httpStatus: status,
      },
    );
  }
}

/** Reads a response to its end, or lets go of it. */
export async function readResponse(
  response: Response,
  most: number,
  signal: AbortSignal,
): Promise<OperationResponse> {
  const { url, status, headers } = response;
  const bytes = await readBytes(response, most, signal);
  return { url, status, headers, body: decode(bytes, response) };
}

/**
 * The address that a text gives, from another one. It comes from the network:
 * what is no address of the web is refused, such as that of a file.
 */
export function resolveUrl(text: string, base: string | undefined): string {
  let url: URL;
  try {
    url = new URL(text, base === "" ? undefined : base);
  } catch (error) {
    throw new HopelessError(`Not an address: ${JSON.stringify(text)}`, {
      cause: error,
    });
  }
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  if (!isWeb || url.username !== "" || url.password !== "") {
    throw new HopelessError(
      `Not an address to ask: it has the scheme ${url.protocol}, or a password`,
    );
  }
  return url.href;
}

/**
 * Sends a request and reads the response. Redirects are followed here and not
 * by the platform, which would take the headers along to anybody.
 */
export async function exchange(
  request: OperationRequest,
  settings: RequestSettings,
  signal: AbortSignal,
): Promise<OperationResponse> {
  const { fetch, headersFor, maxBody } = settings;
  let { url, method = "GET", body } = request;
  let redirect: RequestRedirect = "manual";
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    const headers = redirect === "manual"
      ? await abortable(headersFor(new URL(url)), signal)
      : new Headers();
    if (!headers.has("accept")) {
      headers.set("accept", "application/json, */*;q=0.5");
    }
    if (body !== undefined) headers.set("content-type", "application/json");
    const response = await fetch(url, {
      method,
      headers,
      redirect,
      signal,
      cache: "no-store",
      ...(body === undefined ? {} : { body }),
    });
    if (signal.aborted) {
      discard(response);
      throw signal.reason;
    }
    if (response.type === "opaqueredirect") {
      // Browsers do not say where to: they go there, with nothing of ours.
      redirect = "follow";
      discard(response);
      continue;
    }
    const location = response.headers.get("location");
    if (!REDIRECTS.includes(response.status) || location === null) {
      const read = await readResponse(response, maxBody, signal);
      return read.url === "" ? { ...read, url } : read;
    }
    discard(response);
    url = resolveUrl(location, url);
    if (response.status === 303) {
      method = "GET";
      body = undefined;
    }
  }
  throw new HopelessError(
    `${request.url} redirects more than ${MOST_REDIRECTS} times`,
  );
}
