// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a service does about the procedures of one that has crashed.
 *
 * @module
 */

import { sleep } from "@longrun/tasks/cancellation";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import {
  checkCommon,
  checkFunction,
  checkOptions,
  checkPositive,
} from "./_arguments.ts";
import { isOver } from "./_activity_states.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { withState } from "./_procedure_history.ts";
import type { ActivityState, ActivitySummary } from "./activity.ts";
import type { ProcedureSummary } from "./procedure.ts";
import { isFinal, type ProcedureState } from "./procedure_state.ts";
import type {
  ProcedureStore,
  ProcessIdentity,
  StoredProcedure,
} from "./procedure_store.ts";

function readText(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return null;
  }
}

interface ProcessStat {
  readonly state: string;
  readonly group: number;
  readonly start: string;
}

/** What is known of a process, behind its name, which is anything. */
function readStat(osPid: number | string): ProcessStat | null {
  const stat = readText(`/proc/${osPid}/stat`);
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, , group] = fields;
  const start = fields[19];
  return state === undefined || start === undefined
    ? null
    : { state, group: Number(group), start };
}

const bootId = (): string | null =>
  readText("/proc/sys/kernel/random/boot_id")?.trim() ?? null;

const hasEnded = (state: string): boolean => state === "Z" || state === "X";

/**
 * Which process a number stands for now: what {@linkcode recoverProcedures}
 * needs to know it again. The time of the start comes from `/proc`, so there is
 * one on Linux only, and only with the permission to read there.
 *
 * @param osPid The number of a process.
 * @returns Its identity.
 *
 * @example Usage
 * ```ts
 * import { processIdentity } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(processIdentity(Deno.pid).osPid, Deno.pid);
 * ```
 */
export function processIdentity(osPid: number): ProcessIdentity {
  const stat = readStat(osPid);
  const boot = bootId();
  const startTime = stat === null || boot === null
    ? null
    : `${boot}:${stat.start}`;
  return { osPid, startTime };
}

/** The groups that processes are in, which have the numbers of their leaders. */
function groupsNow(): Set<number> {
  const groups = new Set<number>();
  if (bootId() === null) return groups;
  for (const { name } of Deno.readDirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? readStat(name) : null;
    if (stat !== null) groups.add(stat.group);
  }
  return groups;
}

/**
 * Whether programs go on that a process has started. While they do, no other
 * process is given its number.
 */
function hasLeftPrograms(osPid: number, start: string): boolean {
  for (const { name } of Deno.readDirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? readStat(name) : null;
    if (stat === null || stat.group !== osPid) continue;
    if (!hasEnded(stat.state) && Number(stat.start) >= Number(start)) {
      return true;
    }
  }
  return false;
}

/** A process, and what it has started: scripts lead a group of their own. */
function killAll({ osPid }: ProcessIdentity): void {
  try {
    Deno.kill(-osPid, "SIGKILL");
  } catch {
    Deno.kill(osPid, "SIGKILL");
  }
}

/** Whether a process lives, has ended, or cannot be told from another. */
type Life = "alive" | "gone" | "unknown";

function lifeOf({ osPid, startTime }: ProcessIdentity): Life {
  const boot = bootId();
  if (startTime === null || boot === null) return "unknown";
  if (!startTime.startsWith(`${boot}:`)) return "gone";
  const start = startTime.slice(boot.length + 1);
  const stat = readStat(osPid);
  if (stat !== null && stat.start !== start) return "gone";
  const isAlive = stat !== null && !hasEnded(stat.state);
  return isAlive || hasLeftPrograms(osPid, start) ? "alive" : "gone";
}

/** Options of {@linkcode recoverProcedures}. */
export interface RecoverOptions {
  /**
   * The time of day, in milliseconds since the epoch.
   *
   * @default {Date.now}
   */
  now?: () => number;
  /**
   * Kills a process that a procedure has left behind, and what it has started.
   *
   * @default {SIGKILL}
   */
  kill?: (process: ProcessIdentity) => void;
  /**
   * How long a killed process may take to end, in milliseconds.
   *
   * @default {5_000}
   */
  timeout?: number;
  /**
   * Measures that.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of what was found.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
  /** Ends the wait for processes. What was not seen to end is UNKNOWN. */
  signal?: AbortSignal;
}

const PAUSE = 10;

const WHY = "the service ended while it ran";

function endOf(life: Life): { state: ProcedureState; text: string } {
  if (life === "gone") return { state: "FAILED", text: `Error: ${WHY}` };
  const still = life === "alive"
    ? "its process could not be killed"
    : "nobody knows whether its process has ended";
  return { state: "UNKNOWN", text: `Error: ${WHY}, and ${still}` };
}

function ended(
  summary: ProcedureSummary,
  life: Life,
  time: number,
): ProcedureSummary {
  const { state, text } = endOf(life);
  const { stacktrace } = summary.history;
  const stack = stacktrace === null ? text : `${stacktrace}\n${text}`;
  const history = withState(summary.history, state, time, stack);
  return { ...summary, state, history };
}

