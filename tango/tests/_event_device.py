# Copyright 2026 the Longrun authors. MIT license.
"""A Tango device that pushes change events of its attribute all the time."""

import threading
import time

import tango
from tango.server import Device, attribute, run


class EventDevice(Device):
    def init_device(self) -> None:
        super().init_device()
        self._value = 0
        self.set_change_event("counter", True, False)
        threading.Thread(target=self._push, daemon=True).start()

    def _push(self) -> None:
        with tango.EnsureOmniThread():
            while True:
                time.sleep(0.02)
                self._value += 1
                self.push_change_event("counter", self._value)

    @attribute(dtype=int)
    def counter(self) -> int:
        return self._value


run((EventDevice,))
