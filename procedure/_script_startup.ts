// Copyright 2026 the Longrun authors. MIT license.

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

/** Starts a process and waits for it to connect. */
export async function startUp(options: ScriptWorkerOptions): Promise<Up> {
  const { pid, clock = systemClock, signal, onOutput } = options;
  const { startupTimeout = 10_000 } = options;
  const logger = harmlessLogger(options.logger ?? defaultLogger);
  const started = await start(options);
  const { process } = started;
  const limits = { ...OUTPUT_LIMITS, ...options.outputLimits };
  const pipes = new Pipes(process, started.marker, limits, clock, (output) => {
    try {
      onOutput?.(output);
    } catch (error) {
      logger.error(`Procedure #${pid}: Its output was not taken`, { error });
    }
  });
  const { promise, resolve, reject } = Promise.withResolvers<Deno.TcpConn>();
  const fail = (why: string, cause?: unknown) =>
    reject(failure(pid, why, cause));
  const cancel = clock.setTimer(
    () => fail(`it took longer than ${startupTimeout} ms`),
    startupTimeout,
  );
  const onAbort = () => reject(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  started.connect().then(resolve, (error) => fail("no connection", error));
  const ended = process.status.then(async ({ code }) => {
    await pipes.drain();
    fail(`it ended with code ${code}`, new Error(pipes.lastErrors.join("\n")));
  });
  try {
    return { process, connection: await promise, pipes };
  } catch (error) {
    started.giveUp();
    started.connect().then((late) => late.close(), () => {});
    kill(process, "SIGKILL");
    await ended;
    throw error;
  } finally {
    cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}
