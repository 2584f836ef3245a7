// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { isFinalStatus, type LrcChange } from "./_lrc_messages.ts";
import { type DevError, TaskStatus } from "./device_proxy.ts";

/**
 * How it was learnt: the device has told it (`"event"`), or was asked, because
 * something may have been lost (`"repair"`), because it tells nothing by itself
 * (`"poll"`), or because the command was begun earlier (`"attach"`).
 */
export type LrcSource = "event" | "repair" | "poll" | "attach";

/** A status that a command has had. */
export interface LrcHistoryEntry {
  /** The status. */
  readonly status: TaskStatus;
  /** When it was learnt, on the scale of the clock, in milliseconds. */
  readonly time: number;
}

/** What has happened to a command's events so far. */
export interface LrcCounters {
  /** Events that told something of the command, known or not. */
  readonly events: number;
  /** Those that told nothing new. */
  readonly duplicates: number;
  /** Those that told of a status that was over. */
  readonly outOfOrder: number;
  /** Those that could not be understood, or in part only. */
  readonly malformed: number;
  /** Errors of the events and of the device when it was asked. */
  readonly errors: number;
  /** How often events may have been lost. */
  readonly gaps: number;
  /** How often the device, when asked, told what its events had not. */
  readonly repairs: number;
}

/** All that is known of a command. */
export interface LrcState {
  readonly status: TaskStatus | undefined;
  readonly progress: number | string | undefined;
  readonly result: { readonly value: unknown } | undefined;
  /** The last status, kept back until its result is known or known missing. */
  readonly held: TaskStatus | undefined;
  readonly isOver: boolean;
  /** How often in a row no table of the device had it. */
  readonly missing: number;
  /** How often the device has told of less than its held status, when asked. */
  readonly denied: number;
  readonly history: readonly LrcHistoryEntry[];
  readonly counters: LrcCounters;
}

/** What is learnt of a command. */
export type LrcInput =
  | { readonly kind: "change"; readonly change: LrcChange }
  | {
    readonly kind: "errors" | "malformed";
    readonly errors: readonly DevError[];
  }
  /** Events may have been lost. */
  | { readonly kind: "gap" }
  /** The device was asked and knows the command. */
  | {
    readonly kind: "found";
    readonly change: LrcChange;
    readonly source: LrcSource;
  }
  /**
   * It is in no table of the device, which cannot be asked otherwise; but its
   * result may be known.
   */
  | {
    readonly kind: "missing";
    readonly change: LrcChange;
    readonly source: LrcSource;
  }
  /** The device says that it does not know it. */
  | { readonly kind: "unknown"; readonly source: LrcSource }
  /** The device has nothing that could be asked. */
  | { readonly kind: "unable"; readonly source: LrcSource };

/** What follows from an input. */
export interface LrcStep {
  readonly state: LrcState;
  /** What is new. */
  readonly news:
    | (LrcChange & { readonly errors?: readonly DevError[] })
    | undefined;
  /** Whether the device must be asked. */
  readonly mustAsk: boolean;
}

/** Nothing is known yet. */
export const UNKNOWN_STATE: LrcState = {
  status: undefined,
  progress: undefined,
  result: undefined,
  held: undefined,
  isOver: false,
  missing: 0,
  denied: 0,
  history: [],
  counters: {
    events: 0,
    duplicates: 0,
    outOfOrder: 0,
    malformed: 0,
    errors: 0,
    gaps: 0,
    repairs: 0,
  },
};

/** How often in a row a command must be missing to be given up. */
const MOST_MISSING = 2;

/** How often a status that was held must be denied to be believed all the same. */
const MOST_DENIED = 6;

/**
 * What is known of a command after one more input: a pure function.
 *
 * @param holds Whether a last status without a result is kept back until the
 * device was asked for the result.
 */
