# Copyright 2026 the Longrun authors. MIT license.

"""A client of PyTango, told what to do by lines of JSON.

A request is `{"id": 1, "do": "read", ...}`, an answer `{"id": 1, "value": ...}`
or `{"id": 1, "errors": [...]}`, an event `{"subscription": 1, "event": ...}`.

What JSON cannot hold is an object with one key: `{"$int": "9223372036854775807"}`
is an integer of a type with 64 bits, `{"$float": "NaN"}` a number that is none,
`{"$bytes": "AAE="}` are bytes. Texts are as PyTango has them, Latin-1.
"""

import base64
import json
import math
import os
import sys
import threading

import numpy
import tango
from tango import CmdArgType

LONG = {
    CmdArgType.DevLong64,
    CmdArgType.DevULong64,
    CmdArgType.DevVarLong64Array,
    CmdArgType.DevVarULong64Array,
}
STATES = {CmdArgType.DevState, CmdArgType.DevVarStateArray}
EVENTS = {
    "change": tango.EventType.CHANGE_EVENT,
    "periodic": tango.EventType.PERIODIC_EVENT,
    "archive": tango.EventType.ARCHIVE_EVENT,
    "user_event": tango.EventType.USER_EVENT,
    "attr_conf": tango.EventType.ATTR_CONF_EVENT,
    "data_ready": tango.EventType.DATA_READY_EVENT,
    "intr_change": tango.EventType.INTERFACE_CHANGE_EVENT,
}


