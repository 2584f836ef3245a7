// Copyright 2026 the Longrun authors. MIT license.

import { DeviceError } from "@longrun/tasks/device-proxy";
import type { DeviceCalls } from "./_device_calls.ts";
import { devError } from "./_device_failure.ts";
import * as operations from "./_device_operations.ts";
import type { CallOptions } from "./device_options.ts";
import type { AttributeInfo, CommandInfo } from "./tango_types.ts";

/**
 * What is known of the commands and attributes of a device, so that they are
 * asked for once. It is forgotten with the connection: after a restart of the
 * server the types may be others.
 */
export class TypeCache {
  readonly #calls: DeviceCalls;
  /** By their names in lower case. */
  readonly #commands = new Map<string, CommandInfo>();
  readonly #attributes = new Map<string, AttributeInfo>();
  /** The connection over which that was said. */
  #saidBy: object | undefined = undefined;

  constructor(calls: DeviceCalls) {
    this.#calls = calls;
  }

  /**
   * What is known of a command.
   *
   * @throws {DeviceError} If there is no such command.
   */
  async command(name: string, options: CallOptions): Promise<CommandInfo> {
    const key = name.toLowerCase();
    this.#forget();
    const known = this.#commands.get(key);
    if (known !== undefined) return known;
    const list = await this.#calls.call(
      "list commands",
      operations.commandList,
      options,
    );
    this.#learn();
    for (const info of list) this.#commands.set(info.name.toLowerCase(), info);
    const info = this.#commands.get(key);
    if (info !== undefined) return info;
    throw new DeviceError([
      devError("API_CommandNotFound", `Command ${name} not found`),
    ]);
  }

  /**
   * What is known of an attribute.
   *
   * @throws {DeviceError} If there is no such attribute.
   */
  async attribute(name: string, options: CallOptions): Promise<AttributeInfo> {
    const key = name.toLowerCase();
    this.#forget();
    const known = this.#attributes.get(key);
    if (known !== undefined) return known;
    const [info] = await this.#calls.call(
      "write attribute",
      operations.attributeList([name]),
      options,
    );
    if (info === undefined) throw this.#calls.unexpected();
    this.#learn();
    this.#attributes.set(key, info);
    return info;
  }

  /** Takes note of who says what is said now. */
  #learn(): void {
    // It may be another than the one that was asked.
    this.#forget();
    this.#saidBy = this.#calls.connection;
  }

  #forget(): void {
    const { connection } = this.#calls;
    if (connection !== undefined && connection === this.#saidBy) return;
    this.#commands.clear();
    this.#attributes.clear();
  }
}
