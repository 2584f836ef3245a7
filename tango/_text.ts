// Copyright 2026 the Longrun authors. MIT license.

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** How many characters are made at once. */
const PART = 8192;

function decodeLatin1(bytes: Uint8Array): string {
  // A text made of single characters takes thirty times their memory.
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += PART) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + PART)));
  }
  return parts.join("");
}

/**
 * The text that bytes stand for. Tango does not say how text is encoded, and
 * PyTango writes Latin-1, others UTF-8: both are understood.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return decodeLatin1(bytes);
  }
}

function encodeLatin1(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 255) return undefined;
    bytes[index] = code;
  }
  return bytes;
}

/**
 * The bytes of a text: in Latin-1, as PyTango understands it, or in UTF-8 if it
 * has other characters.
 */
export function encodeText(text: string): Uint8Array {
  return encodeLatin1(text) ?? encoder.encode(text);
}
