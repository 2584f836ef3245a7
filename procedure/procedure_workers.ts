// Copyright 2026 the Longrun authors. MIT license.

/**
 * Puts the services at the disposal of whoever is on the bus.
 *
 * @module
 */

import { onAbort } from "@longrun/tasks/cancellation";
import { checkCommon, checkFunction, checkOptions } from "./_arguments.ts";
import type {
  ActivityRunner,
  ProcedureBus,
  ProcedureService,
  WaitOptions,
} from "./procedure_service.ts";

/** Answers requests on a bus, until it is closed. */
export interface BusWorker extends Disposable {
  /**
   * Takes no more requests. Those that are under way are answered with an
   * `AbortError`; what they began goes on.
   */
  close(): void;
}

/** What a request is about must be an object: anything may be published. */
function checkRequest(doing: string, data: unknown): void {
  if (typeof data === "object" && data !== null) return;
  throw new TypeError(`Cannot ${doing} as the request must be an object`);
}

function worker(
  parts: readonly (() => void)[],
  signal: AbortSignal | undefined,
): BusWorker {
  let forget: (() => void) | undefined;
  const close = (): void => {
    forget?.();
    forget = undefined;
    for (const end of parts) end();
  };
  if (signal?.aborted) close();
  else if (signal !== undefined) forget = onAbort(signal, close);
  return { close, [Symbol.dispose]: close };
}

/**
 * Answers the requests for procedures on a bus: `request.procedure.create`,
 * `.start`, `.stop` and `.list`, and lets `operator.wait_for_qa_ready.enable`
 * and `.disable` change the context of scripts. `ScriptExecutionServiceWorker`
 * of `ska_oso_oet`.
 *
 * An error is a reply, also that a number is unknown; it never ends the service.
 *
 * @param bus Where the requests come from: the bus of the service, or another.
 * @param service What does it.
 * @param options What closes the worker.
 * @returns The worker.
 * @throws {TypeError} If an argument is of the wrong type.
 *
 * @example Usage
 * ```ts
 * import { serveProcedures, type ProcedureBus, type ProcedureService } from "@longrun/procedure";
 *
 * async function list(bus: ProcedureBus, service: ProcedureService): Promise<number> {
 *   using _ = serveProcedures(bus, service);
 *   const all = await bus.request("request.procedure.list", {}, "procedure.pool.list");
 *   return all.length;
 * }
 *
 * console.assert(typeof list === "function");
 * ```
 */
export function serveProcedures(
  bus: ProcedureBus,
  service: ProcedureService,
  options: WaitOptions = {},
): BusWorker {
  const doing = "serve procedures";
  checkFunction(doing, "bus.respond", bus?.respond);
  checkFunction(doing, "service.prepare", service?.prepare);
  checkOptions(doing, options);
  checkCommon(doing, options);
  const responders = [
    bus.respond(
      "request.procedure.create",
      "procedure.reply.created",
      (command, { signal }) => {
        checkRequest("create a procedure", command);
        return service.prepare(command, { signal });
      },
    ),
    bus.respond(
      "request.procedure.start",
      "procedure.reply.started",
      (command, { signal }) => {
        checkRequest("start a procedure", command);
        return service.start(command, { signal });
      },
    ),
    bus.respond(
      "request.procedure.stop",
      "procedure.reply.stopped",
      (command, { signal }) => {
        checkRequest("stop a procedure", command);
        return service.stop(command, { signal });
      },
    ),
    bus.respond("request.procedure.list", "procedure.pool.list", (request) => {
      checkRequest("list procedures", request);
      return service.summarise(checkNumbers("pids", request.pids));
    }),
  ];
  const setWaitForQaReady = (waitForQaReady: boolean) => (): void =>
    service.setContext({ waitForQaReady });
  return worker([
    ...responders.map((responder) => () => responder.close()),
    bus.onEvent("operator.wait_for_qa_ready.enable", setWaitForQaReady(true)),
    bus.onEvent("operator.wait_for_qa_ready.disable", setWaitForQaReady(false)),
  ], options.signal);
}

/** Numbers in a request: all, if there are none. */
function checkNumbers(
  name: string,
  value: unknown,
): readonly number[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value) && value.every(Number.isInteger)) return value;
  throw new TypeError(`Cannot list as '${name}' must be an array of integers`);
}

/**
 * Answers the requests for activities on a bus: `request.activity.run` and
 * `.list`. `ActivityServiceWorker` of `ska_oso_oet`.
 *
 * @param bus Where the requests come from.
 * @param runner What does it.
 * @param options What closes the worker.
 * @returns The worker.
 * @throws {TypeError} If an argument is of the wrong type.
 *
 * @example Usage
 * ```ts
 * import { serveActivities, type ProcedureBus, type ActivityRunner } from "@longrun/procedure";
 *
 * async function list(bus: ProcedureBus, runner: ActivityRunner): Promise<number> {
 *   using _ = serveActivities(bus, runner);
 *   const all = await bus.request("request.activity.list", {}, "activity.pool.list");
 *   return all.length;
 * }
 *
 * console.assert(typeof list === "function");
 * ```
 */
export function serveActivities(
  bus: ProcedureBus,
  runner: ActivityRunner,
  options: WaitOptions = {},
): BusWorker {
  const doing = "serve activities";
  checkFunction(doing, "bus.respond", bus?.respond);
  checkFunction(doing, "runner.run", runner?.run);
  checkOptions(doing, options);
  checkCommon(doing, options);
  const responders = [
    bus.respond(
      "request.activity.run",
      "activity.reply.running",
      (command, { signal }) => {
        checkRequest("run an activity", command);
        return runner.run(command, { signal });
      },
    ),
    bus.respond("request.activity.list", "activity.pool.list", (request) => {
      checkRequest("list activities", request);
      return runner.summarise(checkNumbers("ids", request.ids));
    }),
  ];
  return worker(
    responders.map((responder) => () => responder.close()),
    options.signal,
  );
}
