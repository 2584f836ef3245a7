// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { sleep, timeout } from "@longrun/tasks/cancellation";
import { ResultCode, TaskStatus } from "@longrun/tasks/device-proxy";
import { deviceCommand, runJob } from "@longrun/tasks/job";
import { LongRunningCommand } from "@longrun/tasks/long-running-command";
import {
  abortDevice,
  attachLrc,
  invokeAll,
  invokeLrc,
  type LrcUpdate,
} from "@longrun/tasks/lrc";
import { DeviceProxy } from "../device_proxy.ts";
import { pause } from "./_child.ts";
import { Oracle, type OracleEvents } from "./_oracle.ts";
import { TangoServer, tangoTest } from "./_tango_server.ts";

const options = { timeout: 30_000 };

function start(versions: string, port?: number): Promise<TangoServer> {
  return TangoServer.start("lrc", {
    env: { LONGRUN_LRC_VERSIONS: versions },
    ...port === undefined ? {} : { port },
  });
}

/** What is told of a command at a time. */
type Told = Partial<Pick<LrcUpdate, "status" | "progress" | "result">>;

/** What was told of a command: the statuses, the progress and the result. */
function transcript(updates: readonly Told[]): unknown {
  return {
    statuses: distinct(updates.map(({ status }) => status)),
    progress: distinct(updates.map(({ progress }) => progress)).map(Number),
    result: updates.findLast(({ result }) => result !== undefined)?.result,
  };
}

/** What is there, and not the same as before. */
function distinct(values: readonly unknown[]): unknown[] {
  return values.filter((one) => one !== undefined)
    .filter((one, index, all) => one !== all[index - 1]);
}

/** What an event tells of a command, as the protocols have it. */
function read(attribute: string, value: unknown, id: string): Told[] {
  const texts = value as readonly string[] | null ?? [];
  const told: Told[] = [];
  for (let n = 0; n + 1 < texts.length; n += 2) {
    const [of, text = ""] = texts.slice(n);
    if (of !== id) continue;
    switch (attribute) {
      case "longRunningCommandStatus":
        told.push({ status: TaskStatus[text as keyof typeof TaskStatus] });
        break;
      case "longRunningCommandProgress":
        told.push({ progress: text });
        break;
      case "longRunningCommandResult":
        told.push({ result: JSON.parse(text) });
        break;
      default:
        told.push(JSON.parse(text));
    }
  }
  return told;
}

/** A device as PyTango hears it. */
class Hearer {
  readonly #oracle: Oracle;
  readonly #device: string;
  readonly #events: ReadonlyMap<string, OracleEvents>;

  /** Subscribes once: PyTango crashes when it leaves subscriptions. */
  static async subscribe(
    oracle: Oracle,
    device: string,
    attributes: readonly string[],
  ): Promise<Hearer> {
    const events = new Map<string, OracleEvents>();
    for (const attribute of attributes) {
      events.set(
        attribute,
        await oracle.subscribe(device, "change", attribute),
      );
    }
    return new Hearer(oracle, device, events);
  }

  private constructor(
    oracle: Oracle,
    device: string,
    events: ReadonlyMap<string, OracleEvents>,
  ) {
    this.#oracle = oracle;
    this.#device = device;
    this.#events = events;
  }

  /** Has a command executed, and gives what is heard of it. */
  async hear({ command, argument, isAborted }: Subject): Promise<unknown> {
    const id = await this.#send(command, argument);
    if (isAborted) {
      await this.#until(id, ({ progress }) => progress !== undefined);
      const abort = await this.#send("Abort");
      await this.#until(abort, ({ result }) => result !== undefined);
    }
    // The first protocol tells the result before the last status.
    await this.#until(id, ({ result }) => result !== undefined);
    await this.#until(id, ({ status }) => FINAL.has(status));
    return transcript(this.#told(id));
  }

  async #send(command: string, argument?: unknown): Promise<string> {
    const [, [id]] = await this.#oracle.command(
      this.#device,
      command,
      argument,
    ) as [[number], [string]];
    return id;
  }

  async #until(id: string, holds: (told: Told) => boolean): Promise<void> {
    await timeout(async (signal) => {
      while (!this.#told(id).some(holds)) await sleep(5, { signal });
    }, 20_000);
  }

  #told(id: string): Told[] {
    return [...this.#events].flatMap(([attribute, { events }]) =>
      events.flatMap(({ value }) => read(attribute, value, id))
    );
  }
}

const FINAL: ReadonlySet<TaskStatus | undefined> = new Set([
  TaskStatus.ABORTED,
  TaskStatus.COMPLETED,
  TaskStatus.REJECTED,
  TaskStatus.FAILED,
]);

/** A command that both clients send. */
interface Subject {
  readonly command: string;
  readonly argument?: unknown;
  /** Whether it is aborted when it has told its progress. */
  readonly isAborted?: boolean;
}

