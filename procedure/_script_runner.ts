// Copyright 2026 the Longrun authors. MIT license.

/**
 * The Worker that the script runs in. What it needs of the globals it takes
 * before the script is imported, and its port to the main thread is nowhere
 * that the script can reach: a script that changes the globals harms itself.
 */

import {
  BOARD,
  type CallMessage,
  type EventMessage,
  type FromRunner,
  isPattern,
  isScriptTopic,
  OUTGOING_LIMIT,
  PATTERNS_LIMIT,
  type RunnerSetup,
  type ToRunner,
} from "./_script_messages.ts";
import { describe } from "./_script_stack.ts";
import { matches, Subscription } from "./_script_subscription.ts";

const { apply, getOwnPropertyDescriptor } = Reflect;
const { postMessage } = MessagePort.prototype;
const { load, add, sub, wait } = Atomics;
const dataOf = getOwnPropertyDescriptor(MessageEvent.prototype, "data")?.get;
const { inspect } = Deno;
const { freeze } = Object;

/** A log line has at most so many characters. */
const LOG_LENGTH = 65_536;
/** So many functions of a module are told. */
const NAMES = 1_000;

const LEVELS = ["debug", "info", "warn", "error"] as const;

class Runner {
  readonly #setup: RunnerSetup;
  readonly #board: Int32Array;
  readonly #controller = new AbortController();
  readonly #subscriptions = new Set<Subscription>();
  readonly #functions = new Map<string, (argument: unknown) => unknown>();
  #hasNoticed = false;

  constructor(setup: RunnerSetup) {
    this.#setup = setup;
    this.#board = new Int32Array(setup.board);
    setup.port.onmessage = (event) =>
      this.#take(apply(dataOf ?? (() => event.data), event, []) as ToRunner);
  }

  isAbortReason(reason: unknown): boolean {
    const { signal } = this.#controller;
    return signal.aborted && reason === signal.reason;
  }

