# Copyright 2026 the Longrun authors. MIT license.
"""A publisher of the real ZeroMQ for tests.

Arguments: the type of the socket (PUB or XPUB), and anything of
"heartbeat" and "curve". Prints "port N", and "+topic" or "-topic" as they come.
Each line "count topic size..." that it reads makes it send so many messages of
the topic, a number and frames of these sizes. It ends when its input does.
"""

import os
import struct
import sys

import zmq


def main() -> None:
    kind, *extras = sys.argv[1:]
    context = zmq.Context()
    socket = context.socket(zmq.XPUB if kind == "XPUB" else zmq.PUB)
    socket.linger = 0
    socket.sndhwm = 0
    if "heartbeat" in extras:
        socket.heartbeat_ivl = 20
        socket.heartbeat_timeout = 200
    if "curve" in extras:
        socket.curve_server = True
        _, socket.curve_secretkey = zmq.curve_keypair()
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    print("port", port, flush=True)
    poller = zmq.Poller()
    poller.register(sys.stdin, zmq.POLLIN)
    if kind == "XPUB":
        poller.register(socket, zmq.POLLIN)
    rest = b""
    while True:
        for ready, _ in poller.poll():
            if ready is socket:
                message = socket.recv()
                sign = "+" if message[0] else "-"
                print(sign + message[1:].decode(), flush=True)
                continue
            chunk = os.read(0, 65536)
            if chunk == b"":
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                send(socket, line.decode())


def send(socket: zmq.Socket, line: str) -> None:
    count, topic, *sizes = line.split()
    frames = [bytes([size % 251]) * size for size in map(int, sizes)]
    for index in range(int(count)):
        number = struct.pack(">I", index)
        socket.send_multipart([topic.encode(), number, *frames])


main()
