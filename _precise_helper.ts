// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What a helper tells whoever has started it. */
export interface HelperEvents {
  /** The moment it was asked for has come. */
  onAnswer(): void;
  /** It has ended by itself, and answers no more. */
  onEnd(error: unknown): void;
}

/** A thread that sleeps to a moment, more exactly than a platform timer. */
export interface Helper {
  /** The moment asked for, `Infinity` after the answer. */
  readonly askedFor: number;
  /** Asks for an answer at a moment, instead of the one asked for before. */
  ask(moment: number): void;
  /** Ends the thread. No event follows. */
  stop(): Promise<void>;
}

/**
 * Starts a helper.
 *
 * @throws {Error} If the platform cannot.
 */
export type StartHelper = (events: HelperEvents) => Helper;

/** The number of the latest question: the thread sleeps on it. */
const QUESTION = 0;
/** The number of the question answered last: we sleep on it. */
const ANSWER = 1;

/** The first of two places, each for a moment and the time of asking. */
const PLACES = 1;

const BYTES = 8 * (PLACES + 2 * 2);

/** The moment that ends the thread: not all platforms end one that sleeps. */
const END = -Infinity;

/** What is left of a wait after its sleep, at most: it is spun. */
const LONGEST_SPIN = 0.1;

// Questions are written to the two places by turns, so that what the thread
// has read is whole if no question has followed meanwhile.
//
// The clocks of two threads differ in their origins. The thread's is ahead by
// at most the time at which it reads a question less the time of asking. The
// least of these differences is right to a microsecond, and it is never too
// small, which would make moments come early.
//
// Sleeps take longer than they should, by much the same each time: the thread
// learns by how much and sleeps less. One in five ends too early then.
const PROGRAM = `
const now = () => performance.now();
const help = (buffer) => {
  const cells = new Int32Array(buffer);
  const times = new Float64Array(buffer);
  let ahead = Infinity;
  let oversleep = 0;
  for (;;) {
    const question = Atomics.load(cells, ${QUESTION});
    if (question === Atomics.load(cells, ${ANSWER})) {
      Atomics.wait(cells, ${QUESTION}, question);
      continue;
    }
    const place = ${PLACES} + 2 * (question & 1);
    const moment = times[place];
    const difference = now() - times[place + 1];
    if (question !== Atomics.load(cells, ${QUESTION})) continue;
    if (moment === ${END}) return;
    ahead = Math.min(ahead, difference);
    const end = moment + ahead;
    const rest = end - now();
    if (rest > ${LONGEST_SPIN}) {
      const ms = rest - oversleep;
      if (Atomics.wait(cells, ${QUESTION}, question, ms) === "timed-out") {
        oversleep += now() < end ? -0.004 : 0.001;
        oversleep = Math.min(Math.max(oversleep, 0), ${LONGEST_SPIN});
      }
      continue;
    }
    while (now() < end);
    Atomics.store(cells, ${ANSWER}, question);
    Atomics.notify(cells, ${ANSWER});
  }
};
`;

interface NodeWorker {
  on(event: "error" | "exit", listener: (cause: unknown) => void): unknown;
  unref(): void;
  terminate(): Promise<unknown>;
}

interface WorkerThreads {
  Worker: new (program: string, options: object) => NodeWorker;
}

interface Process {
  getBuiltinModule?: (name: "node:worker_threads") => WorkerThreads;
}

/** Starts the thread. Returns what ends it. */
type StartThread = (
  buffer: SharedArrayBuffer,
  onEnd: (error: unknown) => void,
) => () => unknown;

/** A thread that does not keep the process alive: Deno, Node and Bun. */
function nodeThread({ Worker }: WorkerThreads): StartThread {
  return (buffer, onEnd) => {
    const worker = new Worker(
      `${PROGRAM} help(require("node:worker_threads").workerData);`,
      // Neither preloaded modules nor the environment are for the thread.
      { eval: true, workerData: buffer, env: {}, execArgv: [] },
    );
    worker.on("error", onEnd);
    worker.on("exit", (code) => onEnd(new Error(`The helper exited: ${code}`)));
    worker.unref();
    return () => worker.terminate();
  };
}

/** A thread of a browser. */
const webThread: StartThread = (buffer, onEnd) => {
  const program = new Blob(
    [`${PROGRAM} onmessage = ({ data }) => {
      help(data);
      close();
    };`],
    { type: "text/javascript" },
  );
  const address = URL.createObjectURL(program);
  let worker: Worker | undefined;
  const end = (): void => {
    worker?.terminate();
    URL.revokeObjectURL(address);
  };
  try {
    worker = new Worker(address, { type: "module" });
    worker.postMessage(buffer);
  } catch (error) {
    end();
    throw error;
  }
  worker.onerror = (event) => {
    event.preventDefault();
    onEnd(new Error(`The helper failed: ${event.message}`));
  };
  return end;
};

function threadOfPlatform(): StartThread {
  const { SharedArrayBuffer, Atomics, Worker, Deno, process } =
    globalThis as unknown as Record<string, unknown> & {
      Atomics?: { waitAsync?: unknown };
      process?: Process;
    };
  if (SharedArrayBuffer === undefined) {
    throw new Error("There is no SharedArrayBuffer");
  }
  if (Atomics?.waitAsync === undefined) {
    throw new Error("There is no Atomics.waitAsync");
  }
  const threads = process?.getBuiltinModule?.("node:worker_threads");
  if (threads !== undefined) return nodeThread(threads);
  // Deno's own workers keep the process alive.
  if (Worker === undefined || Deno !== undefined) {
    throw new Error("There is no Worker");
  }
  return webThread;
}

class ThreadHelper implements Helper {
  askedFor = Infinity;
  readonly #onAnswer: () => void;
  readonly #endThread: () => unknown;
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #times: Float64Array<SharedArrayBuffer>;
  #question = 0;
  #isListening = false;
  #isStopped = false;

  constructor({ onAnswer, onEnd }: HelperEvents) {
    const startThread = threadOfPlatform();
    const buffer = new SharedArrayBuffer(BYTES);
    this.#cells = new Int32Array(buffer);
    this.#times = new Float64Array(buffer);
    this.#onAnswer = onAnswer;
    this.#endThread = startThread(buffer, (error) => {
      if (!this.#isStopped) onEnd(error);
    });
  }

  ask(moment: number): void {
    const last = this.#question;
    const question = this.#question = (last + 1) | 0;
    // Nothing may be answered before we listen.
    if (!this.#isListening) this.#listen(last);
    const place = PLACES + 2 * (question & 1);
    this.#times[place] = moment;
    this.#times[place + 1] = performance.now();
    this.askedFor = moment;
    Atomics.store(this.#cells, QUESTION, question);
    Atomics.notify(this.#cells, QUESTION);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.ask(END);
    Atomics.notify(this.#cells, ANSWER);
    try {
      await this.#endThread();
    } catch {
      // It has ended by itself.
    }
  }

  #listen(answer: number): void {
    this.#isListening = true;
    const { value } = Atomics.waitAsync(this.#cells, ANSWER, answer);
    Promise.resolve(value).then(this.#hear);
  }

  readonly #hear = (): void => {
    if (this.#isStopped) return;
    const answer = Atomics.load(this.#cells, ANSWER);
    // Another question has been asked meanwhile.
    if (answer !== this.#question) return this.#listen(answer);
    this.#isListening = false;
    this.askedFor = Infinity;
    this.#onAnswer();
  };
}

/** Starts a helper on a thread of the platform. */
export const startThreadHelper: StartHelper = (events) =>
  new ThreadHelper(events);