export function advance(
  state: LrcState,
  input: LrcInput,
  time: number,
  holds: boolean,
): LrcStep {
  if (state.isOver) return { state, news: undefined, mustAsk: false };
  switch (input.kind) {
    case "change":
      return learn(state, input.change, "event", time, holds);
    case "found":
      return learn(state, input.change, input.source, time, holds);
    case "errors":
    case "malformed":
      return {
        state: count(state, input.kind),
        news: { errors: input.errors },
        mustAsk: true,
      };
    case "gap":
      return { state: count(state, "gaps"), news: undefined, mustAsk: true };
    case "missing":
      return miss(state, input.change, input.source, time, holds);
    case "unknown":
      return conclude(state, state.held ?? TaskStatus.NOT_FOUND, time, {});
    case "unable":
      return state.held === undefined
        ? { state, news: undefined, mustAsk: false }
        : conclude(state, state.held, time, {});
  }
}

type Mutable<T> = { -readonly [key in keyof T]: T[key] };

type News = Mutable<LrcChange>;

function learn(
  before: LrcState,
  change: LrcChange,
  source: LrcSource,
  time: number,
  holds: boolean,
): LrcStep {
  const counters: Mutable<LrcCounters> = { ...before.counters };
  const state: Mutable<LrcState> = { ...before, counters, missing: 0 };
  const news: News = {};
  if (change.progress !== undefined && change.progress !== state.progress) {
    news.progress = state.progress = change.progress;
  }
  if ("result" in change && !isSame(state.result, change.result)) {
    news.result = change.result;
    state.result = { value: change.result };
  }
  if (change.extra !== undefined) news.extra = change.extra;

  const { status } = change;
  const isEvent = source === "event";
  const isFinal = status !== undefined && isFinalStatus(status);
  let isLate = false;
  let isDoubtful = false;
  if (status === TaskStatus.NOT_FOUND) {
    // No device tells this of a command by itself.
    isDoubtful = true;
  } else if (status !== undefined && isFinal) {
    state.held ??= status;
  } else if (status !== undefined) {
    isLate = state.held !== undefined || status < (state.status ?? status);
    if (!isLate && status !== state.status) {
      news.status = state.status = status;
      state.history = [...state.history, { status, time }];
    }
  }
  const hasNews = Object.keys(news).length > 0;
  const isNew = hasNews || state.held !== before.held;
  if (isEvent) counters.events++;
  if (isEvent && isLate) counters.outOfOrder++;
  else if (isEvent && !isNew) counters.duplicates++;
  else if (source === "repair" && isNew) counters.repairs++;

  const { held } = state;
  if (held !== undefined && !isEvent && !isFinal) state.denied++;
  const isComplete = state.result !== undefined ||
    (isEvent ? !holds : isFinal || state.denied >= MOST_DENIED);
  if (held !== undefined && isComplete) {
    return conclude(state, held, time, news);
  }
  return {
    state,
    news: hasNews ? news : undefined,
    mustAsk: isDoubtful || (held !== undefined && (isNew || !isEvent)),
  };
}

function miss(
  before: LrcState,
  change: LrcChange,
  source: LrcSource,
  time: number,
  holds: boolean,
): LrcStep {
  const { state, news } = learn(before, change, source, time, holds);
  if (state.isOver) return { state, news, mustAsk: false };
  const missing = before.missing + 1;
  return missing < MOST_MISSING
    ? { state: { ...state, missing }, news, mustAsk: true }
    : conclude(state, state.held ?? TaskStatus.NOT_FOUND, time, news ?? {});
}

function conclude(
  state: LrcState,
  status: TaskStatus,
  time: number,
  news: News,
): LrcStep {
  const history = [...state.history, { status, time }];
  return {
    state: { ...state, status, history, held: undefined, isOver: true },
    news: { ...news, status },
    mustAsk: false,
  };
}

function count(state: LrcState, name: keyof LrcCounters): LrcState {
  const counters: Mutable<LrcCounters> = { ...state.counters };
  counters[name]++;
  return { ...state, counters };
}

function isSame(known: LrcState["result"], value: unknown): boolean {
  return known !== undefined &&
    JSON.stringify(known.value) === JSON.stringify(value);
}
