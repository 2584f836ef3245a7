// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { BodyLimitError, readText } from "./_lrc_http_body.ts";
import { Once } from "./_lrc_http_once.ts";
import {
  acceptanceOf,
  type LrcOperation,
  Operations,
} from "./_lrc_http_operations.ts";
import type { HandlerSettings } from "./_lrc_http_options.ts";
import { parsePrefer, type Preferences } from "./_lrc_http_prefer.ts";
import { badRequest, Problem, retryHeader } from "./_lrc_http_problem.ts";
import type { Route } from "./_lrc_http_routes.ts";
import {
  isRecord,
  JSON_TYPE,
  KEY_HEADER,
  mediaTypeOf,
} from "./_lrc_http_wire.ts";
import { abortable, timeout } from "./cancellation.ts";
import type { DeviceProxy } from "./device_proxy.ts";

/** A body, and what is said about it. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const ok = (body: unknown): Answer => ({ status: 200, headers: {}, body });

/** Asks devices what is asked for by requests. */
export class Answers {
  readonly #devices: ReadonlyMap<string, DeviceProxy>;
  readonly #settings: HandlerSettings;
  readonly #operations: Operations;
  readonly #once: Once<Answer>;
  readonly #closing: AbortSignal;

  constructor(
    devices: ReadonlyMap<string, DeviceProxy>,
    settings: HandlerSettings,
    closing: AbortSignal,
  ) {
    this.#devices = devices;
    this.#settings = settings;
    this.#closing = closing;
    const { clock, logger } = settings;
    this.#once = new Once(clock);
    this.#operations = new Operations(clock, logger, closing);
  }

  /** Forgets what was answered. */
  clear(): void {
    this.#once.clear();
  }

  /**
   * The answer to a request.
   *
   * @throws {Problem} If it is not what it should be.
   * @throws {DeviceError} If the device fails.
   */
  async answer(
    request: Request,
    route: Exclude<Route, { kind: "events" }>,
    signal: AbortSignal,
  ): Promise<Answer> {
    switch (route.kind) {
      case "list": {
        const devices = [...this.#devices.values()];
        return ok({ devices: devices.map(({ name }) => ({ name })) });
      }
      case "missing":
        throw new Problem(
          404,
          "device-not-found",
          `There is no device '${route.access.device}'`,
        );
      case "describe":
        return await describe(route.device, signal);
      case "read": {
        const { device, names } = route;
        const reading = device.readAttributes(names, { signal });
        return ok({ values: await abortable(reading, signal) });
      }
      case "readOne": {
        const { device, name: attribute } = route;
        const reading = device.readAttributes([attribute], { signal });
        const [value] = await abortable(reading, signal);
        return ok({ attribute, value });
      }
      case "operation": {
        const wanted = preferencesOf(request, this.#settings.maxWait);
        return await this.#operation(route.device, route.name, wanted, signal);
      }
      case "command": {
        const { device, name } = route;
        const wanted = preferencesOf(request, this.#settings.maxWait);
        const argument = await this.#argumentOf(request, signal);
        return await this.#command(
          device,
          name,
          argument,
          wanted,
          request.headers.get(KEY_HEADER),
          signal,
        );
      }
    }
  }

  async #argumentOf(request: Request, signal: AbortSignal): Promise<unknown> {
    const { maxBody, bodyTimeout, clock } = this.#settings;
    const { headers, body } = request;
    if (mediaTypeOf(headers) !== JSON_TYPE || headers.has("content-encoding")) {
      throw new Problem(
        415,
        "unsupported-media-type",
        `The body of a command is ${JSON_TYPE}, without an encoding`,
        { headers: { accept: JSON_TYPE } },
      );
    }
    const tooLarge = (): Problem =>
      new Problem(
        413,
        "too-large",
        `The body may have ${maxBody} bytes`,
        { headers: { connection: "close" } },
      );
    if (Number(headers.get("content-length") ?? 0) > maxBody) throw tooLarge();
    let text: string;
    try {
      const read = (signal: AbortSignal): Promise<string> =>
        readText(body, maxBody, signal);
      text = await timeout(read, bodyTimeout, { signal, clock });
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof BodyLimitError) throw tooLarge();
      if (error instanceof DOMException && error.name === "TimeoutError") {
        const desc = `The body did not come within ${bodyTimeout} ms`;
        throw new Problem(408, "too-slow", desc, {
          headers: { connection: "close" },
        });
      }
      throw badRequest("The body cannot be read");
    }
    return readArgument(text);
  }

