// Copyright 2026 the Longrun authors. MIT license.

/**
 * Talks to a little server of GIOP, in a project that has only the packages.
 */

import { DeviceError as RootError } from "@longrun/tasks/device-proxy";
import { DeviceError, DeviceProxy } from "@longrun/tango";
import assert from "node:assert/strict";
import { createServer } from "node:net";

/** Answers a request: with a text where one is asked for. */
function answer(request) {
  const keySize = request.readUInt32LE(24);
  const nameAt = (28 + keySize + 3) & ~3;
  const nameSize = request.readUInt32LE(nameAt);
  const name = request.toString("latin1", nameAt + 4, nameAt + 3 + nameSize);
  const text = name === "_get_status" ? "The device is fine.\0" : "";
  const reply = Buffer.alloc(text === "" ? 24 : 28 + text.length);
  reply.write("GIOP\x01\x02\x01\x01", "latin1");
  reply.writeUInt32LE(reply.length - 12, 8);
  reply.writeUInt32LE(request.readUInt32LE(12), 12);
  if (text !== "") {
    reply.writeUInt32LE(text.length, 24);
    reply.write(text, 28, "latin1");
  }
  return reply;
}

const server = createServer((socket) => {
  let rest = Buffer.alloc(0);
  socket.on("data", (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 12 && rest.length >= 12 + rest.readUInt32LE(8)) {
      const size = 12 + rest.readUInt32LE(8);
      const isRequest = rest[7] === 0;
      if (isRequest) socket.write(answer(rest.subarray(0, size)));
      rest = rest.subarray(size);
    }
  });
  socket.on("error", () => {});
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();

const device = await DeviceProxy.connect(
  `tango://127.0.0.1:${port}/lab/camera/1#dbase=no`,
);
const status = await device.status();
assert.equal(status, "The device is fine.");
await device.close();
await new Promise((resolve) => server.close(resolve));

await assert.rejects(
  DeviceProxy.connect(`tango://127.0.0.1:${port}/lab/camera/1#dbase=no`),
  (error) => error instanceof DeviceError && DeviceError === RootError,
);
console.log(`@longrun/tango: ${status}`);
