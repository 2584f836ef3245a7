# Copyright 2026 the Longrun authors. MIT license.

"""A device with attributes and commands of all types that Tango has.

For each type there is `<Type>Scalar`, `<Type>Spectrum` and `<Type>Image`, which
hold what is written to them, and a command `Echo<Type>`.
"""

import collections
import enum
import os
import time

import numpy
import tango
from tango import AttrWriteType, CmdArgType, DevFailed
from tango.server import Device, attribute, command, run

INFINITY = float("inf")

TYPES = {
    "DevBoolean": [True, False, True, True],
    "DevUChar": [0, 1, 128, 255],
    "DevShort": [-32768, -1, 0, 32767],
    "DevUShort": [0, 1, 32768, 65535],
    "DevLong": [-(2**31), -1, 0, 2**31 - 1],
    "DevULong": [0, 1, 2**31, 2**32 - 1],
    "DevLong64": [-(2**63), -1, 2**53 + 1, 2**63 - 1],
    "DevULong64": [0, 1, 2**53 + 1, 2**64 - 1],
    "DevFloat": [-1.5, 0.0, 3.4028234663852886e38, INFINITY],
    "DevDouble": [-0.0, 1.7976931348623157e308, 5e-324, -INFINITY],
    "DevString": ["", "one", "two words", "l\u00edne\nthree"],
    "DevState": [
        tango.DevState.ON,
        tango.DevState.FAULT,
        tango.DevState.UNKNOWN,
        tango.DevState.MOVING,
    ],
}

# What a client may write; a state is only read.
READ_ONLY = {"DevState"}

COMMAND_TYPES = [
    "DevVoid",
    "DevBoolean",
    "DevShort",
    "DevLong",
    "DevFloat",
    "DevDouble",
    "DevUShort",
    "DevULong",
    "DevString",
    "DevVarCharArray",
    "DevVarShortArray",
    "DevVarLongArray",
    "DevVarFloatArray",
    "DevVarDoubleArray",
    "DevVarUShortArray",
    "DevVarULongArray",
    "DevVarStringArray",
    "DevVarLongStringArray",
    "DevVarDoubleStringArray",
    "DevState",
    "DevVarBooleanArray",
    "DevUChar",
    "DevLong64",
    "DevULong64",
    "DevVarLong64Array",
    "DevVarULong64Array",
    "DevEncoded",
    "DevVarStateArray",
]

CYRILLIC = "\u0422\u0430\u043d\u0433\u043e \u2713"


class Colour(enum.IntEnum):
    red = 0
    green = 1
    blue = 2


LABELS = [colour.name for colour in Colour]


def as_bytes(text):
    """A text that PyTango sends as UTF-8, where it would send Latin-1."""
    return text.encode("utf-8").decode("latin-1")


def holder(kind, name, first, **options):
    """An attribute that holds what is written to it."""
    def read(self):
        return self.values.get(name, first)

    def write(self, value):
        self.values[name] = value

    read_only = kind in READ_ONLY
    read.__name__ = f"read_{name}"
    write.__name__ = f"write_{name}"
    access = AttrWriteType.READ if read_only else AttrWriteType.READ_WRITE
    yield name, attribute(name=name, access=access, **options)
    yield read.__name__, read
    if not read_only:
        yield write.__name__, write


def holders():
    for kind, values in TYPES.items():
        dtype = getattr(CmdArgType, kind)
        yield from holder(kind, f"{kind}Scalar", values[-1], dtype=dtype)
        yield from holder(
            kind, f"{kind}Spectrum", values, dtype=(dtype,), max_dim_x=200_000
        )
        yield from holder(
            kind,
            f"{kind}Image",
            [values[:2], values[2:], values[:2]],
            dtype=((dtype,),),
            max_dim_x=500,
            max_dim_y=500,
        )
        yield from holder(
            kind, f"{kind}Empty", [], dtype=(dtype,), max_dim_x=10
        )
    yield from holder("DevEnum", "DevEnumScalar", Colour.blue, dtype=Colour)
    yield from holder(
        "DevEnum",
        "DevEnumSpectrum",
        [Colour.green, Colour.red],
        dtype=(CmdArgType.DevEnum,),
        enum_labels=LABELS,
        max_dim_x=10,
    )
    yield from holder(
        "DevEnum",
        "DevEnumImage",
        [[Colour.green, Colour.red], [Colour.blue, Colour.blue]],
        dtype=((CmdArgType.DevEnum,),),
        enum_labels=LABELS,
        max_dim_x=10,
        max_dim_y=10,
    )
    yield from holder(
        "DevEncoded",
        "DevEncodedScalar",
        ("raw", bytes(range(256))),
        dtype=CmdArgType.DevEncoded,
    )