function activityEnd(procedure: ProcedureState | undefined): ActivityState {
  return procedure === "COMPLETE" || procedure === "STOPPED"
    ? procedure
    : "FAILED";
}

/**
 * Puts an end to what a service has left behind that did not end as it should:
 * no procedure is forgotten, none is left in a state that it is not in.
 *
 * Processes that still live are killed, and programs that they have started,
 * also those of a procedure that is FAILED. A procedure that had not ended
 * becomes FAILED if its process is known to have ended, UNKNOWN if not, and its
 * stack tells why. One that is UNKNOWN and whose process is seen to have ended
 * becomes FAILED. Activities follow their procedures.
 *
 * Call it before a service is created with the store. Only processes whose
 * {@linkcode ProcessIdentity} was saved are killed, and only if number, boot and
 * time of the start are the same.
 *
 * @param store What has survived.
 * @param options How to kill, and how long to wait.
 * @returns A promise of the procedures that were changed, as they are now.
 * @throws {TypeError} If an argument is of the wrong type.
 *
 * @example Usage
 * ```ts
 * import { InMemoryProcedureStore, recoverProcedures } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * using store = new InMemoryProcedureStore();
 * store.saveProcedure({
 *   id: 1,
 *   script: { type: "filesystem", uri: "file:///scripts/observe.ts" },
 *   calls: [],
 *   history: { states: [["CREATING", 0]], stacktrace: null },
 *   state: "CREATING",
 * });
 * const [procedure] = await recoverProcedures(store);
 * assertEquals(procedure?.state, "UNKNOWN");
 * ```
 */
export async function recoverProcedures(
  store: ProcedureStore,
  options: RecoverOptions = {},
): Promise<readonly ProcedureSummary[]> {
  const doing = "recover procedures";
  checkOptions(doing, options);
  checkCommon(doing, options);
  const {
    now = Date.now,
    kill = killAll,
    timeout = 5_000,
    clock = systemClock,
    signal,
  } = options;
  const logger = harmlessLogger(options.logger ?? defaultLogger);
  checkFunction(doing, "now", now);
  checkFunction(doing, "kill", kill);
  checkPositive(doing, "timeout", timeout);

  let groups: Set<number> | undefined;
  const left = store.procedures().filter(({ summary: { state }, process }) => {
    if (!isFinal(state)) return true;
    if (process === null) return false;
    // It is FAILED a moment before its process ends, and many are.
    return state === "UNKNOWN" ||
      state === "FAILED" && (groups ??= groupsNow()).has(process.osPid);
  });
  const lives = left.map(({ summary, process }) => {
    const life = process === null ? "unknown" : lifeOf(process);
    if (life !== "alive" || process === null) return life;
    const details = { pid: summary.id, ...process };
    try {
      kill(process);
      logger.warn(
        `The process ${process.osPid} of PID #${summary.id} was left behind and is killed`,
        details,
      );
    } catch (error) {
      logger.warn(
        `The process ${process.osPid} of PID #${summary.id} was left behind and could not be killed`,
        { ...details, error },
      );
    }
    return life;
  });
  await waitForEnds(left, lives, { clock, timeout, signal });

  const changed: ProcedureSummary[] = [];
  left.forEach(({ summary }, index) => {
    const life = lives[index] ?? "unknown";
    if (summary.state === "FAILED") return;
    if (summary.state === "UNKNOWN" && life !== "gone") return;
    const end = ended(summary, life, now());
    store.saveProcedure(end, life === "gone" ? null : undefined);
    logger.warn(`PID #${end.id} is ${end.state}: ${WHY}`, { pid: end.id });
    changed.push(end);
  });
  endActivities(store, now);
  return changed;
}

async function waitForEnds(
  left: readonly StoredProcedure[],
  lives: Life[],
  { clock, timeout, signal }: {
    clock: Clock;
    timeout: number;
    signal: AbortSignal | undefined;
  },
): Promise<void> {
  const end = clock.now() + timeout;
  const look = (): void => {
    left.forEach(({ process }, index) => {
      if (lives[index] === "alive" && process !== null) {
        lives[index] = lifeOf(process);
      }
    });
  };
  look();
  while (lives.includes("alive") && clock.now() < end && !signal?.aborted) {
    await sleep(PAUSE, { clock });
    look();
  }
}

function endActivities(store: ProcedureStore, now: () => number): void {
  const states = new Map(
    store.procedures().map(({ summary }) => [summary.id, summary.state]),
  );
  for (const activity of store.activities()) {
    if (isOver(activity.state)) continue;
    const { procedureId } = activity;
    const state = activityEnd(
      procedureId === null ? undefined : states.get(procedureId),
    );
    const end: ActivitySummary = {
      ...activity,
      state,
      states: [...activity.states, [state, now()]],
    };
    store.saveActivity(end);
  }
}
