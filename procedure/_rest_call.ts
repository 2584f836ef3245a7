// Copyright 2026 the Longrun authors. MIT license.

/**
 * A request that has found its route, as those who answer see it. Whatever they
 * ask of it is checked: what is not as it should be is thrown as a problem.
 *
 * @module
 */

import { unprocessable } from "./_problem.ts";
import type { AccessScope, Gate } from "./_rest_access.ts";
import { readJson } from "./_rest_body.ts";
import type { BodySchemas } from "./_rest_body_schemas.ts";
import { readId } from "./_rest_parameters.ts";
import type { Route } from "./_rest_routes.ts";

/** A request, with what is known of it. */
export interface RoutedRequest {
  readonly request: Request;
  readonly url: URL;
  readonly route: Route;
  /** The `{id}` of the path. */
  readonly id: string | undefined;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** What the request waits for, for the problem that a timeout is. */
  readonly onPhase: (phase: "body" | "service") => void;
}

/** What holds for all requests. */
export interface CallSettings {
  readonly gate: Gate;
  readonly schemas: BodySchemas;
  readonly basePath: string;
  readonly compat: boolean;
  readonly maxBodySize: number;
}

/** A request, and what may be asked of it. */
export class RestCall {
  readonly request: Request;
  readonly url: URL;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  readonly #routed: RoutedRequest;
  readonly #settings: CallSettings;

  constructor(routed: RoutedRequest, settings: CallSettings) {
    this.request = routed.request;
    this.url = routed.url;
    this.signal = routed.signal;
    this.#routed = routed;
    this.#settings = settings;
  }

  /** Where the interface is, for whoever asks. */
  get root(): string {
    return this.url.origin + this.#settings.basePath;
  }

  /**
   * The number in its path.
   *
   * @throws {Problem} If that is none.
   */
  get id(): number {
    return readId(this.#routed.id);
  }

  /**
   * Checks whether it may do one of several things, and is still of interest.
   *
   * @throws {Problem} If it may do none of them.
   * @throws {AbortSignal["reason"]} If nobody waits for the answer.
   */
  async admit(scopes: readonly AccessScope[]): Promise<void> {
    await this.#settings.gate.admit(this.request, scopes);
    this.signal.throwIfAborted();
  }

  /**
   * Its body, as the schema of the route says.
   *
   * @throws {Problem} If it is something else.
   */
  async body<T>(): Promise<T> {
    const { maxBodySize, compat, schemas } = this.#settings;
    const { request, route, signal, onPhase } = this.#routed;
    onPhase("body");
    const body = await readJson(request, maxBodySize, compat, signal);
    onPhase("service");
    const places = schemas.check(route.body ?? "", body);
    if (places.length > 0) throw unprocessable(places);
    return body as T;
  }
}

/** An answer in JSON. */
export function jsonResponse(
  body: unknown,
  status: number = 200,
  headers: Record<string, string> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}
