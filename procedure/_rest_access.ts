// Copyright 2026 the Longrun authors. MIT license.

import { createHash, timingSafeEqual } from "node:crypto";
import { checkType } from "./_arguments.ts";
import { Problem } from "./_problem.ts";

/**
 * What somebody may do: look (`"view"`), prepare, start and change what holds
 * (`"run"`), stop (`"stop"`).
 */
export type AccessScope = "view" | "run" | "stop";

/** All scopes. */
const ACCESS_SCOPES: readonly AccessScope[] = ["view", "run", "stop"];

/** A secret, and what may be done by whoever has it. */
export interface AccessToken {
  /** The secret: visible ASCII characters without spaces. */
  readonly token: string;
  /** What it is good for. None of them includes another. */
  readonly scopes: readonly AccessScope[];
  /** A name for messages. */
  readonly name?: string;
}

/** Decides whether a request may do something. */
export type Authorize = (
  request: Request,
  scope: AccessScope,
) => boolean | Promise<boolean>;

/** Who may ask. */
export interface AccessSettings {
  readonly tokens: readonly AccessToken[];
  readonly authorize: Authorize | undefined;
  readonly allowedHosts: readonly string[] | undefined;
}

interface KnownToken {
  readonly digest: Uint8Array;
  readonly scopes: ReadonlySet<AccessScope>;
}

const digestOf = (text: string): Uint8Array =>
  createHash("sha256").update(text).digest();

/** Whether a host name means this very machine, wherever it is looked up. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") ||
    hostname === "[::1]" || hostname === "::1" ||
    /^(::ffff:)?127(\.\d{1,3}){3}$/.test(hostname);
}

function hostnameOf(host: string): string | undefined {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return undefined;
  }
}

/** A name as addresses have it: in small letters, version 6 in brackets. */
const inAddresses = (name: string): string =>
  hostnameOf(name) ?? hostnameOf(`[${name}]`) ?? name;

/** Where a connection comes from, if the server tells, as Deno's does. */
function peerOf(info: unknown): string | undefined {
  const { remoteAddr } = (info ?? {}) as { remoteAddr?: unknown };
  const { hostname } = (remoteAddr ?? {}) as { hostname?: unknown };
  return typeof hostname === "string" ? hostname : undefined;
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

function isSame(origin: string, url: URL, host: string | null): boolean {
  try {
    // Without the scheme: whoever ends the encryption before us changes it.
    const asked = new URL(origin).host;
    return asked === url.host || asked === host;
  } catch {
    return false;
  }
}

/** Checks the tokens. */
export function checkTokens(action: string, tokens: unknown): void {
  checkType(
    Array.isArray(tokens) &&
      tokens.every((each) =>
        typeof each === "object" && each !== null &&
        typeof each.token === "string" && /^[\x21-\x7e]+$/.test(each.token) &&
        Array.isArray(each.scopes) &&
        each.scopes.every((scope: AccessScope) => ACCESS_SCOPES.includes(scope))
      ),
    action,
    "tokens",
    "an array of { token, scopes }, the token of visible ASCII characters",
    tokens,
  );
}

/** Lets requests through, or not. */
export class Gate {
  readonly #settings: AccessSettings;
  readonly #tokens: readonly KnownToken[];
  readonly #hosts: ReadonlySet<string> | undefined;

  constructor(settings: AccessSettings) {
    this.#settings = settings;
    this.#hosts = settings.allowedHosts &&
      new Set(settings.allowedHosts.map(inAddresses));
    this.#tokens = settings.tokens.map(({ token, scopes }) => ({
      digest: digestOf(token),
      scopes: new Set(scopes),
    }));
  }

  /** Whether everybody who reaches it may do everything. */
  get isOpen(): boolean {
    return this.#tokens.length === 0 && this.#settings.authorize === undefined;
  }

  /**
   * Checks where a request goes to and comes from.
   *
   * @throws {Problem} If a page of elsewhere has made a browser ask, or nobody
   * has a token and the request is not from this machine.
   */
  checkSource(request: Request, url: URL, info: unknown): void {
    const host = request.headers.get("host");
    const names = [url.hostname, ...(host === null ? [] : [hostnameOf(host)])];
    if (!names.every((name) => name !== undefined && this.#isOurs(name))) {
      throw new Problem(421, "wrong-host", "This server has another name");
    }
    const peer = peerOf(info);
    if (this.isOpen && peer !== undefined && !isLoopback(peer)) {
      const detail = "Without tokens only this machine may ask";
      throw new Problem(403, "not-local", detail);
    }
    const origin = request.headers.get("origin");
    const isOwn = origin === null
      ? !isEmbedding(request.headers)
      : isSame(origin, url, host);
    if (isOwn) return;
    const detail = "Pages of another origin may not ask";
    throw new Problem(403, "foreign-origin", detail);
  }

  /**
   * Checks whether a request may do one of several things.
   *
   * @returns What it may do of it, at least.
   * @throws {Problem} If it may do none of them.
   */
  async admit(
    request: Request,
    scopes: readonly AccessScope[],
  ): Promise<AccessScope | undefined> {
    if (this.isOpen || scopes.length === 0) return scopes[0];
    const held = this.#scopesOf(request);
    const granted = scopes.find((scope) => held?.has(scope));
    if (granted !== undefined) return granted;
    const { authorize } = this.#settings;
    if (authorize !== undefined) {
      for (const scope of scopes) {
        if (await authorize(request, scope) === true) return scope;
      }
    }
    const needed = scopes.join("' or '");
    if (held === undefined && this.#tokens.length > 0) {
      const has = request.headers.has("authorization");
      const error = has ? ', error="invalid_token"' : "";
      throw new Problem(
        401,
        "unauthorized",
        has ? "This token is not known" : "A token is needed",
        { headers: { "www-authenticate": `Bearer realm="longrun"${error}` } },
      );
    }
    throw new Problem(403, "forbidden", `This needs the scope '${needed}'`, {
      headers: {
        "www-authenticate":
          `Bearer realm="longrun", error="insufficient_scope", scope="${
            scopes.join(" ")
          }"`,
      },
    });
  }

  #isOurs(name: string): boolean {
    if (this.#hosts !== undefined) return this.#hosts.has(name);
    return this.isOpen ? isLoopback(name) : true;
  }

  /** What the token of a request is good for, `undefined` if it is not known. */
  #scopesOf(request: Request): ReadonlySet<AccessScope> | undefined {
    const header = request.headers.get("authorization") ?? "";
    const match = /^bearer +([\x21-\x7e]+)$/i.exec(header);
    if (match === null) return undefined;
    const digest = digestOf(match[1] ?? "");
    let scopes: Set<AccessScope> | undefined;
    // All of them, whichever it is: the time it takes tells nothing.
    for (const token of this.#tokens) {
      if (!timingSafeEqual(digest, token.digest)) continue;
      scopes ??= new Set();
      for (const scope of token.scopes) scopes.add(scope);
    }
    return scopes;
  }
}
