// Copyright 2026 the Longrun authors. MIT license.

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

function decodeLatin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/**
 * The text that bytes stand for. Tango does not say how text is encoded: those
 * who write UTF-8 and those who write Latin-1 are both understood.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return decodeLatin1(bytes);
  }
}

/** The bytes of a text, in UTF-8. */
export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}
