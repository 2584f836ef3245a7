// Copyright 2026 the Longrun authors. MIT license.

/**
 * The main thread of the process of a script. It holds the connection to the
 * service and the signals; the script itself runs in a Worker, so that this
 * thread is always free. It imports nothing but its neighbours, as it runs
 * under the configuration of the script.
 */

import {
  BOARD,
  type ChildSetup,
  type Cloner,
  decodeFrame,
  encodeFrame,
  EVENT_LIMIT,
  type EventMessage,
  type FromChild,
  type FromRunner,
  INCOMING_LIMIT,
  readFrames,
  type ToChild,
  writeAll,
} from "./_script_messages.ts";

/** How long the last messages may take. */
const FAREWELL = 1_000;

let clonerLoading: Promise<Cloner> | undefined;

/** Loaded late: it takes longer to load than the rest of the process. */
function loadCloner(): Promise<Cloner> {
  clonerLoading ??= import("node:v8").then(({ serialize, deserialize }) => ({
    serialize,
    deserialize,
  }));
  return clonerLoading;
}

class Child {
  readonly #setup: ChildSetup;
  readonly #connection: Deno.TcpConn;
  readonly #board = new Int32Array(
    new SharedArrayBuffer(4 * BOARD.LENGTH),
  );
  #tail: Promise<void> = Promise.resolve();
  #port: MessagePort | undefined;
  #calls = 0;
  #lost = 0;
  /** What the process is to exit with, once it leaves. */
  #code: number | undefined;

  constructor(setup: ChildSetup, connection: Deno.TcpConn) {
    this.#setup = setup;
    this.#connection = connection;
  }

  /** Runs until the connection ends. Returns what to exit with. */
  async run(): Promise<number> {
    this.#send({ type: "up", token: this.#setup.token });
    await this.#tail;
    // Both run beside the script from here on.
    this.#watchMemory();
    loadCloner();
    for await (const frame of readFrames(this.#connection)) {
      const cloner = frame.cloned ? await loadCloner() : undefined;
      if (this.#code !== undefined) continue;
      this.#take(decodeFrame(frame, cloner) as ToChild);
    }
    return this.#code ?? 1;
  }

  #take(message: ToChild): void {
    switch (message.type) {
      case "load":
        return this.#load(message.url);
      case "run":
        this.#calls++;
        return this.#port?.postMessage(message);
      case "event":
        return this.#deliver(message);
      case "taken":
        Atomics.sub(this.#board, BOARD.OUTGOING, message.count);
        Atomics.notify(this.#board, BOARD.OUTGOING);
        return;
      case "abort":
        Atomics.store(this.#board, BOARD.ABORTED, 1);
        Atomics.notify(this.#board, BOARD.OUTGOING);
        if (this.#calls === 0) return this.#leave(0);
        return this.#port?.postMessage(message);
    }
  }

  #deliver(message: EventMessage): void {
    if (
      this.#port === undefined ||
      Atomics.load(this.#board, BOARD.INCOMING) >= INCOMING_LIMIT
    ) {
      this.#lost += 1 + message.dropped;
      return;
    }
    Atomics.add(this.#board, BOARD.INCOMING, 1);
    const dropped = message.dropped + this.#lost;
    this.#lost = 0;
    this.#port.postMessage({ ...message, dropped });
  }

  #load(url: string): void {
    const runner = new URL("./_script_runner.ts", import.meta.url).href;
    // The imports are literals, so that the permissions of this thread decide
    // on them, and the script itself needs none to be imported.
    const source = `
      const setup = new Promise((resolve) =>
        addEventListener("message", resolve, { once: true }));
      const { start } = await import(${JSON.stringify(runner)});
      await start(await setup, () => import(${JSON.stringify(url)}));
    `;
    const worker = new Worker(
      `data:application/javascript,${encodeURIComponent(source)}`,
      // Not among the types as long as it is unstable.
      {
        type: "module",
        name: `procedure ${this.#setup.pid}`,
        deno: { permissions: this.#setup.permissions },
      } as WorkerOptions,
    );
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#gone("its thread failed", event.message);
    });
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = (event) => this.#hear(event.data as FromRunner);
    this.#port = port1;
    worker.postMessage({
      pid: this.#setup.pid,
      port: port2,
      board: this.#board.buffer,
      unlimited: this.#setup.unlimited,
    }, [port2]);
  }

  #hear(message: FromRunner): void {
    switch (message.type) {
      case "returned":
      case "threw":
        return void this.#settle(message);
      case "gone":
        this.#send(message);
        return this.#leave(1);
      case "publish":
        return this.#publish(message);
      default:
        return this.#send(message);
    }
  }

  #publish(message: FromRunner & { type: "publish" }): void {
    // In its place of the row, before the cloner has come.
    this.#tail = this.#tail.then(async () => {
      const refuse = (why: string) =>
        this.#write(encodeFrame({
          type: "log",
          text: `[error] Cannot publish on '${message.topic}': ${why}`,
        }));
      let frame: Uint8Array;
      try {
        frame = encodeFrame(message, await loadCloner());
      } catch (error) {
        return await refuse(String(error));
      }
      if (frame.length > EVENT_LIMIT) {
        return await refuse(`the data has ${frame.length} bytes`);
      }
      await this.#write(frame);
    });
  }

  async #settle(message: FromRunner & { type: "returned" | "threw" }) {
    // What the call wrote is to come before its end.
    const marker = new TextEncoder().encode(`${this.#setup.marker}\n`);
    await Promise.all([
      writeAll(Deno.stdout, marker).catch(() => {}),
      writeAll(Deno.stderr, marker).catch(() => {}),
    ]);
    this.#calls--;
    this.#send(message);
    if (Atomics.load(this.#board, BOARD.ABORTED) === 1) this.#leave(0);
  }

  #send(message: FromChild): void {
    const frame = encodeFrame(message);
    this.#tail = this.#tail.then(() => this.#write(frame));
  }

  async #write(frame: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#connection, frame);
    } catch {
      // The parent has gone, and the reading end says so.
    }
  }

  #gone(reason: string, message: string): void {
    const error = { name: "Error", message, stack: message };
    this.#send({ type: "gone", reason, error });
    this.#leave(1);
  }

  #leave(code: number): void {
    if (this.#code !== undefined) return;
    this.#code = code;
    setTimeout(() => Deno.exit(code), FAREWELL);
    // What was written would be lost if the connection were closed while
    // something in it is unread. So the parent closes it, when it has all.
    this.#tail.then(() => this.#connection.closeWrite())
      .catch(() => Deno.exit(code));
  }

  /** The limit of the heap says nothing of buffers. */
  #watchMemory(): void {
    const limit = this.#setup.residentLimit * 1_048_576;
    setInterval(() => {
      if (Deno.memoryUsage().rss <= limit) return;
      const text = `the process has more than ${this.#setup.residentLimit} MB`;
      this.#gone("out of memory", text);
    }, 250);
  }
}

