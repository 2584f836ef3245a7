// Copyright 2026 the Longrun authors. MIT license.

import { ScriptWorker } from "../script_worker.ts";
import type {
  ScriptWorkerOptions,
  ScriptWorkerOutput,
} from "../script_worker_options.ts";

/** Where the sample scripts are. */
export const SCRIPTS = new URL("./scripts", import.meta.url).pathname;

/** The context of calls that do not look at it. */
export const CONTEXT = Object.freeze({ waitForQaReady: false });

/** A folder with files, until it is disposed. */
export async function withFiles(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { readonly folder: string }> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  for (const [name, text] of Object.entries(files)) {
    const path = `${folder}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
  return {
    folder,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** What a worker has said. */
export class Heard {
  readonly output: ScriptWorkerOutput[] = [];
  readonly published: { topic: string; data: unknown }[] = [];
  readonly patterns: (readonly string[])[] = [];
  readonly warnings: string[] = [];
  #changed = Promise.withResolvers<void>();

  readonly options: Partial<ScriptWorkerOptions> = {
    onOutput: (output) => {
      this.output.push(output);
      this.#change();
    },
    onPublish: (topic, data) => {
      this.published.push({ topic, data });
      this.#change();
    },
    onSubscribe: (patterns) => {
      this.patterns.push(patterns);
      this.#change();
    },
    logger: {
      debug: () => {},
      info: () => {},
      warn: (message) => void this.warnings.push(message),
      error: (message) => void this.warnings.push(message),
    },
  };

  texts(stream: ScriptWorkerOutput["stream"]): string[] {
    return this.output.filter((output) => output.stream === stream)
      .map(({ text }) => text);
  }

  topics(): string[] {
    return this.published.map(({ topic }) => topic);
  }

  /** Waits until something holds. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Starts a process with a sample script loaded. */
export async function spawnScript(
  heard: Heard,
  options: Partial<ScriptWorkerOptions> = {},
  script = `${SCRIPTS}/behaves.ts`,
): Promise<ScriptWorker> {
  const worker = await ScriptWorker.spawn({
    pid: 7,
    roots: [SCRIPTS],
    ...heard.options,
    ...options,
  });
  try {
    await worker.load(`file://${script}`);
  } catch (error) {
    await worker.stop();
    throw error;
  }
  return worker;
}

/** Whether a process is there. A dead one that nobody waited for counts. */
export async function isAlive(osPid: number): Promise<boolean> {
  try {
    await Deno.stat(`/proc/${osPid}`);
    return true;
  } catch {
    return false;
  }
}
