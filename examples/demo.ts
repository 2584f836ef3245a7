// Copyright 2026 the Longrun authors. MIT license.

/**
 * Five seconds of a small observatory: `deno task demo`.
 *
 * A task samples this machine's load and memory twenty times a second, a
 * server on the loopback interface sends the samples as server-sent events,
 * and a streaming task reads them. The server stalls once, one task fails and
 * one hangs. A loop holds a star meanwhile: its settings are changed while it
 * runs, its topics are followed, and one of its rounds takes too long. A
 * telescope is configured and scans, too long: the scan is aborted. One
 * `AbortController` ends everything: when the time is over, or at Ctrl-C; a
 * second Ctrl-C does not wait. Nothing here calls `Deno.exit` otherwise: the
 * process ends because nothing is left that runs.
 */

import {
  BackgroundTask,
  BackgroundTaskProcessor,
  backoff,
  isCancellation,
  MissedLoopPolicy,
  sleep,
  StreamingTask,
  TaskContext,
} from "../mod.ts";
import { execute } from "./_execute.ts";
import { Guider } from "./_guider.ts";
import { readSamples, type Sample, SampleServer } from "./_server.ts";
import { makeTelescope } from "./_telescope.ts";
import { dim, green, isLive, red, Screen, yellow } from "./_terminal.ts";
import {
  type CommandShown,
  Events,
  frame,
  statusLine,
  summary,
} from "./_view.ts";

const DURATION = 5000;
const GRACE = 400;

const began = performance.now();
const now = (): number => performance.now() - began;

const app = new AbortController();
const { signal } = app;
const screen = isLive ? new Screen() : undefined;
const events = new Events(now, screen === undefined);

// Ctrl-C. Whoever has started this process may pass on a signal that it has
// got from the terminal already, so that one key counts twice: within a tenth
// of a second it is the same key.
const signals: Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];
let interruptedAt: number | undefined;
const interrupt = (): void => {
  if (interruptedAt === undefined) {
    interruptedAt = now();
    events.add(
      yellow("interrupted: everything is asked to stop, once more quits"),
    );
    app.abort(new DOMException("Interrupted", "AbortError"));
  } else if (now() - interruptedAt > 100) {
    screen?.close();
    Deno.exit(130);
  }
};
for (const name of signals) Deno.addSignalListener(name, interrupt);

// The tasks that are told by their names share what happens to errors.
const processor = new BackgroundTaskProcessor({
  onError: (error, { task, restartIn }) => {
    events.add(
      restartIn === undefined
        ? red(`${task.name}: ${error}, for good`)
        : yellow(`${task.name}: ${error}, again in ${restartIn} ms`),
    );
  },
});

const server = new SampleServer(signal);

/** Reads this machine, twenty times a second. */
const sampler = processor.submit(({ round, late }) => {
  const { total, available } = Deno.systemMemoryInfo();
  const [load = 0] = Deno.loadavg();
  server.publish({ round, late, load, used: total - available, total });
}, { name: "sampler", frequency: 20, signal });

/** Reads the samples back, through the network. */
const samples: Sample[] = [];
const stream = new StreamingTask<Sample>({
  name: "stream",
  source: (signal) => readSamples(server.url, signal),
  timeout: 400,
  onItem: (sample) => {
    samples.push(sample);
  },
  onError: (error) => {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      events.add(yellow(`stream: ${error.message}, goes on waiting`));
      return "continue";
    }
    events.add(red(`stream: ${error}`));
  },
});

/** The fault that the timeout of the stream is for. */
const stall = processor.submit(async ({ sleep }) => {
  await sleep(2000);
  server.stall();
  events.add("server: sends nothing for 700 ms");
  await sleep(700);
  server.resume();
  events.add("server: sends again, with what it has held back");
}, { name: "stall", signal });

/** Fails, is started again twice, and fails for good. */
const camera = processor.submit(async ({ sleep }) => {
  await sleep(300);
  throw new Error("no shutter");
}, {
  name: "camera",
  restart: backoff({ limit: 2, initial: 200 }),
  signal,
});

