# Copyright 2026 the Longrun authors. MIT license.

"""PyTango, told what to do by lines of JSON: the peer of bench/tango.ts.

A request is `{"do": "command", "count": 1000}`, the answer the seconds it took,
of events how many came in how many seconds.
"""

import json
import sys
import threading
import time

import tango

# As many as in bench/tango.ts.
BURST = 500

requests = tango.DeviceProxy(sys.argv[1])
pushing = tango.DeviceProxy(sys.argv[2])
pushing.set_timeout_millis(60_000)


def repeat(call, count):
    began = time.perf_counter()
    for _ in range(count):
        call()
    return {"seconds": time.perf_counter() - began}


def events(count, period):
    """Counts the changes of an attribute, from the first to the last."""
    times = []
    # The first one comes twice.
    values = set()
    last = threading.Event()
    first = pushing.read_attribute("Pushed").value

    def take(event):
        if event.err or event.attr_value.value == first:
            return
        times.append(time.perf_counter())
        values.add(event.attr_value.value)
        if event.attr_value.value == first + count:
            last.set()

    kind = tango.EventType.CHANGE_EVENT
    subscription = pushing.subscribe_event("Pushed", kind, take)
    began = time.perf_counter()
    for index in range(count // BURST):
        early = began + index * period / 1000 - time.perf_counter()
        if early > 0:
            time.sleep(early)
        pushing.command_inout("PushChange", BURST)
    last.wait(5)
    pushing.unsubscribe_event(subscription)
    return {
        "seconds": times[-1] - times[0],
        "received": len(values),
    }


for line in sys.stdin:
    request = json.loads(line)
    count = request["count"]
    if request["do"] == "command":
        answer = repeat(lambda: requests.command_inout("DevLong", 5), count)
    elif request["do"] == "read":
        answer = repeat(lambda: requests.read_attribute("long_scalar"), count)
    elif request["do"] == "ping":
        answer = repeat(requests.ping, count)
    else:
        answer = events(count, request["period"])
    print(json.dumps(answer), flush=True)
