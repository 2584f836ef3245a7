// Copyright 2026 the Longrun authors. MIT license.

import { connect, type Socket } from "node:net";

/** After how many milliseconds of silence the system asks for a peer. */
const KEEP_ALIVE = 30_000;

/**
 * Connects. What is written goes out at once, and a peer that is gone without a
 * word, or was forgotten by a firewall, is noticed although nothing is sent.
 */
export function openSocket(host: string, port: number): Socket {
  const socket = connect({ host, port });
  socket.once("connect", () => {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE);
  });
  return socket;
}
