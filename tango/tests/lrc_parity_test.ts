// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { ResultCode } from "@longrun/tasks/device-proxy";
import { LrcDevice } from "@longrun/tasks/lrc-device";
import { pause } from "./_child.ts";
import { Oracle } from "./_oracle.ts";
import { TangoServer, tangoTest } from "./_tango_server.ts";

const FIRST = [
  "longRunningCommandStatus",
  "longRunningCommandProgress",
  "longRunningCommandResult",
  "longRunningCommandsInQueue",
  "longRunningCommandIDsInQueue",
  "longRunningCommandInProgress",
];
const TABLES = ["lrcQueue", "lrcExecuting", "lrcFinished"];

/** A device, wherever it is. */
interface Subject {
  command(name: string, argument?: unknown): Promise<unknown>;
  /** What each attribute told since its first value. */
  events(): Map<string, unknown[]>;
}

/** A value with the names of commands for their ids, and no times. */
function plain(value: unknown): unknown {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((one) => plainText(String(one)));
  return value;
}

function plainText(text: string): string {
  if (text.startsWith("{")) {
    const row: Record<string, unknown> = JSON.parse(text);
    for (const [key, value] of Object.entries(row)) {
      if (key === "uid") row[key] = plainText(String(value));
      if (key.endsWith("_time")) row[key] = "a time";
    }
    return JSON.stringify(row);
  }
  return text.replace(/^\d+(\.\d+)?_\d+_/, "");
}

/** The values of events, equal ones that follow each other as one. */
function distinct(values: readonly unknown[]): unknown[] {
  const found: string[] = [];
  for (const value of values) {
    const text = JSON.stringify(plain(value));
    if (text !== found.at(-1)) found.push(text);
  }
  return found.map((text) => JSON.parse(text));
}

async function ask(
  subject: Subject,
  name: string,
  argument?: unknown,
): Promise<[code: number, text: string]> {
  const [[code], [text]] = await subject.command(name, argument) as [
    [number],
    [string],
  ];
  return [code, text];
}

async function ended(subject: Subject, id: string): Promise<string> {
  for (;;) {
    const status = await subject.command("CheckLongRunningCommandStatus", id);
    if (!/STAGING|QUEUED|IN_PROGRESS/.test(String(status))) {
      return String(status);
    }
    await pause(10);
  }
}

/** What each attribute told, so that it can be compared. */
function eventsOf(subject: Subject): Record<string, unknown[]> {
  return Object.fromEntries(
    [...subject.events()].map(([attribute, values]) => [
      attribute,
      distinct(values),
    ]),
  );
}

/** What has become of all commands. */
interface Life {
  readonly told: unknown;
  readonly events: Record<string, unknown[]>;
}

/**
 * All that can happen to a command, one after the other.
 *
 * @param expected What the events are compared with: they come by a way of their
 * own, and late when the machine is busy.
 */
async function live(
  subject: Subject,
  expected?: Record<string, unknown[]>,
): Promise<Life> {
  const told: unknown[] = [];
  const one = async (name: string, argument?: unknown) => {
    const [code, text] = await ask(subject, name, argument);
    const isTaken = code === ResultCode.QUEUED;
    told.push([name, code, plainText(text)]);
    if (isTaken) told.push(await ended(subject, text));
  };
  await one("On");
  await one("On");
  await one("Reject", "not today");
  await one("Boom", "it broke");
  await one("Forbidden", "");
  await one("Forbidden", "nobody knows");
  await one("Result", '{"a":[1,2,{"b":null}]}');
  await one("Result", "");
  await one("Scan", '{"seconds":0.1,"steps":2}');
  const [, executed] = await ask(subject, "Scan", '{"seconds":60,"steps":1}');
  while (
    await subject.command("CheckLongRunningCommandStatus", executed) !==
      "IN_PROGRESS"
  ) await pause(5);
  // Its progress, too.
  await pause(100);
  const [, queued] = await ask(subject, "Off");
  const [code, abort] = await ask(subject, "Abort");
  told.push(code, await ended(subject, abort));
  told.push(await ended(subject, executed), await ended(subject, queued));
  told.push(await ended(subject, "1_2_Unknown"));
  await pause(300);
  const isAll = () =>
    expected === undefined ||
    JSON.stringify(eventsOf(subject)) === JSON.stringify(expected);
  for (let round = 0; round < 400 && !isAll(); round++) await pause(50);
  return { told, events: eventsOf(subject) };
}

/** The commands of lrc_device.py, here. */
function makeDevice(): LrcDevice {
  let isOn = false;
  return new LrcDevice({
    name: "test/lrc/1",
    commands: {
      On: {
        refuse: () => isOn ? "Device is already in ON state." : undefined,
        execute: async ({ progress, sleep }) => {
          progress(33);
          await sleep(100);
          progress(66);
          await sleep(100);
          isOn = true;
          return [ResultCode.OK, "On command completed OK"];
        },
      },
      Off: () => [ResultCode.OK, "Off command completed OK"],
      Reject: {
        refuse: (reason) => String(reason),
        execute: () => {},
      },
      Forbidden: {
        isAllowed: (text) => {
          if (text !== "") throw new Error(String(text));
          return false;
        },
        execute: () => {},
      },
      Boom: ({ argument }) => {
        throw new Error(String(argument));
      },
      Result: ({ argument }) =>
        argument === "" ? undefined : JSON.parse(String(argument)),
      Scan: async ({ argument, progress, sleep }) => {
        const { seconds, steps } = JSON.parse(String(argument));
        for (let step = 0; step < steps; step++) {
          progress(Math.trunc(100 * step / steps));
          await sleep(1000 * seconds / steps);
        }
        return [ResultCode.OK, "Scan completed OK"];
      },
    },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
}

async function liveHere(attributes: readonly string[]): Promise<Life> {
  await using device = makeDevice();
  const events = new Map<string, unknown[]>();
  for (const attribute of attributes) {
    const values: unknown[] = [];
    events.set(attribute, values);
    const subscription = await device.subscribe(attribute);
    (async () => {
      for await (const event of subscription) {
        values.push("value" in event ? event.value : event.errors);
      }
    })();
  }
  return await live({
    command: (name, argument) => device.command(name, argument),
    events: () => events,
  });
}

async function liveThere(
  attributes: readonly string[],
  versions: string,
  expected: Record<string, unknown[]>,
): Promise<Life> {
  await using server = await TangoServer.start("lrc", {
    env: { LONGRUN_LRC_VERSIONS: versions },
  });
  await using oracle = new Oracle();
  const { url } = server;
  const subscriptions = new Map(
    await Promise.all(
      attributes.map(async (attribute) =>
        [attribute, await oracle.subscribe(url, "change", attribute)] as const
      ),
    ),
  );
  // A subscription takes a moment to arrive.
  await pause(500);
  return await live({
    command: (name, argument) => oracle.command(url, name, argument),
    events: () =>
      new Map(
        [...subscriptions].map(([attribute, { events }]) => [
          attribute,
          events.map(({ value, errors }) => errors ?? value),
        ]),
      ),
  }, expected);
}

tangoTest(
  "lrc_device.py tells by the second protocol what LrcDevice tells",
  async () => {
    const attributes = ["_lrcEvent", ...TABLES];
    const here = await liveHere(attributes);
    assertEquals(await liveThere(attributes, "2,2", here.events), here);
  },
);

tangoTest(
  "lrc_device.py tells by the first protocol what LrcDevice tells",
  async () => {
    const here = await liveHere(FIRST);
    assertEquals(await liveThere(FIRST, "1,1", here.events), here);
  },
);
