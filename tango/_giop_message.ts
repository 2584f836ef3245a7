// Copyright 2026 the Longrun authors. MIT license.

import { CdrReader, MarshalError } from "./_cdr_reader.ts";
import { CdrWriter } from "./_cdr_writer.ts";
import { encodeText } from "./_text.ts";

/** The kinds of messages, with the numbers of GIOP. */
export const MessageType = {
  REQUEST: 0,
  REPLY: 1,
  CANCEL_REQUEST: 2,
  LOCATE_REQUEST: 3,
  LOCATE_REPLY: 4,
  CLOSE_CONNECTION: 5,
  MESSAGE_ERROR: 6,
  FRAGMENT: 7,
} as const;

/** How a request has ended, with the numbers of GIOP. */
export const ReplyStatus = {
  NO_EXCEPTION: 0,
  USER_EXCEPTION: 1,
  SYSTEM_EXCEPTION: 2,
  LOCATION_FORWARD: 3,
  LOCATION_FORWARD_PERM: 4,
  NEEDS_ADDRESSING_MODE: 5,
} as const;

/** How many bytes come before the body of a message. */
export const HEADER_SIZE = 12;

/** Where in the header the size of the body is. */
const SIZE_POSITION = 8;

const MAGIC = encodeText("GIOP");
const LITTLE_ENDIAN = 1;
const MORE_FRAGMENTS = 2;
/** A reply, or an exception, is wanted. */
const WITH_TARGET = 3;
const KEY_ADDRESS = 0;
/** The body of a request or reply begins at a multiple of this. */
const BODY_ALIGNMENT = 8;

/** What the header of a message says. */
export interface MessageHeader {
  readonly type: number;
  readonly minor: number;
  readonly littleEndian: boolean;
  readonly moreFragments: boolean;
  /** How many bytes the body has. */
  readonly size: number;
}

/**
 * Reads the header of a message.
 *
 * @throws {MarshalError} If it is none.
 */
export function readHeader(bytes: Uint8Array): MessageHeader {
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new MarshalError("A message does not begin with 'GIOP'");
  }
  const [, , , , major, minor = 0, flags = 0, type = 0] = bytes;
  if (major !== 1 || minor > 2) {
    throw new MarshalError(`GIOP ${major}.${minor} is not understood`);
  }
  const littleEndian = (flags & LITTLE_ENDIAN) !== 0;
  const reader = new CdrReader(bytes, littleEndian, { offset: SIZE_POSITION });
  return {
    type,
    minor,
    littleEndian,
    // Of the versions before, only 1.1 has fragments, without the request.
    moreFragments: minor > 0 && (flags & MORE_FRAGMENTS) !== 0,
    size: reader.unsignedLong(),
  };
}

function begin(type: number): CdrWriter {
  return new CdrWriter().raw(MAGIC).octet(1).octet(2).octet(LITTLE_ENDIAN)
    .octet(type).unsignedLong(0);
}

function end(message: CdrWriter): Uint8Array {
  message.patchUnsignedLong(SIZE_POSITION, message.length - HEADER_SIZE);
  return message.bytes;
}

/** What is asked of an object. */
export interface Request {
  /** Its number on this connection. */
  readonly id: number;
  /** The object, in the words of the server. */
  readonly objectKey: Uint8Array;
  /** The name of the operation. */
  readonly operation: string;
  /** Writes the arguments. */
  readonly write?: ((writer: CdrWriter) => unknown) | undefined;
}

/** A request as a message. */
export function encodeRequest(request: Request): Uint8Array {
  const message = begin(MessageType.REQUEST)
    .unsignedLong(request.id)
    .octet(WITH_TARGET).octet(0).octet(0).octet(0)
    .unsignedShort(KEY_ADDRESS).octets(request.objectKey)
    .string(request.operation)
    .unsignedLong(0);
  if (request.write !== undefined) {
    message.align(BODY_ALIGNMENT);
    request.write(message);
  }
  return end(message);
}

/** A message that says that nobody waits for the answer any more. */
export function encodeCancelRequest(id: number): Uint8Array {
  return end(begin(MessageType.CANCEL_REQUEST).unsignedLong(id));
}

/** A message that says that the sender closes the connection. */
export function encodeCloseConnection(): Uint8Array {
  return end(begin(MessageType.CLOSE_CONNECTION));
}

/** An answer. */
export interface Reply {
  /** The number of the request. */
  readonly id: number;
  /** One of {@linkcode ReplyStatus}. */
  readonly status: number;
  /** Reads the rest. */
  readonly body: CdrReader;
}

/**
 * Reads an answer, whose header is known to be right.
 *
 * @throws {MarshalError} If it is none.
 */
export function readReply(message: Uint8Array, header: MessageHeader): Reply {
  if (header.minor !== 2) {
    throw new MarshalError(`A reply is of GIOP 1.${header.minor}`);
  }
  const body = new CdrReader(message, header.littleEndian, {
    offset: HEADER_SIZE,
  });
  const id = body.unsignedLong();
  const status = body.unsignedLong();
  body.sequence(() => {
    body.unsignedLong();
    body.octets();
  }, 8);
  // Nothing follows an answer without a result, no padding either.
  if (body.remaining > 0) body.align(BODY_ALIGNMENT);
  return { id, status, body };
}
