// Copyright 2026 the Longrun authors. MIT license.

import process from "node:process";
import { parentPort } from "node:worker_threads";
import { Task, type TaskHost } from "../task.ts";

/** What goes wrong in a thread: each name is a way. */
export type Trouble =
  | "fail to begin"
  | "throw"
  | "throw later"
  | "reject"
  | "exit"
  | "Deno.exit"
  | "close"
  | "be busy"
  | "count to a thousand"
  | "be busy for ever"
  | "show a function"
  | "stop itself"
  | "say why"
  | "use its port"
  | "show and exit"
  | "show a function late"
  | "crash before the start"
  | "wait";

/** An error with all that may get lost on the way. */
export class MishapError extends Error {
  override readonly name: string = "MishapError";
  readonly code = 42;
}

function mishap(): MishapError {
  return new MishapError("lens cap on", { cause: new TypeError("no light") });
}

/** A task in trouble. */
export class Troubled extends Task<undefined, unknown> {
  readonly #trouble: Trouble;

  constructor(host: TaskHost, trouble: Trouble) {
    super(host);
    this.#trouble = trouble;
    if (trouble === "fail to begin") throw mishap();
    if (trouble === "crash before the start") {
      setTimeout(() => {
        throw mishap();
      }, 1);
    }
  }

  override async run(): Promise<void> {
    switch (this.#trouble) {
      case "throw":
        throw mishap();
      case "throw later":
        setTimeout(() => {
          throw mishap();
        }, 1);
        break;
      case "reject":
        Promise.reject(mishap());
        break;
      case "exit":
        process.exit(3);
        break;
      case "Deno.exit":
        (globalThis as unknown as { Deno: typeof Deno }).Deno.exit(3);
        break;
      case "close":
        (globalThis as unknown as { close(): void }).close();
        break;
      case "be busy":
        while (!this.stopRequested);
        return;
      case "count to a thousand":
        for (let count = 1; count <= 1000; count++) this.status = count;
        break;
      case "be busy for ever":
        this.status = "busy";
        for (;;);
      case "show a function":
        this.status = () => {};
        break;
      case "stop itself":
        this.stop("enough");
        break;
      case "use its port":
        parentPort?.postMessage(null);
        parentPort?.postMessage({ type: "ended" });
        return;
      case "show and exit":
        for (let count = 1; count <= 1000; count++) this.status = count;
        process.exit(3);
        break;
      case "show a function late":
        this.status = 1;
        this.status = () => {};
        throw mishap();
      case "say why":
        this.status = await this.sleep(60_000).catch((error) =>
          `${error.name}: ${error.cause}`
        );
        return;
    }
    await this.sleep(60_000);
  }
}
