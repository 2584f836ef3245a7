// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  commandNameOf,
  isFinalStatus,
  listOf,
  type LrcChange,
  parseResultCode,
} from "./_lrc_messages.ts";
import { learn } from "./_lrc_negotiation.ts";
import { PATIENCE, Repair } from "./_lrc_repair.ts";
import { report } from "./_report.ts";
import { abortable } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import { type DeviceProxy, ResultCode, TaskStatus } from "./device_proxy.ts";
import type { Logger } from "./logger.ts";
import { attachLrc, CallbackScheduler } from "./lrc.ts";

/** What a long-running command is at, as a resource of its own. */
export interface LrcOperation {
  /** The id of the command. */
  readonly id: string;
  /** Its name; empty if it is not known. */
  readonly command: string;
  /** The name of its status, one of the keys of `TaskStatus`. */
  readonly status: string;
  /** Whether it has ended, well or badly. */
  readonly done: boolean;
  /** How far it has come, if it has told. */
  readonly progress?: number | string;
  /** Its result, if it has one; by convention `[ResultCode, text]`. */
  readonly result?: unknown;
}

/** The name of a status. */
function nameOf(status: TaskStatus): string {
  const found = Object.entries(TaskStatus).find(([, value]) =>
    value === status
  );
  return found?.[0] ?? String(status);
}

/** What is known of a command as a resource. */
function operationOf(
  id: string,
  command: string,
  change: LrcChange,
): LrcOperation {
  const { status = TaskStatus.STAGING, progress, result } = change;
  return {
    id,
    command,
    status: nameOf(status),
    done: isFinalStatus(status),
    ...(progress === undefined ? {} : { progress }),
    ...(result === undefined ? {} : { result }),
  };
}

/** What an answer to a command means. */
export type Acceptance =
  | { readonly kind: "accepted"; readonly operation: LrcOperation }
  | { readonly kind: "rejected"; readonly reason: string }
  | { readonly kind: "answered" };

/** The commands that answer like long-running ones and are none. */
const UNFOLLOWED = new Set(["abortcommands"]);

/** Looks whether an answer is that of a long-running command. */
export function acceptanceOf(command: string, answer: unknown): Acceptance {
  const [codes, texts] = Array.isArray(answer) ? answer : [];
  const [first] = listOf(codes);
  const code = parseResultCode(first);
  const [text] = listOf(texts);
  if (code === undefined || typeof text !== "string") {
    return { kind: "answered" };
  }
  if (code === ResultCode.REJECTED) return { kind: "rejected", reason: text };
  const isBegun = code === ResultCode.QUEUED || code === ResultCode.STARTED;
  if (!isBegun || text === "" || UNFOLLOWED.has(command.toLowerCase())) {
    return { kind: "answered" };
  }
  const status = code === ResultCode.QUEUED
    ? TaskStatus.QUEUED
    : TaskStatus.IN_PROGRESS;
  return {
    kind: "accepted",
    operation: operationOf(text, command, { status }),
  };
}

/** Looks after the long-running commands of devices. */
export class Operations {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #closing: AbortSignal;
  readonly #scheduler: CallbackScheduler = new CallbackScheduler();
  readonly #repairs: Map<DeviceProxy, Promise<Repair>> = new Map();

  constructor(clock: Clock, logger: Logger, closing: AbortSignal) {
    this.#clock = clock;
    this.#logger = logger;
    this.#closing = closing;
  }

  /**
   * Asks a device what a command is at.
   *
   * @returns `undefined` if the device does not know it.
   * @throws {DeviceError} If the device cannot be asked.
   */
  async read(
    device: DeviceProxy,
    id: string,
    signal: AbortSignal,
  ): Promise<LrcOperation | undefined> {
    const repair = await abortable(this.#repairOf(device), signal);
    try {
      const input = await repair.ask(id, "attach", signal);
      if (input.kind !== "found") return undefined;
      return operationOf(id, commandNameOf(id) ?? "", input.change);
    } catch (error) {
      // It may be another device since a restart: it is learnt anew.
      if (!signal.aborted) this.#repairs.delete(device);
      throw error;
    }
  }

  /**
   * Waits for the end of a command.
   *
   * @returns What it is at when it has ended or the time is over; `undefined`
   * if the device does not know it or cannot be asked.
   */
  async wait(
    device: DeviceProxy,
    id: string,
    command: string,
    ms: number,
    signal: AbortSignal,
  ): Promise<LrcOperation | undefined> {
    try {
      const handle = await attachLrc(null, device, id, {
        clock: this.#clock,
        logger: this.#logger,
        scheduler: this.#scheduler,
        signal,
        timeout: ms,
      });
      await handle.done;
      const { status, progress, result } = handle;
      if (status === undefined || status === TaskStatus.NOT_FOUND) {
        return undefined;
      }
      return operationOf(id, command, {
        status,
        ...(progress === undefined ? {} : { progress }),
        ...(result === undefined ? {} : { result }),
      });
    } catch (error) {
      if (!signal.aborted) {
        const name = device.name;
        const sentence = `Device '${name}': could not wait for a command`;
        report(this.#logger, "debug", sentence, { device: name, id, error });
      }
      return undefined;
    }
  }

  #repairOf(device: DeviceProxy): Promise<Repair> {
    const found = this.#repairs.get(device);
    if (found !== undefined) return found;
    const made = this.#makeRepair(device);
    this.#repairs.set(device, made);
    made.catch(() => this.#repairs.delete(device));
    return made;
  }

  async #makeRepair(device: DeviceProxy): Promise<Repair> {
    const limits = { signal: this.#closing, clock: this.#clock };
    const { version, attributes } = await learn(device, PATIENCE, limits);
    return new Repair(
      device,
      attributes,
      version,
      limits.signal,
      limits.clock,
    );
  }
}
