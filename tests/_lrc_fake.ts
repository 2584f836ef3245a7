// Copyright 2026 the Longrun authors. MIT license.

import { Subscription } from "../_subscription.ts";
import {
  DeviceError,
  type DeviceEvent,
  type DeviceProxy,
  type DeviceSubscription,
  ResultCode,
  TaskStatus,
} from "../device_proxy.ts";

/** What a fake device tells of a command at once. */
export interface Told {
  status?: TaskStatus;
  progress?: number | string;
  result?: unknown;
}

/** A command as the fake device knows it. */
export interface Known extends Told {
  readonly id: string;
  readonly name: string;
  readonly status: TaskStatus;
}

const FINISHED_KEPT = 100;

export const nameOf = (status: TaskStatus): string =>
  Object.entries(TaskStatus).find(([, value]) => value === status)?.[0] ?? "?";

export function deviceError(reason: string, desc: string = reason) {
  return new DeviceError([{ reason, desc, severity: "ERR", origin: "fake" }]);
}

/** An answer to a command. */
export const answer = (code: ResultCode, text: string): unknown => [
  [code],
  [text],
];

/**
 * A device whose commands do what a test tells them to, step by step, and whose
 * events take what way a test wants.
 */
export class FakeDevice implements DeviceProxy {
  readonly name = "test/fake/1";
  readonly known: Map<string, Known> = new Map();
  /** The ids of what has ended, for the v1 attributes. */
  readonly pruned: Set<string> = new Set();
  readonly calls: string[] = [];
  readonly subscriptions: Map<string, Set<Subscription<DeviceEvent>>> =
    new Map();
  /** The result that came last. */
  last: [string, string] = ["", ""];
  /** What fails at the moment, by the way it is asked. */
  failure: ((what: string) => Error | undefined) | undefined = undefined;
  /** Delays what was read on its way back: it may be out of date by then. */
  lag: (() => Promise<void>) | undefined = undefined;
  /** Delays answers. */
  delay: ((what: string) => Promise<void>) | undefined = undefined;
  /** What becomes of an event on its way. */
  way: (event: DeviceEvent) => DeviceEvent[] = (event) => [event];
  /** What commands answer, if not an id. */
  readonly answers: Map<string, (argument: unknown) => unknown> = new Map();
  hasTables = true;
  canCheck = true;
  versions: readonly number[] | undefined;
  #count = 0;

  constructor(versions?: readonly number[]) {
    this.versions = versions;
  }

  get subscribers(): number {
    return [...this.subscriptions.values()].reduce(
      (sum, { size }) => sum + size,
      0,
    );
  }

  async attributeNames(): Promise<readonly string[]> {
    await this.#begin("attributeNames");
    return [
      "State",
      "_lrcEvent",
      "longRunningCommandStatus",
      "longRunningCommandProgress",
      "longRunningCommandResult",
      ...(this.hasTables ? ["lrcQueue", "lrcExecuting", "lrcFinished"] : []),
      ...(this.versions === undefined ? [] : ["lrcProtocolVersions"]),
    ];
  }

