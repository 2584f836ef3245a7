// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What a peer sent that is no ZMTP, or what became of a connection to it. */
export class ZmtpError extends Error {
  override readonly name = "ZmtpError";
}

/** The bytes of a greeting. */
export const GREETING_SIZE = 64;

/** The offset of the major version in a greeting, and of what follows it. */
export const VERSION_OFFSET = 10;
const MECHANISM_OFFSET = 12;
const MECHANISM_SIZE = 20;
const ROLE_OFFSET = MECHANISM_OFFSET + MECHANISM_SIZE;

/** More frames of the message follow. */
export const MORE = 1;
/** The size takes eight bytes. */
export const LONG = 2;
/** The frame is a command. */
export const COMMAND = 4;

const LONGEST_SHORT_FRAME = 255;
const LONGEST_PING_CONTEXT = 16;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How a peer introduces itself. */
export interface ZmtpGreeting {
  /** The major and the minor version. */
  version: readonly [major: number, minor: number];
  /** The security mechanism. */
  mechanism: string;
  /** Whether it is the server of the mechanism; nobody is with `NULL`. */
  isServer: boolean;
}

/** The properties of a peer, by their names in small letters. */
export type ZmtpMetadata = ReadonlyMap<string, Uint8Array>;

/** Writes a greeting. Without arguments that of ZMTP 3.0 with `NULL`. */
export function encodeGreeting(
  greeting: Partial<ZmtpGreeting> = {},
): Uint8Array {
  const { version = [3, 0], mechanism = "NULL", isServer = false } = greeting;
  const bytes = new Uint8Array(GREETING_SIZE);
  bytes[0] = 0xff;
  bytes[VERSION_OFFSET - 1] = 0x7f;
  bytes.set(version, VERSION_OFFSET);
  bytes.set(
    encoder.encode(mechanism).subarray(0, MECHANISM_SIZE),
    MECHANISM_OFFSET,
  );
  bytes[ROLE_OFFSET] = isServer ? 1 : 0;
  return bytes;
}

/**
 * Looks at a greeting of which the first bytes have come. A peer of an older
 * version may never send the rest.
 *
 * @throws {ZmtpError} If it cannot become one of ZMTP 3.
 */
export function checkSignature(bytes: Uint8Array, length: number): void {
  const last = VERSION_OFFSET - 1;
  if (
    length > 0 && bytes[0] !== 0xff || length > last && bytes[last] !== 0x7f
  ) {
    throw new ZmtpError("The peer does not speak ZMTP 3");
  }
  const major = bytes[VERSION_OFFSET] ?? 0;
  if (length > VERSION_OFFSET && major < 3) {
    throw new ZmtpError(
      `The peer speaks a ZMTP older than 3.0 (revision ${major})`,
    );
  }
}

/**
 * Reads a whole greeting.
 *
 * @throws {ZmtpError} If it is malformed or its mechanism is not `NULL`.
 */
export function decodeGreeting(bytes: Uint8Array): ZmtpGreeting {
  checkSignature(bytes, GREETING_SIZE);
  const field = bytes.subarray(MECHANISM_OFFSET, ROLE_OFFSET);
  const end = field.indexOf(0);
  const mechanism = String.fromCharCode(
    ...field.subarray(0, end < 0 ? MECHANISM_SIZE : end),
  );
  if (!/^[\w.+-]+$/.test(mechanism)) {
    throw new ZmtpError("The peer's greeting names no mechanism");
  }
  if (mechanism !== "NULL") {
    throw new ZmtpError(
      `The peer requires the mechanism ${mechanism}: only NULL is supported`,
    );
  }
  const [major = 0, minor = 0] = bytes.subarray(VERSION_OFFSET);
  return {
    version: [major, minor],
    mechanism,
    isServer: bytes[ROLE_OFFSET] === 1,
  };
}

const headerSize = (size: number): number => size > LONGEST_SHORT_FRAME ? 9 : 2;

/** Writes the head of a frame; returns the offset behind it. */
function writeHeader(
  bytes: Uint8Array,
  offset: number,
  flags: number,
  size: number,
): number {
  if (size <= LONGEST_SHORT_FRAME) {
    bytes[offset] = flags;
    bytes[offset + 1] = size;
    return offset + 2;
  }
  bytes[offset] = flags | LONG;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  view.setBigUint64(1, BigInt(size));
  return offset + 9;
}

