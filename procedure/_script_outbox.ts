// Copyright 2026 the Longrun authors. MIT license.

import { type Cloner, encodeFrame, FRAME_LIMIT } from "./_script_messages.ts";
import { writeAll } from "./_script_messages.ts";
import type { ScriptEvent } from "./script_module.ts";

/** So many events wait for a child that does not read. */
const EVENTS = 1_000;
/** So many bytes of events. */
const BYTES = 16 * 1_024 * 1_024;

/**
 * What is on its way to the child: commands, which are few and never lost, and
 * events, of which the newest are lost when the child does not read.
 */
export class Outbox {
  readonly #connection: Deno.TcpConn;
  readonly #cloner: Cloner;
  readonly #frames: { frame: Uint8Array; isEvent: boolean }[] = [];
  #events = 0;
  #bytes = 0;
  #dropped = 0;
  #isWriting = false;
  #isClosed = false;

  constructor(connection: Deno.TcpConn, cloner: Cloner) {
    this.#connection = connection;
    this.#cloner = cloner;
  }

  /** Sends a command that holds no values of the script. */
  command(message: unknown): void {
    this.frame(encodeFrame(message));
  }

  /** Sends a frame. */
  frame(frame: Uint8Array): void {
    this.#push(frame, false);
  }

  /** Sends an event, or counts it as lost. Returns whether it was sent. */
  event({ topic, data, source, time }: ScriptEvent): boolean {
    if (this.#events >= EVENTS || this.#bytes >= BYTES) {
      this.#dropped++;
      return false;
    }
    const dropped = this.#dropped;
    let frame: Uint8Array;
    try {
      frame = encodeFrame(
        { type: "event", topic, data, source, time, dropped },
        this.#cloner,
      );
    } catch {
      this.#dropped++;
      return false;
    }
    if (frame.length > FRAME_LIMIT) {
      this.#dropped++;
      return false;
    }
    this.#dropped = 0;
    this.#events++;
    this.#bytes += frame.length;
    this.#push(frame, true);
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.#frames.length = 0;
  }

  #push(frame: Uint8Array, isEvent: boolean): void {
    if (this.#isClosed) return;
    this.#frames.push({ frame, isEvent });
    if (!this.#isWriting) this.#write();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    for (;;) {
      const next = this.#frames.shift();
      if (next === undefined) break;
      try {
        await writeAll(this.#connection, next.frame);
      } catch {
        // The child has gone, and the reading end says so.
        this.close();
      }
      if (next.isEvent) {
        this.#events--;
        this.#bytes -= next.frame.length;
      }
    }
    this.#isWriting = false;
  }
}
