// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import type { Logger } from "@longrun/tasks/logger";
import {
  checkBoolean,
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkNames,
  checkOptions,
  checkPositive,
  checkString,
  checkType,
} from "./_arguments.ts";
import {
  type AccessToken,
  type Authorize,
  checkTokens,
} from "./_rest_access.ts";
import type { ActivityRunner, ProcedureService } from "./procedure_service.ts";

/** What limits the streams of a {@linkcode RestApi}. */
export interface RestStreamOptions {
  /**
   * How many events are kept for readers that are slow or come again. Who is
   * further behind is told how many it has lost.
   *
   * @default {10_000}
   */
  replay?: number;
  /**
   * How many bytes they have at most, all together.
   *
   * @default {33_554_432}
   */
  replayBytes?: number;
  /**
   * How long the silence is before a sign of life, in milliseconds.
   *
   * @default {15_000}
   */
  heartbeat?: number;
}

/** Options of {@linkcode RestApi}. */
export interface RestApiOptions {
  /** The procedures. */
  procedures: ProcedureService;
  /** The activities. Without, there are none. */
  activities?: ActivityRunner;
  /**
   * What the paths begin with.
   *
   * @default {"/api/v1"}
   */
  basePath?: string;
  /**
   * Whether errors have the bodies of `ska_oso_oet`, and refused transitions
   * its 200.
   *
   * @default {false}
   */
  compat?: boolean;
  /**
   * Who may do what. Without tokens and `authorize` everybody on this machine
   * may do everything, and nobody else anything.
   *
   * @default {[]}
   */
  tokens?: readonly AccessToken[];
  /** Asked about requests that have no token that suffices. */
  authorize?: Authorize;
  /**
   * The names that this server has, without ports.
   *
   * @default {any with tokens or authorize, those of this machine without}
   */
  allowedHosts?: readonly string[];
  /**
   * How many bytes a body may have.
   *
   * @default {1_048_576}
   */
  maxBodySize?: number;
  /**
   * How many streams of events there may be.
   *
   * @default {1000}
   */
  maxStreams?: number;
  /**
   * How long an answer may take, in milliseconds. What was asked for goes on.
   *
   * @default {30_000}
   */
  requestTimeout?: number;
  /** What limits the streams. */
  stream?: RestStreamOptions;
  /** Answers `/ui` and what is below it. */
  page?: (request: Request) => Response | Promise<Response>;
  /**
   * The version of the interface, for its document.
   *
   * @default {"1.0.0"}
   */
  version?: string;
  /**
   * Told of requests that have failed for an unknown reason.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
}

/**
 * Checks the options.
 *
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 */
export function checkRestOptions(options: RestApiOptions): void {
  const doing = "create RestApi";
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { procedures, basePath, tokens, authorize, allowedHosts, page } =
    options;
  checkType(
    typeof procedures === "object" && procedures !== null,
    doing,
    "procedures",
    "a ProcedureService",
    procedures,
  );
  checkBoolean(doing, "compat", options.compat);
  if (basePath !== undefined) {
    checkType(
      typeof basePath === "string" && /^(\/[\w.~-]+)*$/.test(basePath),
      doing,
      "basePath",
      "a path such as '/api/v1', or empty",
      basePath,
    );
  }
  if (tokens !== undefined) checkTokens(doing, tokens);
  if (authorize !== undefined) checkFunction(doing, "authorize", authorize);
  if (allowedHosts !== undefined) {
    checkNames(doing, "allowedHosts", allowedHosts);
  }
  if (page !== undefined) checkFunction(doing, "page", page);
  const { version, maxBodySize = 1, maxStreams = 1, requestTimeout = 1 } =
    options;
  if (version !== undefined) checkString(doing, "version", version);
  checkFiniteCount(doing, "maxBodySize", maxBodySize, 1);
  checkFiniteCount(doing, "maxStreams", maxStreams, 1);
  checkPositive(doing, "requestTimeout", requestTimeout);
  const { stream = {} } = options;
  checkOptions(doing, stream);
  const { replay = 1, replayBytes = 1, heartbeat = 1 } = stream;
  checkFiniteCount(doing, "stream.replay", replay, 1);
  checkFiniteCount(doing, "stream.replayBytes", replayBytes, 1);
  checkPositive(doing, "stream.heartbeat", heartbeat);
}