def echoes():
    for kind in COMMAND_TYPES:
        def echo(self, *args):
            return args[0] if args else None

        name = f"Echo{kind}"
        echo.__name__ = name
        dtype = getattr(CmdArgType, kind)
        yield name, command(echo, dtype_in=dtype, dtype_out=dtype)


class TypesDevice(Device):
    """A device with attributes and commands of all types."""

    vars().update(holders())
    vars().update(echoes())

    def init_device(self):
        super().init_device()
        self.values = {}
        self.set_state(tango.DevState.ON)
        self.started = time.monotonic()
        self.calls = collections.Counter()
        for name in ("Pushed", "DevStringSpectrum", "DevEncodedScalar"):
            self.set_change_event(name, True, False)
            self.set_archive_event(name, True, False)
        for name in TYPES:
            for form in ("Scalar", "Spectrum", "Image", "Empty"):
                self.set_change_event(name + form, True, False)
        self.set_data_ready_event("Pushed", True)
        for name in ("DevEnumScalar", "Failing", "Invalid"):
            self.set_change_event(name, True, False)

    def dev_state(self):
        """The state as it was set, whatever attributes are in alarm."""
        return self.get_state()

    # Values that are hard to read.

    @attribute(dtype=(float,), max_dim_x=10)
    def Floats(self):
        return [float("nan"), INFINITY, -INFINITY, -0.0, 0.1]

    @attribute(dtype=float)
    def Nan(self):
        return float("nan")

    @attribute(dtype=str)
    def Latin1(self):
        return "\u00e9t\u00e9 \u00b5"

    @attribute(dtype=str)
    def Utf8(self):
        return as_bytes(CYRILLIC)

    @attribute(dtype=(str,), max_dim_x=10)
    def Utf8Spectrum(self):
        return [as_bytes(CYRILLIC), "", "ascii"]

    @attribute(dtype=(float,), max_dim_x=131_072)
    def HugeDoubles(self):
        """1 MiB."""
        return numpy.arange(131_072, dtype=numpy.float64)

    @attribute(dtype=("DevUChar",), max_dim_x=1_048_576)
    def HugeBytes(self):
        """1 MiB."""
        return numpy.arange(1_048_576, dtype=numpy.uint32).astype(numpy.uint8)

    @attribute(dtype=(str,), max_dim_x=10_000)
    def ManyStrings(self):
        return [f"string {index}" for index in range(10_000)]

    @attribute(dtype=((("DevUShort"),),), max_dim_x=1000, max_dim_y=1000)
    def HugeImage(self):
        """400 lines of 300 pixels."""
        return numpy.arange(120_000).reshape(400, 300).astype(numpy.uint16)

    # Attributes that are not well.

    @attribute(dtype=float)
    def Failing(self):
        raise RuntimeError("It does not want to be read")

    @attribute(dtype=float)
    def FailingTwice(self):
        try:
            tango.Except.throw_exception("Test_Inner", "The inner", "inner()")
        except DevFailed as error:
            tango.Except.re_throw_exception(
                error, "Test_Outer", "The outer", "outer()"
            )

    @attribute(dtype=float)
    def Invalid(self):
        return 1.0, time.time(), tango.AttrQuality.ATTR_INVALID

    @attribute(dtype=(float,), max_dim_x=10)
    def InvalidSpectrum(self):
        return [], time.time(), tango.AttrQuality.ATTR_INVALID

    @attribute(dtype=float)
    def Alarming(self):
        return 2.0, 1_700_000_000.25, tango.AttrQuality.ATTR_ALARM

    @attribute(dtype=float)
    def Warning(self):
        return 3.0, 1_700_000_000.5, tango.AttrQuality.ATTR_WARNING

    @attribute(dtype=float)
    def Changing(self):
        return 4.0, 1_700_000_000.75, tango.AttrQuality.ATTR_CHANGING

    @attribute(dtype=int, access=AttrWriteType.WRITE, fset="write_WriteOnly")
    def WriteOnly(self):
        return 0

    def write_WriteOnly(self, value):
        self.values["WriteOnly"] = value

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        unit="mm",
        min_value=0,
        max_value=10,
        label="A position",
        format="%6.2f",
        doc="Between 0 and 10.",
        fset="write_Limited",
    )
    def Limited(self):
        return self.values.get("Limited", 5.0)

    def write_Limited(self, value):
        self.values["Limited"] = value

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, fset="write_Slow")
    def Slow(self):
        """Takes so many seconds as were written."""
        seconds = self.values.get("Slow", 0.0)
        time.sleep(seconds)
        return seconds

    def write_Slow(self, value):
        self.values["Slow"] = value

    @attribute(dtype=int)
    def Pushed(self):
        return self.values.get("Pushed", 0)

    # Tango polls it: it has events by itself.

    @attribute(
        dtype=float,
        polling_period=100,
        period=200,
        abs_change=0.01,
        archive_period=200,
        archive_abs_change=0.01,
    )
    def Polled(self):
        return round(time.monotonic() - self.started, 1)

    # Commands that are not well.

    @command(dtype_in=(str,))
    def Fail(self, reasons):
        """Fails for the reasons it is given, the innermost first."""
        error = None
        for reason in reasons:
            try:
                if error is None:
                    tango.Except.throw_exception(reason, f"{reason}!", "Fail")
                tango.Except.re_throw_exception(
                    error, reason, f"{reason}!", "Fail", tango.ErrSeverity.PANIC
                )
            except DevFailed as failure:
                error = failure
        if error is not None:
            raise error

    @command(dtype_in=str)
    def Raise(self, text):
        """Raises an error of Python."""
        raise ValueError(text)

    @command(dtype_in=float, dtype_out=float)
    def Sleep(self, seconds):
        time.sleep(seconds)
        return seconds

    @command(dtype_in=int, dtype_out=str)
    def MakeString(self, length):
        return "x" * length

    @command(dtype_in=int, dtype_out=(float,))
    def MakeDoubles(self, length):
        return numpy.arange(length, dtype=numpy.float64)

    @command(dtype_in=str, dtype_out=int)
    def Count(self, name):
        """How often it was called with that name."""
        self.calls[name] += 1
        return self.calls[name]

    @command(dtype_in=str)
    def ChangeState(self, name):
        self.set_state(getattr(tango.DevState, name))

    @command
    def Quit(self):
        """Ends the server at once, without an answer."""
        os._exit(3)

    # Events.

    @command(dtype_in=int)
    def PushChange(self, count):
        """Sends so many changes of `Pushed` as fast as it can."""
        for _ in range(count):
            self.values["Pushed"] = self.values.get("Pushed", 0) + 1
            self.push_change_event("Pushed", self.values["Pushed"])

    @command(dtype_in=int)
    def PushArchive(self, count):
        for _ in range(count):
            self.values["Pushed"] = self.values.get("Pushed", 0) + 1
            self.push_archive_event("Pushed", self.values["Pushed"])

    @command(dtype_in=int)
    def PushUser(self, count):
        for _ in range(count):
            self.values["Pushed"] = self.values.get("Pushed", 0) + 1
            self.push_event("Pushed", [], [], self.values["Pushed"])

    @command(dtype_in=int)
    def PushDataReady(self, counter):
        self.push_data_ready_event("Pushed", counter)

    @command(dtype_in=str)
    def PushValue(self, name):
        """Sends a change of an attribute with the value that it has."""
        method = getattr(self, f"read_{name}", None)
        value = method() if method else getattr(self, name)
        if name == "DevEncodedScalar":
            self.push_change_event(name, *value)
        else:
            self.push_change_event(name, value)

    @command(dtype_in=(str,))
    def PushError(self, words):
        """Sends an error of an attribute: its name, a reason and a text."""
        name, reason, text = words
        try:
            tango.Except.throw_exception(reason, text, "PushError")
        except DevFailed as error:
            self.push_change_event(name, error)

    @command
    def PushInvalid(self):
        self.push_change_event(
            "Invalid", 0.0, time.time(), tango.AttrQuality.ATTR_INVALID
        )

    @command(dtype_in=str)
    def AddAttribute(self, name):
        """Adds an attribute: the interface changes."""
        self.add_attribute(
            tango.Attr(name, tango.DevDouble, tango.READ), self.read_added
        )

    def read_added(self, attribute):
        attribute.set_value(1.0)

    @command(dtype_in=str)
    def RemoveAttribute(self, name):
        self.remove_attribute(name)


if __name__ == "__main__":
    run([TypesDevice])
