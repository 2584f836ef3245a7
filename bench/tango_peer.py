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


def events(count):
    """Counts the changes of an attribute, from the first to the last."""
    times = []
    last = threading.Event()
    first = pushing.read_attribute("Pushed").value

    def take(event):
        if event.err or event.attr_value.value == first:
            return
        times.append(time.perf_counter())
        if event.attr_value.value == first + count:
            last.set()

    kind = tango.EventType.CHANGE_EVENT
    subscription = pushing.subscribe_event("Pushed", kind, take)
    for _ in range(count // BURST):
        pushing.command_inout("PushChange", BURST)
    last.wait(5)
    pushing.unsubscribe_event(subscription)
    # The first one comes twice.
    return {
        "seconds": times[-1] - times[0],
        "received": min(len(times) - 1, count),
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
        answer = events(count)
    print(json.dumps(answer), flush=True)
