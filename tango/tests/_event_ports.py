# Copyright 2026 the Longrun authors. MIT license.
"""Asks a Tango server for events of the attribute of the device on a port.

Prints what it answers as JSON: where heartbeats and events come from, and the
topics of both.
"""

import json
import sys
import time

import tango


def ask(port: str) -> list[str]:
    admin = tango.DeviceProxy(
        f"tango://127.0.0.1:{port}/dserver/_event_device/test#dbase=no"
    )
    request = ["test/event/1", "counter", "subscribe", "change", "5"]
    _, answer = admin.command_inout("ZmqEventSubscriptionChange", request)
    return answer


deadline = time.monotonic() + 20
while True:
    try:
        print(json.dumps(list(ask(sys.argv[1]))))
        break
    except tango.DevFailed:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.1)
