// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { onAbort } from "./cancellation.ts";

/** A body is longer than its reader takes. */
export class BodyLimitError extends RangeError {
  override readonly name: string = "BodyLimitError";
}

/**
 * Reads a body as text, and leaves it as soon as it is longer than the limit,
 * whatever its header has said.
 *
 * @param limit How many bytes it may have.
 * @param signal Ends the reading, and leaves the body.
 * @throws {BodyLimitError} If it has more.
 * @throws {TypeError} If it is not UTF-8.
 */
export async function readText(
  body: ReadableStream<Uint8Array> | null,
  limit: number,
  signal?: AbortSignal,
): Promise<string> {
  if (body === null) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = body.getReader();
  const leave = (): void => void reader.cancel().catch(() => {});
  const forget = signal === undefined ? undefined : onAbort(signal, leave);
  let length = 0;
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return text + decoder.decode();
      length += value.byteLength;
      if (length > limit) {
        throw new BodyLimitError(`The body is longer than ${limit} bytes`);
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    leave();
    throw error;
  } finally {
    forget?.();
  }
}
