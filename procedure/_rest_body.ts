// Copyright 2026 the Longrun authors. MIT license.

import { onAbort } from "@longrun/tasks/cancellation";
import { complaintAbout } from "./_json_value.ts";
import { Problem, unprocessable } from "./_problem.ts";

function tooLarge(limit: number): Problem {
  const detail = `The body is longer than ${limit} bytes`;
  return new Problem(413, "too-large", detail);
}

async function readBytes(
  body: ReadableStream<Uint8Array>,
  limit: number,
  signal: AbortSignal,
): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = body.getReader();
  const leave = (): void => void reader.cancel().catch(() => {});
  const forget = onAbort(signal, leave);
  let length = 0;
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return text + decoder.decode();
      length += value.byteLength;
      if (length > limit) throw tooLarge(limit);
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    leave();
    throw error;
  } finally {
    forget();
  }
}

function isJson(type: string | null): boolean {
  const [essence = ""] = (type ?? "").split(";", 1);
  return essence.trim().toLowerCase() === "application/json";
}

/**
 * Reads a body as JSON: no longer, no deeper and with no other names than plain
 * data may have.
 *
 * @throws {Problem} If it is something else.
 */
export async function readJson(
  request: Request,
  limit: number,
  compat: boolean,
  signal: AbortSignal,
): Promise<unknown> {
  const { body, headers } = request;
  const missing = {
    place: "",
    message: "is missing",
    part: "body",
    rule: "missing",
  } as const;
  const type = headers.get("content-type");
  if (body === null && type === null) throw unprocessable([missing]);
  if (!isJson(type)) {
    const detail = "The body must be of the type application/json";
    throw new Problem(415, "not-json", detail);
  }
  if (Number(headers.get("content-length") ?? 0) > limit) {
    throw tooLarge(limit);
  }
  if (body === null) throw unprocessable([missing]);
  let text: string;
  let json: unknown;
  try {
    text = await readBytes(body, limit, signal);
    if (text.trim() === "") throw unprocessable([missing]);
    json = JSON.parse(text);
  } catch (error) {
    if (error instanceof Problem || signal.aborted) throw error;
    if (compat) {
      throw unprocessable([{
        ...missing,
        message: "JSON decode error",
        rule: "json_invalid",
      }]);
    }
    const detail = "The body is not JSON in UTF-8";
    throw new Problem(400, "malformed", detail, { cause: error });
  }
  const complaint = complaintAbout(json);
  if (complaint === undefined) return json;
  throw unprocessable([{ ...complaint, part: "body", rule: "plain" }]);
}