/** Hangs, and does not look at its signal. */
const cover = processor.submit(() => new Promise<void>(() => {}), {
  name: "cover",
  signal,
});

/** A device of its own, whose commands tell how far they have come. */
const telescope = makeTelescope();
const shown: CommandShown = { name: "Configure", percent: 0 };

/** Configures the telescope and scans, until everything is stopped. */
const observer = processor.submit(async () => {
  const onProgress = (percent: number): number => shown.percent = percent;
  const configured = await execute(
    telescope,
    "Configure",
    { source: "Vela" },
    { signal, onProgress },
  );
  events.add(`observer: Configure: ${configured.text}`);
  if (!configured.isWell || signal.aborted) return;
  shown.name = "Scan";
  const { isWell, text } = await execute(
    telescope,
    "Scan",
    { seconds: 20 },
    { signal, onProgress },
  );
  events.add((isWell ? green : yellow)(`observer: Scan: ${text}`));
}, { name: "observer", signal });

/** Has a name, settings, a status and topics: others only know its handle. */
const context = new TaskContext({ signal });
const guider = await context.makeTask("guider", Guider, [
  { period: 100, policy: MissedLoopPolicy.Skip },
]);

const offsets: number[] = [];
guider.topics.statusUpdated.onPublish(({ offset }) => offsets.push(offset));
guider.topics.settingsUpdated.onPublish(({ gain, exposure }) =>
  events.add(`guider: goes on with a gain of ${gain} and ${exposure} ms`)
);
guider.topics.missed.onPublish(({ late, missed }) =>
  events.add(
    yellow(`guider: is ${late.toFixed(0)} ms late, ${missed} rounds are lost`),
  )
);

const tasks = [sampler, stall, camera, cover, observer, guider];
const view = new BackgroundTask(() => {
  if (screen !== undefined) {
    screen.draw(
      frame(now(), DURATION, samples, offsets, shown, tasks, stream, events),
    );
  } else if (samples.length > 0) {
    console.log(statusLine(now(), samples, offsets, shown, tasks, stream));
  }
}, { name: "view", frequency: screen === undefined ? 1 : 10 });

try {
  view.run();
  await stream.start({ signal });
  guider.start();
  await sleep(1700, { signal });
  guider.setSettings({ gain: 0.5, exposure: 20 });
  await sleep(1300, { signal });
  guider.setSettings({ gain: 0.5, exposure: 350 }); // more than its period
  await sleep(200, { signal });
  guider.setSettings({ gain: 0.5, exposure: 20 });
  events.add(`cover: is asked to stop, and has ${GRACE} ms`);
  const outcome = await cover.stop({ grace: GRACE });
  events.add(yellow(`cover: ${outcome}`));
  await sleep(Math.max(DURATION - now(), 0), { signal });
  events.add(green("the time is over: everything is asked to stop"));
  app.abort(new DOMException("The time is over", "AbortError"));
} catch (error) {
  if (!isCancellation(error, signal)) throw error;
} finally {
  // Also when something above has failed: nothing may be left.
  app.abort();
  await processor.stopAll({ grace: GRACE });
  await stream.stop({ grace: GRACE });
  await telescope.stop({ grace: GRACE });
  await context.dispose();
  await server.finished;
  await view.stop();
  screen?.draw(
    frame(now(), DURATION, samples, offsets, shown, tasks, stream, events),
  );
  screen?.close();
  for (const name of signals) Deno.removeSignalListener(name, interrupt);
}

console.log();
for (const line of summary([...tasks, view], stream)) console.log(line);
const left = processor.size + Number(stream.running) + Number(view.running) +
  context.tasks.length + server.clients + telescope.executing +
  telescope.subscriptions;
console.log(
  left === 0
    ? green("Nothing is left running.") + dim(" The process ends by itself.")
    : red(`${left} are left running.`),
);
if (left > 0) Deno.exitCode = 1;