/** Writes a message of one frame or more. */
export function encodeMessage(frames: readonly Uint8Array[]): Uint8Array {
  const size = frames.reduce(
    (sum, { length }) => sum + headerSize(length) + length,
    0,
  );
  const bytes = new Uint8Array(size);
  let offset = 0;
  frames.forEach((frame, index) => {
    const flags = index < frames.length - 1 ? MORE : 0;
    offset = writeHeader(bytes, offset, flags, frame.length);
    bytes.set(frame, offset);
    offset += frame.length;
  });
  return bytes;
}

/** Writes a command. */
export function encodeCommand(name: string, data: Uint8Array): Uint8Array {
  const encoded = encoder.encode(name);
  const size = 1 + encoded.length + data.length;
  const bytes = new Uint8Array(headerSize(size) + size);
  const offset = writeHeader(bytes, 0, COMMAND, size);
  bytes[offset] = encoded.length;
  bytes.set(encoded, offset + 1);
  bytes.set(data, offset + 1 + encoded.length);
  return bytes;
}

/** Writes the command that ends the handshake. */
export function encodeReady(
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const properties = Object.entries(metadata).map(([name, value]) => {
    const [key, content] = [encoder.encode(name), encoder.encode(value)];
    const bytes = new Uint8Array(1 + key.length + 4 + content.length);
    bytes[0] = key.length;
    bytes.set(key, 1);
    new DataView(bytes.buffer).setUint32(1 + key.length, content.length);
    bytes.set(content, 1 + key.length + 4);
    return bytes;
  });
  return encodeCommand("READY", concatenate(properties));
}

/** Writes a question whether the peer is there. Its answer has the context. */
export function encodePing(context: Uint8Array): Uint8Array {
  // The peer need not miss us: no time to live.
  return encodeCommand("PING", concatenate([new Uint8Array(2), context]));
}

/** Writes the answer to a `PING` with the same context. */
export function encodePong(context: Uint8Array): Uint8Array {
  return encodeCommand("PONG", context);
}

/** Writes the message that begins or ends a subscription, as in ZMTP 3.0. */
export function encodeSubscription(topic: string, begins: boolean): Uint8Array {
  const flag = Uint8Array.of(begins ? 1 : 0);
  return encodeMessage([concatenate([flag, encoder.encode(topic)])]);
}

/** One array of many. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/**
 * Reads the body of a command: its name and what follows it.
 *
 * @throws {ZmtpError} If it has no name.
 */
export function decodeCommand(
  body: Uint8Array,
): { name: string; data: Uint8Array } {
  const end = 1 + (body[0] ?? 0);
  if (end === 1 || end > body.length) {
    throw new ZmtpError("The peer sent a command without a name");
  }
  return {
    name: decoder.decode(body.subarray(1, end)),
    data: body.subarray(end),
  };
}

/**
 * Reads the properties of a `READY` command.
 *
 * @throws {ZmtpError} If they are malformed.
 */
export function decodeMetadata(data: Uint8Array): ZmtpMetadata {
  const metadata = new Map<string, Uint8Array>();
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let offset = 0; offset < data.length;) {
    const nameEnd = offset + 1 + (data[offset] ?? 0);
    const start = nameEnd + 4;
    const end = start <= data.length
      ? start + view.getUint32(nameEnd)
      : Infinity;
    if (nameEnd === offset + 1 || end > data.length) {
      throw new ZmtpError("The peer sent malformed metadata");
    }
    const name = decoder.decode(data.subarray(offset + 1, nameEnd));
    metadata.set(name.toLowerCase(), data.subarray(start, end));
    offset = end;
  }
  return metadata;
}

/** The reason in an `ERROR` command, fit to be shown. */
export function decodeReason(data: Uint8Array): string {
  const [length = 0] = data;
  return JSON.stringify(decoder.decode(data.subarray(1, 1 + length)));
}

/**
 * The context of a `PING` command, which its answer repeats.
 *
 * @throws {ZmtpError} If the command is malformed.
 */
export function decodePing(data: Uint8Array): Uint8Array {
  if (data.length < 2 || data.length > 2 + LONGEST_PING_CONTEXT) {
    throw new ZmtpError("The peer sent a malformed PING");
  }
  return data.subarray(2);
}