async function readSetup(): Promise<ChildSetup> {
  const parts: Uint8Array[] = [];
  for await (const part of Deno.stdin.readable) parts.push(part);
  const text = await new Blob(parts as BlobPart[]).text();
  return JSON.parse(text);
}

/** Refuses to run with more than was meant: a forgotten flag must not pass. */
async function checkPermissions(unlimited: readonly string[]): Promise<void> {
  for (
    const name of ["read", "write", "net", "env", "run", "sys", "ffi"] as const
  ) {
    const { state } = await Deno.permissions.query({ name });
    if (state === "granted" && !unlimited.includes(name)) {
      throw new Error(`The process has every permission to ${name}`);
    }
  }
}

if (import.meta.main) {
  if (Deno.build.os !== "windows") {
    // The thread is always free, so a handler ends the process as fast as none
    // would; a handler of the script's cannot keep it alive.
    Deno.addSignalListener("SIGTERM", () => Deno.exit(143));
    // Control-C goes to all processes of a terminal; the parent decides.
    Deno.addSignalListener("SIGINT", () => {});
  }
  const setup = await readSetup();
  await checkPermissions(setup.unlimited);
  const connection = await Deno.connect({
    hostname: "127.0.0.1",
    port: setup.port,
  });
  connection.setNoDelay();
  let code = 1;
  try {
    code = await new Child(setup, connection).run();
  } finally {
    // Without the parent nobody is left who could stop the script.
    Deno.exit(code);
  }
}
