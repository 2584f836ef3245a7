// Copyright 2026 the Longrun authors. MIT license.

import { onAbort } from "@longrun/tasks/cancellation";
import { systemClock } from "@longrun/tasks/clock";
import { defaultLogger } from "@longrun/tasks/logger";
import { harmlessLogger } from "./_harmless_logger.ts";
import { OUTPUT_LIMITS } from "./_script_output.ts";
import { Pipes } from "./_script_pipes.ts";
import { kill, type Started, startProcess } from "./_script_process.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ScriptWorkerOptions } from "./script_worker_options.ts";

/** The process of a script that is up. */
export interface Up {
  readonly process: Deno.ChildProcess;
  readonly connection: Deno.TcpConn;
  readonly pipes: Pipes;
}

function failure(pid: number, why: string, cause: unknown): ProcedureError {
  return new ProcedureError(
    "startup-failed",
    `The process of procedure #${pid} did not come up: ${why}`,
    cause === undefined ? {} : { cause },
  );
}

async function start(options: ScriptWorkerOptions): Promise<Started> {
  const { pid, grants = {} } = options;
  try {
    return await startProcess({
      pid,
      roots: options.roots,
      grants,
      configPath: options.configPath,
      importMap: options.importMap,
      flags: options.flags,
      env: options.env,
      denoDir: options.denoDir,
      cwd: options.cwd,
      memory: options.memory ?? grants.memory ?? 1_024,
    });
  } catch (error) {
    throw failure(pid, "it cannot be started", error);
  }
}

/** Ends a process that is not wanted any more. */
function end(started: Started): void {
  started.giveUp();
  started.connect().then((late) => late.close(), () => {});
  kill(started.process, "SIGKILL");
}

/** Ends a process that nobody has waited for, and that nobody reads. */
function endLate(started: Started): void {
  end(started);
  const { stdout, stderr } = started.process;
  for (const stream of [stdout, stderr]) stream.cancel().catch(() => {});
}

/** Waits for a process to connect. Ends it unless it does. */
async function connect(
  options: ScriptWorkerOptions,
  started: Started,
  failed: Promise<never>,
  fail: (why: string, cause?: unknown) => void,
): Promise<Up> {
  const { pid, clock = systemClock, onOutput } = options;
  const logger = harmlessLogger(options.logger ?? defaultLogger);
  const { process } = started;
  const limits = { ...OUTPUT_LIMITS, ...options.outputLimits };
  const pipes = new Pipes(process, started.marker, limits, clock, (output) => {
    try {
      onOutput?.(output);
    } catch (error) {
      logger.error(`Procedure #${pid}: Its output was not taken`, { error });
    }
  });
  const ended = process.status.then(async ({ code }) => {
    await pipes.drain();
    fail(`it ended with code ${code}`, new Error(pipes.lastErrors.join("\n")));
  });
  const connecting = started.connect().catch((error) => {
    fail("no connection", error);
    return failed;
  });
  try {
    const connection = await Promise.race([connecting, failed]);
    return { process, connection, pipes };
  } catch (error) {
    end(started);
    await ended;
    throw error;
  }
}

/** Starts a process and waits for it to connect. */
export async function startUp(options: ScriptWorkerOptions): Promise<Up> {
  const { pid, clock = systemClock, signal } = options;
  const { startupTimeout = 10_000 } = options;
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {});
  const fail = (why: string, cause?: unknown) =>
    reject(failure(pid, why, cause));
  const cancel = clock.setTimer(
    () => fail(`it took longer than ${startupTimeout} ms`),
    startupTimeout,
  );
  const forget = signal && onAbort(signal, reject);
  const starting = start(options);
  let isStarted = false;
  try {
    const started = await Promise.race([starting, failed]);
    isStarted = true;
    return await connect(options, started, failed, fail);
  } finally {
    // A disk or a network that hangs keeps nobody from a stop.
    if (!isStarted) void starting.then(endLate, () => {});
    cancel();
    forget?.();
  }
}