  async #command(
    device: DeviceProxy,
    command: string,
    argument: unknown,
    wanted: Preferences,
    key: string | null,
    signal: AbortSignal,
  ): Promise<Answer> {
    const send = async (signal: AbortSignal): Promise<Answer> =>
      ok(await device.command(command, argument, { signal }));
    // What has a key is for those who ask again, too.
    const sending = key === null ? send(signal) : this.#once.ask(
      `${device.name} ${command} ${key}`,
      JSON.stringify(argument) ?? "",
      () => send(this.#closing),
    );
    if (sending === undefined) {
      throw new Problem(
        422,
        "key-reused",
        "The command was sent with this key and another argument before",
      );
    }
    const { body: answer } = await abortable(sending, signal);
    const acceptance = acceptanceOf(command, answer);
    switch (acceptance.kind) {
      case "answered":
        return ok({ answer });
      case "rejected":
        throw new Problem(409, "command-rejected", acceptance.reason, {
          members: { answer },
        });
      case "accepted": {
        const { id } = acceptance.operation;
        const { wait } = wanted;
        const operation = wait === undefined || wait === 0
          ? acceptance.operation
          : await this.#operations.wait(device, id, command, wait, signal) ??
            acceptance.operation;
        const location = `../operations/${
          encodeURIComponent(id.toWellFormed())
        }`;
        return {
          status: operation.done ? 200 : 202,
          headers: {
            ...this.#hint(operation),
            ...appliedOf(wanted),
            ...(operation.done
              ? { "content-location": location }
              : { location }),
          },
          body: { answer, operation },
        };
      }
    }
  }

  async #operation(
    device: DeviceProxy,
    id: string,
    wanted: Preferences,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { wait } = wanted;
    let operation = await this.#operations.read(device, id, signal);
    if (operation !== undefined && !operation.done && wait !== undefined) {
      const { command } = operation;
      operation =
        await this.#operations.wait(device, id, command, wait, signal) ??
          await this.#operations.read(device, id, signal);
    }
    if (operation === undefined) {
      throw new Problem(
        404,
        "operation-not-found",
        `Device '${device.name}' does not know the command '${id}'`,
      );
    }
    const headers = {
      ...this.#hint(operation),
      ...appliedOf({ ...wanted, respondAsync: false }),
    };
    return { status: 200, headers, body: operation };
  }

  #hint({ done }: LrcOperation): Record<string, string> {
    return done ? {} : retryHeader(this.#settings.retryAfter);
  }
}

async function describe(
  device: DeviceProxy,
  signal: AbortSignal,
): Promise<Answer> {
  const { name } = device;
  const asking = device.attributeNames({ signal });
  const attributes = await abortable(asking, signal);
  const { commands } = device as { commands?: unknown };
  return ok({
    name,
    attributes,
    ...(Array.isArray(commands) ? { commands } : {}),
  });
}

function preferencesOf(request: Request, maxWait: number): Preferences {
  const { respondAsync, wait } = parsePrefer(request.headers.get("prefer"));
  return {
    respondAsync,
    wait: wait === undefined ? undefined : Math.min(wait, maxWait),
  };
}

function appliedOf(
  { respondAsync, wait }: Preferences,
): Record<string, string> {
  const applied = [
    ...(respondAsync ? ["respond-async"] : []),
    ...(wait === undefined ? [] : [`wait=${Math.floor(wait / 1000)}`]),
  ];
  return applied.length === 0
    ? {}
    : { "preference-applied": applied.join(", ") };
}

function readArgument(text: string): unknown {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    throw badRequest("The body is not JSON");
  }
  const isEnvelope = isRecord(fields) &&
    Object.keys(fields).every((key) => key === "argument");
  if (!isEnvelope) {
    throw badRequest('The body is `{ "argument": ... }`, or `{}` for none');
  }
  return (fields as { argument?: unknown }).argument;
}
