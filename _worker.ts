// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What the owner of a {@linkcode Thread} is told. */
export interface ThreadHooks {
  /** A message has come. */
  onMessage: (message: unknown) => void;
  /** The thread has failed and is dead. */
  onError: (error: unknown) => void;
  /** The thread has ended. Those of the web do not say so. */
  onExit: (code: number | undefined) => void;
}

/** A thread, as the one that has started it sees it. */
export interface Thread {
  /** Sends a copy of a message. */
  post(message: unknown): void;
  /** Whether the thread keeps the process alive, where there is a choice. */
  keepAlive(ref: boolean): void;
  /** Ends the thread; a busy one only where the platform can. */
  terminate(): void;
}

/** A thread's way to the one that has started it. */
export interface ThreadPort {
  /** Sends a copy of a message. */
  post(message: unknown): void;
  /** Is told of each message, also of those that came before. */
  onMessage(callback: (message: unknown) => void): void;
  /** Is told of errors that nobody has caught, which no longer end the thread. */
  onError(callback: (error: unknown) => void): void;
  /** Is told when something is about to end the thread from within. */
  onExit(callback: (code: number) => void): void;
}

interface NodeWorker {
  on(event: string, listener: (value: unknown) => void): void;
  postMessage(message: unknown): void;
  ref(): void;
  unref(): void;
  terminate(): Promise<unknown>;
}

interface NodePort {
  on(event: "message", listener: (message: unknown) => void): void;
  postMessage(message: unknown): void;
}

interface NodeThreads {
  readonly Worker: new (url: URL, options: { name: string }) => NodeWorker;
  readonly parentPort: NodePort | null;
}

/** What some platforms have among their globals. */
interface Platform {
  process?: {
    getBuiltinModule?: (name: string) => unknown;
    on?: (event: string, listener: (error: unknown) => void) => void;
    exit?: (code?: number) => unknown;
    reallyExit?: (code?: number) => unknown;
  };
  Deno?: { exit?: (code?: number) => unknown };
  close?: () => unknown;
  WorkerGlobalScope?: new () => object;
}

/**
 * The threads of Node, which Deno and Bun have, too. They say when they have
 * ended and need not keep the process alive, which those of the web do not.
 */
function nodeThreads(): NodeThreads | undefined {
  const { process } = globalThis as Platform;
  return process?.getBuiltinModule?.("node:worker_threads") as
    | NodeThreads
    | undefined;
}

function startNodeThread(
  { Worker }: NodeThreads,
  url: URL,
  name: string,
  hooks: ThreadHooks,
): Thread {
  const worker = new Worker(url, { name });
  worker.on("message", hooks.onMessage);
  worker.on("messageerror", hooks.onError);
  worker.on("error", hooks.onError);
  worker.on("exit", (code) => hooks.onExit(code as number));
  return {
    post: (message) => worker.postMessage(message),
    keepAlive: (ref) => ref ? worker.ref() : worker.unref(),
    terminate: () => {
      worker.terminate();
    },
  };
}

function startWebThread(url: URL, name: string, hooks: ThreadHooks): Thread {
  const worker = new Worker(url, { type: "module", name });
  worker.addEventListener("message", ({ data }) => hooks.onMessage(data));
  worker.addEventListener("messageerror", ({ data }) => hooks.onError(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    const { error, message } = event;
    hooks.onError(error ?? new Error(message || "The thread has failed"));
  });
  return {
    post: (message) => worker.postMessage(message),
    keepAlive: () => {},
    terminate: () => worker.terminate(),
  };
}

/**
 * Starts a thread from a module.
 *
 * @throws {Error} If the platform has no threads.
 */
export function startThread(
  url: URL,
  name: string,
  hooks: ThreadHooks,
): Thread {
  const threads = nodeThreads();
  // Those of Node may know nothing but files.
  const isFile = url.protocol === "file:" || typeof Worker !== "function";
  if (threads !== undefined && isFile) {
    return startNodeThread(threads, url, name, hooks);
  }
  if (typeof Worker === "function") return startWebThread(url, name, hooks);
  throw new Error("Cannot start a thread as the platform has no Worker");
}

/** Calls back before the functions that end a thread. */
function watchEnds(callback: (code: number) => void): void {
  const { process, Deno, close } = globalThis as Platform;
  const watch = <Key extends string>(
    owner: { [key in Key]?: (code?: number) => unknown } | undefined,
    key: Key,
  ): void => {
    const end = owner?.[key];
    if (owner === undefined || end === undefined) return;
    owner[key] = (code = 0) => {
      callback(code);
      return end.call(owner, code);
    };
  };
  watch(process, "exit");
  // What an imported `exit` calls on Deno.
  watch(process, "reallyExit");
  watch(Deno, "exit");
  if (close !== undefined) watch(globalThis as Platform, "close");
}

/** Calls back for errors that nobody has caught, which end nothing then. */
function watchErrors(callback: (error: unknown) => void): void {
  const { process } = globalThis as Platform;
  if (process?.on !== undefined) {
    process.on("uncaughtException", callback);
    process.on("unhandledRejection", callback);
    return;
  }
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    callback(event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    callback(event.reason);
  });
}

function portOfScope(): ThreadPort | undefined {
  const { WorkerGlobalScope } = globalThis as Platform;
  if (
    WorkerGlobalScope === undefined ||
    !(globalThis instanceof WorkerGlobalScope)
  ) return undefined;
  const scope = globalThis as unknown as { postMessage(value: unknown): void };
  return {
    post: (message) => scope.postMessage(message),
    onMessage: (callback) =>
      globalThis.addEventListener(
        "message",
        (event) => callback((event as MessageEvent).data),
      ),
    onError: watchErrors,
    onExit: watchEnds,
  };
}

/** The way out of this thread, `undefined` in the first thread of a program. */
export function threadPort(): ThreadPort | undefined {
  const port = nodeThreads()?.parentPort;
  if (port === undefined || port === null) return portOfScope();
  return {
    post: (message) => port.postMessage(message),
    onMessage: (callback) => port.on("message", callback),
    onError: watchErrors,
    onExit: watchEnds,
  };
}
