// Copyright 2026 the Longrun authors. MIT license.

import type { DevError } from "@longrun/tasks/device-proxy";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { beside, launching, PYTHON } from "./_child.ts";

/** What PyTango says of an attribute. */
export interface OracleAttribute {
  name: string;
  /** Such as `"ATTR_VALID"`. */
  quality: string;
  /** Seconds since 1970. */
  time: number;
  x: number;
  y: number;
  /** Such as `"DevLong64"`. */
  type?: string;
  /** `"SCALAR"`, `"SPECTRUM"` or `"IMAGE"`. */
  format?: string;
  value?: unknown;
  written?: unknown;
  errors?: DevError[];
}

/** The kinds of events. */
export type OracleEventType =
  | "change"
  | "periodic"
  | "archive"
  | "user_event"
  | "attr_conf"
  | "data_ready"
  | "intr_change";

/** What PyTango tells of an event. */
export interface OracleEvent extends Partial<OracleAttribute> {
  attribute: string;
  /** Of an event `"data_ready"`. */
  counter?: number;
  /** Of an event `"intr_change"`. */
  commands?: string[];
  /** Of an event `"intr_change"`. */
  attributes?: string[];
}

interface Answer {
  id?: number;
  value?: unknown;
  errors?: DevError[];
  failure?: string;
  subscription?: number;
  event?: OracleEvent;
}

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

const NUMBERS: Record<string, number> = {
  "NaN": NaN,
  "Infinity": Infinity,
  "-Infinity": -Infinity,
  "-0": -0,
};

/**
 * A value as the oracle's JSON means it: an integer of 64 bits is a bigint,
 * bytes are a `Uint8Array`.
 */
export function fromOracle(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromOracle);
  if (typeof value !== "object" || value === null) return value;
  if ("$int" in value) return BigInt(String(value.$int));
  if ("$float" in value) return NUMBERS[String(value.$float)];
  if ("$bytes" in value) {
    return Uint8Array.from(
      atob(String(value.$bytes)),
      (char) => char.charCodeAt(0),
    );
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, fromOracle(one)]),
  );
}

/** A value as the oracle takes it. */
export function toOracle(value: unknown): unknown {
  if (typeof value === "bigint") return { $int: String(value) };
  if (typeof value === "number") {
    const isPlain = Number.isFinite(value) && !Object.is(value, -0);
    return isPlain
      ? value
      : { $float: Object.is(value, -0) ? "-0" : String(value) };
  }
  if (value instanceof Uint8Array) {
    return { $bytes: btoa(String.fromCharCode(...value)) };
  }
  if (Array.isArray(value)) return value.map(toOracle);
  if (ArrayBuffer.isView(value)) {
    return Array.from(value as unknown as ArrayLike<number>, toOracle);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, toOracle(one)]),
    );
  }
  return value;
}