  post(message: FromRunner): void {
    apply(postMessage, this.#setup.port, [message]);
  }

  async load(load: () => Promise<Record<string, unknown>>): Promise<void> {
    try {
      const module = await load();
      for (const name of Object.keys(module)) {
        const value = module[name];
        if (typeof value === "function" && this.#functions.size < NAMES) {
          this.#functions.set(name, value as (argument: unknown) => unknown);
        }
      }
      this.post({ type: "loaded", names: [...this.#functions.keys()] });
    } catch (error) {
      this.post({ type: "notLoaded", error: describe(error) });
    }
  }

  #take(message: ToRunner): void {
    switch (message.type) {
      case "run":
        return void this.#call(message);
      case "event":
        return this.#hear(message);
      case "abort":
        this.#notice();
        this.#controller.abort(
          new DOMException("The procedure is being stopped", "AbortError"),
        );
    }
  }

  async #call(message: CallMessage): Promise<void> {
    const { id, fn } = message;
    try {
      const called = this.#functions.get(fn);
      if (called === undefined) throw new TypeError(`There is no '${fn}'`);
      await called(this.#argumentsOf(message));
      this.post({ type: "returned", id });
    } catch (error) {
      this.post({ type: "threw", id, error: describe(error) });
    }
  }

  #hear({ dropped, topic, data, source, time }: EventMessage): void {
    sub(this.#board, BOARD.INCOMING, 1);
    const event = freeze({ topic, data, source, time });
    for (const subscription of this.#subscriptions) {
      subscription.lose(dropped);
      if (subscription.patterns.some((pattern) => matches(pattern, topic))) {
        subscription.push(event);
      }
    }
  }

  get #isAborted(): boolean {
    return load(this.#board, BOARD.ABORTED) === 1;
  }

  /** The parent need not wait for scripts that do not look. */
  #notice(): void {
    if (this.#hasNoticed) return;
    this.#hasNoticed = true;
    this.post({ type: "noticed" });
  }

  /**
   * Waits for room, as a script that publishes in a loop would fill the memory
   * of all who are slower. Returns whether the message may be sent.
   */
  #takeRoom(): boolean {
    for (;;) {
      const outgoing = load(this.#board, BOARD.OUTGOING);
      if (outgoing < OUTGOING_LIMIT) break;
      if (this.#isAborted) return false;
      wait(this.#board, BOARD.OUTGOING, outgoing, 1_000);
    }
    add(this.#board, BOARD.OUTGOING, 1);
    return true;
  }

  #sendWithRoom(message: FromRunner): void {
    if (!this.#takeRoom()) return;
    try {
      this.post(message);
    } catch (error) {
      sub(this.#board, BOARD.OUTGOING, 1);
      throw error;
    }
  }

  #publish(topic: string, data: unknown): void {
    if (!isScriptTopic(topic)) {
      throw new TypeError(
        `Cannot publish as '${topic}' is no topic or one of the service's own`,
      );
    }
    this.#sendWithRoom({ type: "publish", topic, data });
  }

  #subscribe(pattern: string | readonly string[]): Subscription {
    const patterns = typeof pattern === "string" ? [pattern] : [...pattern];
    for (const each of patterns) {
      if (!isPattern(each)) {
        throw new TypeError(`Cannot subscribe as '${each}' is no pattern`);
      }
    }
    let count = Math.max(patterns.length, 1);
    for (const one of this.#subscriptions) {
      count += Math.max(one.patterns.length, 1);
    }
    if (count > PATTERNS_LIMIT) {
      throw new RangeError(
        `Cannot subscribe as there would be more than ${PATTERNS_LIMIT} patterns`,
      );
    }
    const subscription = new Subscription(patterns, (left) => {
      this.#subscriptions.delete(left);
      this.#tellPatterns();
    });
    this.#subscriptions.add(subscription);
    this.#tellPatterns();
    return subscription;
  }

  #tellPatterns(): void {
    const patterns = new Set<string>();
    for (const subscription of this.#subscriptions) {
      for (const pattern of subscription.patterns) patterns.add(pattern);
    }
    this.#sendWithRoom({ type: "subscribe", patterns: [...patterns] });
  }

  #log(level: string, message: string, details?: Record<string, unknown>) {
    const rest = details === undefined
      ? ""
      : ` ${inspect(details, { breakLength: Infinity })}`;
    const text = `[${level}] ${message}${rest}`.slice(0, LOG_LENGTH);
    this.#sendWithRoom({ type: "log", text });
  }

  #argumentsOf(message: CallMessage): unknown {
    const log = Object.fromEntries(
      LEVELS.map((level) => [
        level,
        (text: string, details?: Record<string, unknown>) =>
          this.#log(level, text, details),
      ]),
    );
    return freeze({
      pid: this.#setup.pid,
      args: message.args,
      kwargs: message.kwargs,
      context: freezeDeeply(message.context),
      signal: this.#controller.signal,
      aborted: () => {
        const isAborted = this.#isAborted;
        if (isAborted) this.#notice();
        return isAborted;
      },
      publish: (topic: string, data?: unknown) => this.#publish(topic, data),
      subscribe: (pattern: string | readonly string[]) =>
        this.#subscribe(pattern),
      log: freeze(log),
    });
  }
}

function freezeDeeply<T>(value: T): T {
  // Buffers cannot be frozen.
  if (
    typeof value === "object" && value !== null && !ArrayBuffer.isView(value) &&
    !Object.isFrozen(value)
  ) {
    freeze(value);
    for (const each of Object.values(value)) freezeDeeply(each);
  }
  return value;
}

/** Takes care of a Worker that ends, or of what nobody has caught in it. */
function watch(runner: Runner): void {
  const gone = (reason: string, thrown?: unknown) =>
    runner.post({
      type: "gone",
      reason,
      ...(thrown === undefined ? {} : { error: describe(thrown) }),
    });
  addEventListener("error", (event) => {
    event.preventDefault();
    gone("an error that nobody caught", event.error ?? event.message);
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    // Work beside that was cut short; the rest may still clean up.
    if (runner.isAbortReason(event.reason)) return;
    gone("a rejection that nobody caught", event.reason ?? "undefined");
  });
  // Without a word a Worker that has closed itself looks like one at work.
  addEventListener("unload", () => gone("it called exit"));
  const { exit } = Deno;
  Object.defineProperty(Deno, "exit", {
    configurable: true,
    value: (code?: number): never => {
      gone(`it called Deno.exit(${code ?? ""})`);
      return exit(code);
    },
  });
  const scope = globalThis as unknown as { close(): void };
  const { close } = scope;
  scope.close = () => {
    gone("it called close()");
    apply(close, globalThis, []);
  };
}

/**
 * Nobody listens, but whoever sends without end would leave the main thread no
 * time for anything else, not even to leave when its parent does.
 */
function silence(): void {
  Object.defineProperty(globalThis, "postMessage", {
    value: freeze(() => {}),
    writable: false,
    configurable: false,
  });
}

async function checkPermissions(unlimited: readonly string[]): Promise<void> {
  for (
    const name of ["read", "write", "net", "env", "run", "sys", "ffi"] as const
  ) {
    const { state } = await Deno.permissions.query({ name });
    if (state === "granted" && !unlimited.includes(name)) {
      throw new Error(`The script has every permission to ${name}`);
    }
  }
}

/** Takes its port from the first message, and then imports the script. */
export async function start(
  first: MessageEvent<RunnerSetup>,
  load: () => Promise<Record<string, unknown>>,
): Promise<void> {
  const setup = first.data;
  const runner = new Runner(setup);
  watch(runner);
  silence();
  try {
    await checkPermissions(setup.unlimited);
  } catch (error) {
    return runner.post({ type: "notLoaded", error: describe(error) });
  }
  await runner.load(load);
}