const subjects: readonly Subject[] = [
  { command: "Scan", argument: JSON.stringify({ seconds: 0.2, steps: 4 }) },
  { command: "Off" },
  { command: "Forbidden", argument: "" },
  { command: "Boom", argument: "Oh" },
  { command: "Result", argument: JSON.stringify([3, "Tango"]) },
  {
    command: "Scan",
    argument: JSON.stringify({ seconds: 60, steps: 1 }),
    isAborted: true,
  },
];

/** Has a command executed, and gives what its handle tells. */
async function tell(
  proxy: DeviceProxy,
  { command, argument, isAborted }: Subject,
): Promise<unknown> {
  const updates: Told[] = [];
  const handle = await invokeLrc(
    (update) => void updates.push(update),
    proxy,
    command,
    argument,
    options,
  );
  if (isAborted) {
    while (handle.progress === undefined) await pause(5);
    await abortDevice(proxy, options);
  }
  await handle.done;
  // The callback has its own turns.
  while (!updates.some(({ result }) => result !== undefined)) await pause(5);
  return transcript(updates);
}

const attributesOf = {
  "1,1": [
    "longRunningCommandStatus",
    "longRunningCommandProgress",
    "longRunningCommandResult",
  ],
  "1,2": ["_lrcEvent"],
};

for (const [versions, attributes] of Object.entries(attributesOf)) {
  tangoTest(
    `invokeLrc tells what PyTango hears in version ${versions[2]}`,
    async () => {
      await using server = await start(versions);
      await using oracle = new Oracle();
      await using proxy = await DeviceProxy.connect(server.url);
      const hearer = await Hearer.subscribe(oracle, server.url, attributes);
      for (const subject of subjects) {
        const { command } = subject;
        assertEquals(
          [command, await tell(proxy, subject)],
          [command, await hearer.hear(subject)],
        );
      }
      // It is refused by its answer, which is all that both are told.
      const [code, text] = await oracle.command(
        server.url,
        "Reject",
        "Too cloudy",
      ) as [[number], [string]];
      const { resultCode, message } = await new LongRunningCommand("Reject")
        .execute(proxy, "Too cloudy", options);
      assertEquals(
        [[resultCode], message],
        [code, `Reject command rejected: ${text[0]}`],
      );
    },
  );
}

for (const versions of ["1,1", "2,2"]) {
  tangoTest(
    `long commands work over Tango in version ${versions}`,
    async () => {
      await using server = await start(versions);
      await using proxy = await DeviceProxy.connect(server.url);
      const scan = JSON.stringify({ seconds: 0.3, steps: 3 });

      const progress: unknown[] = [];
      const handle = await invokeLrc(
        (update) => {
          if (update.progress !== undefined) progress.push(update.progress);
        },
        proxy,
        "Scan",
        scan,
        options,
      );
      const { resultCode, message } = await handle.done;
      assertEquals([resultCode, message], [ResultCode.OK, "Scan completed OK"]);
      assertEquals(progress.map(Number), [0, 33, 66]);

      const boom = await new LongRunningCommand("Boom")
        .execute(proxy, "Oh", options);
      assertEquals(boom.resultCode, ResultCode.FAILED);

      const before = await invokeLrc(null, proxy, "Scan", scan, options);
      const text = before.serialize();
      await before.unsubscribe();
      const after = await attachLrc(null, proxy, text, options);
      assertEquals((await after.done).resultCode, ResultCode.OK);

      await using other = await DeviceProxy.connect(server.url);
      const report = await invokeAll([
        { proxy, command: "Scan", argument: scan },
        { proxy: other, command: "Off" },
      ], options);
      assertEquals(report.ok, true);

      const job = deviceCommand([proxy, other], "Scan", scan, options);
      assertEquals((await runJob(job)).length, 2);

      const long = await invokeLrc(
        null,
        proxy,
        "Scan",
        JSON.stringify({ seconds: 60 }),
        options,
      );
      assertEquals(
        (await abortDevice(proxy, options)).resultCode,
        ResultCode.OK,
      );
      assertEquals((await long.done).resultCode, ResultCode.ABORTED);
    },
  );

  tangoTest(
    `a server killed in a command of version ${versions} is survived`,
    async () => {
      await using server = await start(versions);
      await using proxy = await DeviceProxy.connect(server.url);
      const updates: LrcUpdate[] = [];
      const handle = await invokeLrc(
        (update) => void updates.push(update),
        proxy,
        "Scan",
        JSON.stringify({ seconds: 60 }),
        options,
      );
      while (handle.status !== TaskStatus.IN_PROGRESS) await pause(10);
      await server.kill();
      await pause(100);
      assert(!handle.ended);
      await server.restart();
      // The server that is there now knows nothing of the command.
      const result = await timeout(handle.done, 25_000);
      assertEquals(result.resultCode, ResultCode.UNKNOWN);
      assert(
        updates.some(({ errors }) =>
          errors?.[0]?.reason === "API_EventTimeout"
        ),
      );
      const again = await new LongRunningCommand("Off")
        .execute(proxy, undefined, options);
      assertEquals(again.resultCode, ResultCode.OK);
    },
  );
}
