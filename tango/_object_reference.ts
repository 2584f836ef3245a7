// Copyright 2026 the Longrun authors. MIT license.

import { CdrReader, MarshalError } from "./_cdr_reader.ts";
import type { Endpoint } from "./_giop_connection.ts";

/** Where an object is, and what it is there. */
export interface ObjectReference {
  /** The servers by which it can be reached, the first being the best. */
  readonly endpoints: readonly Endpoint[];
  /** The object, in the words of its server. */
  readonly objectKey: Uint8Array;
}

const INTERNET_PROFILE = 0;
const ALTERNATE_ADDRESS = 3;
const MAX_ENDPOINTS = 16;
/** How long the text of a reference may be. */
const MAX_TEXT = 65_536;

function readEndpoint(reader: CdrReader): Endpoint {
  return { host: reader.string(), port: reader.unsignedShort() };
}

function readProfile(reader: CdrReader): ObjectReference {
  reader.octet();
  const minor = reader.octet();
  const endpoints = [readEndpoint(reader)];
  const objectKey = reader.octets();
  if (minor > 0 && reader.remaining > 0) {
    const count = reader.count(8);
    for (let index = 0; index < count; index++) {
      const tag = reader.unsignedLong();
      if (tag === ALTERNATE_ADDRESS && endpoints.length < MAX_ENDPOINTS) {
        endpoints.push(readEndpoint(reader.encapsulation()));
      } else {
        reader.octets();
      }
    }
  }
  return { endpoints, objectKey };
}

/**
 * Reads an object reference.
 *
 * @throws {MarshalError} If it is none, or of an object without an address.
 */
export function readObjectReference(reader: CdrReader): ObjectReference {
  reader.string();
  const count = reader.count(8);
  let reference: ObjectReference | undefined;
  for (let index = 0; index < count; index++) {
    const tag = reader.unsignedLong();
    if (tag === INTERNET_PROFILE) {
      const read = readProfile(reader.encapsulation());
      reference ??= read;
    } else {
      reader.octets();
    }
  }
  if (reference === undefined) {
    throw new MarshalError("An object reference has no address");
  }
  return reference;
}

/**
 * Reads an object reference that is written as a text: `IOR:` and digits.
 *
 * @throws {MarshalError} If it is none.
 */
export function parseObjectReference(text: string): ObjectReference {
  const digits = text.length > MAX_TEXT
    ? undefined
    : /^IOR:((?:[0-9a-f]{2})+)$/i.exec(text.trim())?.[1];
  if (digits === undefined) {
    throw new MarshalError("An object reference does not begin with 'IOR:'");
  }
  const bytes = Uint8Array.from(
    { length: digits.length / 2 },
    (_, index) => parseInt(digits.slice(2 * index, 2 * index + 2), 16),
  );
  const reader = new CdrReader(bytes, bytes[0] === 1);
  reader.octet();
  return readObjectReference(reader);
}
