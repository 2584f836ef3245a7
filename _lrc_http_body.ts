// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** A body is longer than its reader takes. */
export class BodyLimitError extends RangeError {
  override readonly name: string = "BodyLimitError";
}

/**
 * Reads a body as text, and leaves it as soon as it is longer than the limit,
 * whatever its header has said.
 *
 * @param limit How many bytes it may have.
 * @throws {BodyLimitError} If it has more.
 * @throws {TypeError} If it is not UTF-8.
 */
export async function readText(
  body: ReadableStream<Uint8Array> | null,
  limit: number,
): Promise<string> {
  if (body === null) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = body.getReader();
  let length = 0;
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.byteLength;
    if (length > limit) {
      reader.cancel().catch(() => {});
      throw new BodyLimitError(`The body is longer than ${limit} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}