  async readAttributes(names: readonly string[]): Promise<readonly unknown[]> {
    await this.#begin(`read ${names.join(" ")}`);
    const values = names.map((name) => this.#read(name.toLowerCase()));
    await this.lag?.();
    return values;
  }

  async command(name: string, argument: unknown): Promise<unknown> {
    await this.#begin(name);
    if (name === "CheckLongRunningCommandStatus" && this.canCheck) {
      const known = this.known.get(String(argument));
      return nameOf(known?.status ?? TaskStatus.NOT_FOUND);
    }
    const answers = this.answers.get(name);
    if (answers === undefined) {
      throw deviceError("API_CommandNotFound", `Command ${name} not found`);
    }
    return answers(argument);
  }

  async subscribe(attribute: string): Promise<DeviceSubscription> {
    await this.#begin(`subscribe ${attribute}`);
    const name = attribute.toLowerCase();
    let set = this.subscriptions.get(name);
    if (set === undefined) this.subscriptions.set(name, set = new Set());
    const joined = set;
    const subscription: Subscription<DeviceEvent> = new Subscription({
      capacity: 100_000,
      onClose: () => joined.delete(subscription),
    });
    joined.add(subscription);
    subscription.push({ attribute, value: this.#read(name) });
    return subscription;
  }

  /** Makes a command that is staged and answers its id when it is sent. */
  accepts(name: string, then: (id: string) => void = () => {}): void {
    this.answers.set(name, () => {
      const id = this.stage(name);
      then(id);
      return answer(ResultCode.QUEUED, id);
    });
  }

  /** Takes a command. */
  stage(name: string): string {
    const id = `1700000000.${++this.#count}_${this.#count}_${name}`;
    this.known.set(id, { id, name, status: TaskStatus.STAGING });
    this.tell(id, { status: TaskStatus.STAGING });
    return id;
  }

  /** Changes a command and tells it. */
  tell(id: string, told: Told): void {
    const known = this.known.get(id);
    if (known === undefined) throw new Error(`No command ${id}`);
    this.known.set(id, { ...known, ...told });
    this.emit("_lrcEvent", [id, JSON.stringify(told)]);
    if ("result" in told) {
      this.last = [id, JSON.stringify(told.result)];
      this.emitRead("longRunningCommandResult");
    }
    if (told.progress !== undefined) {
      this.emitRead("longRunningCommandProgress");
    }
    if (told.status !== undefined) this.emitRead("longRunningCommandStatus");
  }

  emitRead(attribute: string): void {
    this.emit(attribute, this.#read(attribute.toLowerCase()));
  }

  /** Sends an event its way. */
  emit(attribute: string, value: unknown): void {
    this.deliver({ attribute, value });
  }

  deliver(event: DeviceEvent): void {
    const attribute = event.attribute.toLowerCase();
    for (const each of this.way({ ...event, attribute })) {
      for (const subscription of this.subscriptions.get(attribute) ?? []) {
        subscription.push(each);
      }
    }
  }

  /** An error for all who listen, who stay. */
  disturb(reason = "API_EventTimeout"): void {
    const { errors } = deviceError(reason);
    for (const attribute of this.subscriptions.keys()) {
      for (const each of this.way({ attribute, errors })) {
        for (const subscription of this.subscriptions.get(attribute) ?? []) {
          subscription.push(each);
        }
      }
    }
  }

  /** Ends all subscriptions. */
  cut(): void {
    for (const set of this.subscriptions.values()) {
      for (const each of [...set]) each.fail(deviceError("API_Cut"));
    }
  }

  /** Forgets everything, as after a restart. */
  forget(): void {
    this.known.clear();
    this.last = ["", ""];
  }

  async #begin(what: string): Promise<void> {
    this.calls.push(what);
    await this.delay?.(what);
    const failure = this.failure?.(what);
    if (failure !== undefined) throw failure;
  }

  #read(name: string): unknown {
    const all = [...this.known.values()];
    const listed = all.filter(({ id }) => !this.pruned.has(id));
    switch (name) {
      case "lrcprotocolversions":
        return this.versions;
      case "_lrcevent":
        return [];
      case "longrunningcommandstatus":
        return listed.flatMap(({ id, status }) => [id, nameOf(status)]);
      case "longrunningcommandprogress":
        return listed.flatMap(({ id, progress }) =>
          progress === undefined ? [] : [id, String(progress)]
        );
      case "longrunningcommandresult":
        return this.last;
      case "lrcqueue":
        return tableOf(all, TaskStatus.QUEUED);
      case "lrcexecuting":
        return tableOf(all, TaskStatus.IN_PROGRESS);
      case "lrcfinished":
        return all.filter(({ status }) => status > TaskStatus.IN_PROGRESS)
          .slice(-FINISHED_KEPT).map(({ id: uid, name, status, result }) =>
            JSON.stringify({ uid, name, status: nameOf(status), result })
          );
      default:
        throw deviceError("API_AttrNotFound", name);
    }
  }
}

function tableOf(all: readonly Known[], status: TaskStatus): string[] {
  return all.filter((known) => known.status === status)
    .map(({ id: uid, name, progress }) =>
      JSON.stringify({ uid, name, progress })
    );
}