/** A text as PyTango has it, with a char for each byte. */
export function asLatin1(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/**
 * The oracle itself is at fault: PyTango crashes now and then where it hears
 * events, and when the machine is busy it misses the first ones, or heartbeats.
 * It says nothing of what is tested.
 */
export class OracleFault extends Error {
  override readonly name: string = "OracleFault";
}

/** Events that the oracle gets. */
export class OracleEvents {
  /** All that have come. */
  readonly events: OracleEvent[] = [];
  readonly #oracle: Oracle;
  readonly #id: number;
  #taken = 0;
  #wake: (() => void) | undefined = undefined;
  #fault: OracleFault | undefined = undefined;

  constructor(oracle: Oracle, id: number) {
    this.#oracle = oracle;
    this.#id = id;
  }

  /** Takes an event in. */
  push(event: OracleEvent): void {
    this.events.push(event);
    this.#wake?.();
  }

  /** Takes in that there will be no more. */
  fail(fault: OracleFault): void {
    this.#fault = fault;
    this.#wake?.();
  }

  /** Waits for the next event. */
  async next(ms = 15_000): Promise<OracleEvent> {
    const deadline = performance.now() + ms;
    for (;;) {
      const event = this.events[this.#taken];
      if (event !== undefined) {
        this.#taken++;
        if (event.errors?.[0]?.reason === "API_EventTimeout") {
          throw new OracleFault("The oracle takes the server for gone");
        }
        return event;
      }
      if (this.#fault !== undefined) throw this.#fault;
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new OracleFault(`The oracle has no event in ${ms} ms`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  /** Ends the subscription. */
  async end(): Promise<void> {
    await this.#oracle.ask("unsubscribe", { subscription: this.#id });
  }
}

/** A client of PyTango in a process of its own, for comparison. */
export class Oracle implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #waiting: Map<number, Waiting> = new Map();
  readonly #subscriptions: Map<number, OracleEvents> = new Map();
  #lastId = 0;
  #rest = "";
  #errors = "";
  #ended: OracleFault | undefined = undefined;

  /**
   * Starts it.
   *
   * @param env Variables of its environment, such as `TANGO_HOST`.
   */
  constructor(env: Record<string, string> = {}) {
    const args = [beside("oracle.py")];
    this.#child = spawn(PYTHON, launching(PYTHON, args), {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    const { stdin, stdout, stderr } = this.#child;
    stdout?.setEncoding("utf8");
    stdout?.on("data", (text: string) => this.#take(text));
    stderr?.setEncoding("utf8");
    stderr?.on("data", (text: string) => {
      this.#errors = (this.#errors + text).slice(-10_000);
    });
    // A broken pipe: the end of the process says all that is to be said.
    stdin?.on("error", () => {});
    this.#exited = new Promise((resolve) => {
      this.#child.once("error", (error) => this.#end(String(error), resolve));
      this.#child.once(
        "close",
        (code, signal) => this.#end(signal ?? `code ${code}`, resolve),
      );
    });
  }

  /** Has it do something, by the name of a method of oracle.py. */
  ask(what: string, request: Record<string, unknown> = {}): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      this.#waiting.set(id, { resolve, reject });
      const line = JSON.stringify({ ...request, id, do: what });
      this.#child.stdin?.write(`${line}\n`);
    });
  }

  /** Reads attributes. */
  async read(device: string, ...names: string[]): Promise<OracleAttribute[]> {
    return await this.ask("read", { device, names }) as OracleAttribute[];
  }

  /** Writes an attribute. */
  async write(device: string, name: string, value: unknown): Promise<void> {
    await this.ask("write", { device, name, value: toOracle(value) });
  }

  /** Has a command executed. */
  async command(
    device: string,
    name: string,
    argument?: unknown,
  ): Promise<unknown> {
    return await this.ask("command", {
      device,
      name,
      argument: toOracle(argument),
    });
  }

  /** Subscribes to the events of an attribute, or of the interface. */
  async subscribe(
    device: string,
    type: OracleEventType,
    name?: string,
  ): Promise<OracleEvents> {
    // The id of the request is the number of the subscription; the first
    // event comes before the answer.
    const id = this.#lastId + 1;
    const events = new OracleEvents(this, id);
    this.#subscriptions.set(id, events);
    await this.ask("subscribe", { device, type, name });
    return events;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#handle(JSON.parse(line));
  }

  #handle({ id, value, errors, failure, subscription, event }: Answer): void {
    if (subscription !== undefined && event !== undefined) {
      const decoded = fromOracle(event) as OracleEvent;
      this.#subscriptions.get(subscription)?.push(decoded);
      return;
    }
    const waiting = this.#waiting.get(id ?? 0);
    this.#waiting.delete(id ?? 0);
    if (errors !== undefined) {
      waiting?.reject(new DeviceError(errors));
    } else if (failure !== undefined) {
      waiting?.reject(new Error(`The oracle has failed: ${failure}`));
    } else {
      waiting?.resolve(fromOracle(value));
    }
  }

  #end(how: string, resolve: () => void): void {
    const fault = new OracleFault(
      `The oracle has ended by ${how}. ${this.#errors}`,
    );
    this.#ended = fault;
    for (const { reject } of this.#waiting.values()) reject(fault);
    this.#waiting.clear();
    for (const events of this.#subscriptions.values()) events.fail(fault);
    resolve();
  }
}
