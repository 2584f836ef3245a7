// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Follows an operation of a REST API that takes longer than a request: asks
 * the server what it is at until it has ended, and gets the result.
 *
 * It knows the forms of Azure (`Operation-Location`, `Azure-AsyncOperation`,
 * `provisioningState`), of Google (AIP-151), and that of plain HTTP: 202 with
 * a `Location`.
 *
 * ```text
 * POST --> 202, where to ask --> GET: running --> GET: succeeded --> GET the
 *                                  |     ^          failed           result
 *                                  Retry-After,     canceled
 *                                  or the interval
 * ```
 *
 * @module
 */

import { checkType } from "./_arguments.ts";
import { Operation, type OperationSource } from "./_operation_handle.ts";
import {
  checkUrl,
  type FollowOperationOptions,
  type OperationHandle,
  settingsOf,
} from "./_operation_options.ts";
import { readTracking } from "./_operation_text.ts";

export {
  OperationError,
  type OperationErrorOptions,
} from "./_operation_error.ts";
export type {
  FollowOperationOptions,
  OperationCounters,
  OperationEnd,
  OperationHandle,
  OperationHeaders,
  OperationResult,
  OperationStatus,
  OperationUpdate,
} from "./_operation_options.ts";
export type { OperationResponse } from "./_operation_request.ts";
export type { FinalRequest, OperationShape } from "./_operation_tracking.ts";

/**
 * Follows an operation of a REST API to its end.
 *
 * **When to use.** A server has answered with 202, or with a body that says
 * that it is not done. Give the response as it came: the headers, the body and
 * the status tell where to ask. To go on after a restart, or where only the
 * address is known, give that.
 *
 * **Gotchas.** The signal and the timeouts end the interest in the operation,
 * not the operation. `"succeeded"`, `"failed"` and `"canceled"` are what the
 * server has said; all else is `"unknown"`. The body of the response is read
 * here: `clone()` the response to read it, too. Without a `timeout` an
 * operation that never ends is followed as long as the program runs.
 *
 * @typeParam R What `parse` makes of the result.
 * @param from The response to the request that has begun the operation; or the
 * address to ask; or the text that {@linkcode OperationHandle.serialize} has
 * made.
 * @param options What limits it, and how it is followed.
 * @returns The handle of the operation, at once.
 * @throws {TypeError} If an argument is of the wrong type, or `headers` are
 * given and the address of the first request is not known.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { followOperation } from "@longrun/tasks/follow-operation";
 * import { assertEquals } from "@std/assert";
 *
 * // A server that takes a moment.
 * let asked = 0;
 * const fetch = () =>
 *   Promise.resolve(
 *     ++asked < 3
 *       ? Response.json({ status: "Running", percentComplete: asked * 40 })
 *       : Response.json({ status: "Succeeded", result: { stars: 7 } }),
 *   );
 * const response = new Response(null, {
 *   status: 202,
 *   headers: { "operation-location": "https://lab.example/operations/1" },
 * });
 *
 * const handle = followOperation(response, { fetch, interval: 1 });
 * const progress: unknown[] = [];
 * for await (const update of handle) progress.push(update.progress);
 * const { status, value } = await handle.done;
 * assertEquals(progress, [undefined, 40, 80, 80]);
 * assertEquals(status, "succeeded");
 * assertEquals(value, { stars: 7 });
 * ```
 *
 * @example Going on after a restart
 * ```ts
 * import { followOperation } from "@longrun/tasks/follow-operation";
 * import { assertEquals } from "@std/assert";
 *
 * const fetch = () => Promise.resolve(Response.json({ stars: 7 }));
 * const response = new Response(null, {
 *   status: 202,
 *   headers: { location: "https://lab.example/operations/1" },
 * });
 *
 * const before = followOperation(response, { fetch });
 * await before.ready;
 * const text = before.serialize(); // keep it in a file
 * await before.unsubscribe();
 *
 * const after = followOperation(text, { fetch });
 * assertEquals((await after.done).value, { stars: 7 });
 * ```
 */
export function followOperation<R = unknown>(
  from: Response | URL | string,
  options: FollowOperationOptions<R> = {},
): OperationHandle<R> {
  const doing = "follow operation";
  const settings = settingsOf(doing, options);
  if (isResponse(from)) {
    checkType(
      settings.headers === undefined || settings.url !== undefined ||
        from.url !== "",
      doing,
      "url",
      "given with headers if the response does not know it",
      settings.url,
    );
    return new Operation({ response: from }, settings);
  }
  checkType(
    typeof from === "string" || from instanceof URL,
    doing,
    "from",
    "a response, an address or what serialize() has made",
    from,
  );
  const { method, shape } = settings;
  let source: OperationSource;
  if (typeof from === "string" && from.trimStart().startsWith("{")) {
    const known = readTracking(doing, from);
    source = {
      tracking: {
        ...known,
        shape: shape ?? known.shape,
        method: method ?? known.method,
        first: settings.url ?? known.first,
      },
    };
  } else {
    const url = checkUrl(doing, "from", from);
    const first = settings.url;
    const origins = [url, ...(first === undefined ? [] : [first])].map((each) =>
      new URL(each).origin
    );
    const location = undefined;
    source = {
      tracking: {
        shape,
        url,
        origins,
        first,
        method,
        location,
        hasMade: false,
      },
    };
  }
  return new Operation(source, settings);
}

function isResponse(value: unknown): value is Response {
  const { headers, status } = (value ?? {}) as Partial<Response>;
  return typeof status === "number" && typeof headers?.get === "function";
}