def encode(value, kind=None):
    """A value as JSON can hold it."""
    if value is None or isinstance(value, (bool, numpy.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, numpy.ndarray):
        return encode(value.tolist(), kind)
    if isinstance(value, type(tango.DevState.ON)):
        return value.name
    if kind in STATES and isinstance(value, int):
        return tango.DevState.values[value].name
    if isinstance(value, (int, numpy.integer)):
        return {"$int": str(value)} if kind in LONG else int(value)
    if isinstance(value, (float, numpy.floating)):
        value = float(value)
        if math.isfinite(value) and not (value == 0 and str(value) == "-0.0"):
            return value
        names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return {"$float": names.get(str(value), "-0")}
    if isinstance(value, str):
        return value
    return [encode(one, kind) for one in value]


def decode(value, kind=None):
    """A value out of JSON."""
    if isinstance(value, dict):
        ((key, text),) = value.items()
        if key == "$int":
            return int(text)
        if key == "$bytes":
            return base64.b64decode(text)
        return float(text)
    if kind in STATES and isinstance(value, str):
        return getattr(tango.DevState, value)
    if isinstance(value, list):
        return [decode(one, kind) for one in value]
    return value


def describe_errors(errors):
    return [
        {
            "reason": error.reason,
            "desc": error.desc,
            "severity": str(error.severity),
            "origin": error.origin,
        }
        for error in errors
    ]


def describe_attribute(attribute):
    described = {
        "name": attribute.name,
        "quality": str(attribute.quality),
        "time": attribute.time.totime(),
        "x": attribute.dim_x,
        "y": attribute.dim_y,
    }
    if attribute.has_failed:
        described["errors"] = describe_errors(attribute.get_err_stack())
    else:
        described.update({
            "type": str(attribute.type),
            "format": str(attribute.data_format),
            "value": encode(attribute.value, attribute.type),
            "written": encode(attribute.w_value, attribute.type),
        })
    return described


def describe_event(event):
    described = {"attribute": getattr(event, "attr_name", ""), "type": event.event}
    if event.err:
        described["errors"] = describe_errors(event.errors)
    elif isinstance(event, tango.DataReadyEventData):
        described.update(counter=event.ctr, dataType=event.attr_data_type)
    elif isinstance(event, tango.DevIntrChangeEventData):
        described.update(
            commands=[one.cmd_name for one in event.cmd_list],
            attributes=[one.name for one in event.att_list],
            started=event.dev_started,
        )
    elif isinstance(event, tango.AttrConfEventData):
        described.update(config=describe_config(event.attr_conf))
    else:
        described.update(describe_attribute(event.attr_value))
    return described


def describe_config(config):
    return {
        "name": config.name,
        "writable": str(config.writable),
        "format": str(config.data_format),
        "type": str(CmdArgType.values[config.data_type]),
        "maxX": config.max_dim_x,
        "maxY": config.max_dim_y,
        "description": config.description,
        "label": config.label,
        "unit": config.unit,
        "displayFormat": config.format,
        "min": config.min_value,
        "max": config.max_value,
        "enumLabels": list(config.enum_labels),
    }


class Oracle:
    def __init__(self):
        self.proxies = {}
        self.subscriptions = {}
        self.printing = threading.Lock()

    def print(self, line):
        text = json.dumps(line, allow_nan=False)
        with self.printing:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def proxy(self, request):
        url = request["device"]
        if url not in self.proxies:
            self.proxies[url] = tango.DeviceProxy(url)
        return self.proxies[url]

    def do_ping(self, request):
        return self.proxy(request).ping()

    def do_state(self, request):
        return encode(self.proxy(request).state())

    def do_status(self, request):
        return self.proxy(request).status()

    def do_info(self, request):
        info = self.proxy(request).info()
        return {
            "class": info.dev_class,
            "server": info.server_id,
            "host": info.server_host,
            "version": info.server_version,
            "documentation": info.doc_url,
        }

    def do_admin(self, request):
        return self.proxy(request).adm_name()

    def do_commands(self, request):
        return [
            {"name": one.cmd_name, "in": str(one.in_type), "out": str(one.out_type)}
            for one in self.proxy(request).command_list_query()
        ]

    def do_attributes(self, request):
        return list(self.proxy(request).get_attribute_list())

    def do_config(self, request):
        configs = self.proxy(request).get_attribute_config_ex(request["names"])
        return [describe_config(config) for config in configs]

    def do_read(self, request):
        values = self.proxy(request).read_attributes(request["names"])
        return [describe_attribute(value) for value in values]

    def do_write(self, request):
        proxy = self.proxy(request)
        name = request["name"]
        kind = CmdArgType.values[proxy.get_attribute_config(name).data_type]
        value = decode(request["value"], kind)
        if kind == CmdArgType.DevEncoded:
            value = tuple(value)
        proxy.write_attribute(name, value)

    def do_command(self, request):
        proxy = self.proxy(request)
        info = proxy.command_query(request["name"])
        argument = decode(request.get("argument"), info.in_type)
        if info.in_type == CmdArgType.DevEncoded:
            argument = tuple(argument)
        if info.in_type == CmdArgType.DevVoid:
            value = proxy.command_inout(request["name"])
        else:
            value = proxy.command_inout(request["name"], argument)
        return encode(value, info.out_type)

    def do_command_blindly(self, request):
        """Without asking for the types first."""
        proxy = self.proxy(request)
        arguments = [request["argument"]] if "argument" in request else []
        return encode(proxy.command_inout(request["name"], *arguments))

    def do_subscribe(self, request):
        proxy = self.proxy(request)
        number = request["id"]

        def tell(event):
            self.print({"subscription": number, "event": describe_event(event)})

        kind = EVENTS[request["type"]]
        name = request.get("name")
        if name is None:
            id = proxy.subscribe_event(kind, tell)
        else:
            id = proxy.subscribe_event(name, kind, tell)
        self.subscriptions[number] = (proxy, id)
        return number

    def do_unsubscribe(self, request):
        proxy, id = self.subscriptions.pop(request["subscription"])
        proxy.unsubscribe_event(id)

    def do_timeout(self, request):
        self.proxy(request).set_timeout_millis(request["ms"])

    def answer(self, request):
        try:
            value = getattr(self, "do_" + request["do"])(request)
            self.print({"id": request["id"], "value": value})
        except tango.DevFailed as error:
            self.print({
                "id": request["id"],
                "errors": describe_errors(error.args),
            })
        except Exception as error:
            self.print({
                "id": request["id"],
                "failure": f"{type(error).__name__}: {error}",
            })


def main():
    oracle = Oracle()
    for line in sys.stdin:
        oracle.answer(json.loads(line))


if __name__ == "__main__":
    main()
    # No farewell: the library's may hang or crash.
    os._exit(0)
