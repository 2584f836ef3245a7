// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { DeviceProxy } from "../device_proxy.ts";
import {
  type AttributeInfo,
  AttrQuality,
  CmdArgType,
  DevState,
} from "../tango_types.ts";
import { asLatin1, Oracle } from "./_oracle.ts";
import { type Own, owning } from "./_owning.ts";
import { plainOf } from "./_plain.ts";
import {
  TangoServer,
  type TangoServerName,
  tangoTest,
} from "./_tango_server.ts";

interface Both {
  readonly server: TangoServer;
  readonly oracle: Oracle;
  readonly device: DeviceProxy;
}

/** Registers a test with a server, the oracle and a proxy of ours. */
function liveTest(
  name: string,
  server: TangoServerName,
  body: (both: Both, own: Own) => Promise<void>,
): void {
  tangoTest(name, () =>
    owning(async (own) => {
      const running = own(await TangoServer.start(server));
      const oracle = own(new Oracle());
      const device = own(await DeviceProxy.connect(running.url));
      await body({ server: running, oracle, device }, own);
    }));
}

const INT64_MIN = -(2n ** 63n);

/** What is written to scalars, spectra and images of each type. */
const VALUES = {
  DevBoolean: [false, true, true],
  DevUChar: [255, 0, 1],
  DevShort: [-32768, 1, 32767],
  DevUShort: [65535, 0, 1],
  DevLong: [-(2 ** 31), 0, 2 ** 31 - 1],
  DevULong: [2 ** 32 - 1, 0, 1],
  DevLong64: [INT64_MIN, 2n ** 53n + 1n, 2n ** 63n - 1n],
  DevULong64: [2n ** 64n - 1n, 2n ** 53n + 1n, 0n],
  DevFloat: [-1.5, 0.5, 2 ** 127],
  DevDouble: [-0, 0.1, 5e-324],
  DevString: ["d\u00e9j\u00e0 vu", "one\ntwo", ""],
  DevEnum: [1, 0, 2],
};

/** The typed arrays that may be written instead. */
const ARRAYS: Partial<Record<string, (values: never[]) => unknown>> = {
  DevUChar: (values) => Uint8Array.from(values),
  DevShort: (values) => Int16Array.from(values),
  DevUShort: (values) => Uint16Array.from(values),
  DevLong: (values) => Int32Array.from(values),
  DevULong: (values) => Uint32Array.from(values),
  DevLong64: (values) => BigInt64Array.from(values),
  DevULong64: (values) => BigUint64Array.from(values),
  DevFloat: (values) => Float32Array.from(values),
  DevDouble: (values) => Float64Array.from(values),
};

liveTest(
  "DeviceProxy writes what PyTango reads and reads what it writes",
  "types",
  async ({ server, oracle, device }) => {
    /** Both see the value, whoever has written it. */
    const check = async (name: string, type: string, value: unknown) => {
      const { dataType, value: read, writeValue } = await device.readAttribute(
        name,
      );
      const [want] = await oracle.read(server.url, name);
      assertEquals(plainOf(read, dataType), plainOf(value, dataType), name);
      assertEquals(want?.value, plainOf(value, dataType), name);
      assertEquals(plainOf(writeValue, dataType), want?.written, name);
      assertEquals(dataType, CmdArgType[type as keyof typeof CmdArgType]);
    };
    for (const [type, values] of Object.entries(VALUES)) {
      const written: [form: string, value: unknown, other: unknown][] = [
        ["Scalar", values[0], values[1]],
        ["Spectrum", values, values.toReversed()],
        ["Image", [values, values.toReversed()], [values]],
      ];
      const array = ARRAYS[type];
      if (array !== undefined) {
        const one = array(values as never[]);
        written.push(["Spectrum", one, values], ["Image", [one, one], [one]]);
      }
      for (const [form, value, other] of written) {
        const name = `${type}${form}`;
        await device.writeAttribute(name, value);
        await check(name, type, value);
        await oracle.write(server.url, name, other);
        await check(name, type, other);
      }
    }
    const encoded = { format: "gray", data: new Uint8Array([9, 0, 7]) };
    await device.writeAttribute("DevEncodedScalar", encoded);
    await check("DevEncodedScalar", "DevEncoded", encoded);
  },
);

liveTest(
  "DeviceProxy reads every attribute as PyTango does",
  "types",
  async ({ server, oracle, device }) => {
    const names = (await device.attributeNames()).filter((name) =>
      // The time matters to one, PyTango loses the type of the other.
      !["Polled", "DevStateEmpty"].includes(name)
    );
    assertEquals(
      await device.attributeNames(),
      await oracle.ask("attributes", { device: server.url }),
    );
    const readings = await device.readEach(names);
    const wanted = await oracle.read(server.url, ...names);
    for (const [index, want] of wanted.entries()) {
      const reading = readings[index];
      assert(reading !== undefined);
      if (reading instanceof DeviceError) {
        const reasons = (errors: typeof reading.errors = []) =>
          errors.map(({ reason, severity }) => [reason, severity]);
        assertEquals(reasons(reading.errors), reasons(want.errors), want.name);
        continue;
      }
      assertEquals(reading.name, want.name);
      assertEquals(
        `ATTR_${nameOf(AttrQuality, reading.quality)}`,
        want.quality,
      );
      if (want.name.startsWith("Utf8")) continue;
      assertEquals(
        plainOf(reading.value, reading.dataType),
        want.value ?? null,
        want.name,
      );
    }
    assertEquals(await device.readAttributes(["Utf8", "utf8spectrum"]), [
      "Танго ✓",
      ["Танго ✓", "", "ascii"],
    ]);
    const [alarming] = await device.readEach(["Alarming"]);
    assert(alarming !== undefined && !(alarming instanceof DeviceError));
    assertEquals(alarming.time, 1_700_000_000_250);
    assertEquals(alarming.quality, AttrQuality.ALARM);
    const huge = await device.readAttribute("HugeDoubles");
    assert(huge.value instanceof Float64Array);
    assertEquals([huge.value.length, huge.value.at(-1)], [131_072, 131_071]);
  },
);

function nameOf(values: Record<string, number>, value: number) {
  return Object.keys(values).find((name) => values[name] === value);
}

/** What is echoed; a server of PyTango cannot answer a DevUChar. */
const ARGUMENTS: [type: keyof typeof CmdArgType, ...values: unknown[]][] = [
  ["DevVoid", undefined],
  ["DevBoolean", true, false],
  ["DevShort", -32768],
  ["DevLong", -(2 ** 31)],
  ["DevFloat", -1.5, Infinity, NaN],
  ["DevDouble", 0.1, NaN, -Infinity, -0],
  ["DevUShort", 65535],
  ["DevULong", 2 ** 32 - 1],
  ["DevString", "", "a text", "d\u00e9j\u00e0 vu"],
  ["DevVarCharArray", [0, 127, 255], []],
  ["DevVarShortArray", [-32768, 32767]],
  ["DevVarLongArray", [-(2 ** 31), 2 ** 31 - 1], []],
  ["DevVarFloatArray", [-1.5, 0.5, NaN]],
  ["DevVarDoubleArray", [-0, 0.1, NaN, Infinity]],
  ["DevVarUShortArray", [0, 65535]],
  ["DevVarULongArray", [0, 2 ** 32 - 1]],
  ["DevVarStringArray", ["", "one", "d\u00e9j\u00e0 vu"], []],
  ["DevVarLongStringArray", [[1, -2], ["a", ""]], [[], []], [[7], []]],
  ["DevVarDoubleStringArray", [[0.1, -2.5], ["a"]], [[], []]],
  ["DevState", "FAULT"],
  ["DevVarBooleanArray", [true, false, true]],
  ["DevLong64", INT64_MIN],
  ["DevULong64", 2n ** 64n - 1n],
  ["DevVarLong64Array", [INT64_MIN, 2n ** 63n - 1n]],
  ["DevVarULong64Array", [0n, 2n ** 64n - 1n]],
];

liveTest(
  "DeviceProxy gives commands what they take, and what they answer",
  "types",
  async ({ server, oracle, device }) => {
    for (const [type, ...values] of ARGUMENTS) {
      const name = `Echo${type}`;
      for (const value of values) {
        const argument = type === "DevState"
          ? DevState[value as keyof typeof DevState]
          : value;
        const answer = await device.command(name.toLowerCase(), argument);
        const plain = plainOf(answer, CmdArgType[type]);
        assertEquals(plain, value ?? null, name);
        assertEquals(await oracle.command(server.url, name, value), plain);
      }
    }
    const encoded = { format: "raw", data: new Uint8Array([0, 1, 255]) };
    assertEquals(await device.command("EchoDevEncoded", encoded), encoded);
    const states = [DevState.ON, DevState.UNKNOWN];
    assertEquals(
      Array.from(await device.command("EchoDevVarStateArray", states) as []),
      states,
    );
  },
);

liveTest(
  "DeviceProxy takes messages of many fragments, and sends long ones",
  "types",
  async ({ device }) => {
    const bytes = new Uint8Array(2 ** 20).map((_, index) => index * 7);
    assertEquals(await device.command("EchoDevVarCharArray", bytes), bytes);
    const strings = Array.from(
      { length: 20_000 },
      (_, index) => `no. ${index}`,
    );
    assertEquals(
      await device.command("EchoDevVarStringArray", strings),
      strings,
    );
    const doubles = new Float64Array(131_072).map((_, index) => index / 3);
    await device.writeAttribute("DevDoubleSpectrum", doubles);
    const [read] = await device.readAttributes(["DevDoubleSpectrum"]);
    assertEquals(read, doubles);
    const { value } = await device.readAttribute("HugeImage");
    assert(Array.isArray(value));
    assertEquals([value.length, value[399].length], [400, 300]);
    assertEquals(value[399][299], 119_999 % 65_536);
  },
);

liveTest(
  "DeviceProxy sends texts as PyTango understands them",
  "types",
  async ({ server, oracle, device }) => {
    await device.writeAttribute("DevStringScalar", "caf\u00e9 5 \u00b5m");
    const [latin] = await oracle.read(server.url, "DevStringScalar");
    assertEquals(latin?.value, "caf\u00e9 5 \u00b5m");
    const text = "\u0422\u0430\u043d\u0433\u043e \u2713 \u{1f600}";
    await device.writeAttribute("DevStringScalar", text);
    assertEquals(await device.readAttributes(["DevStringScalar"]), [text]);
    const [other] = await oracle.read(server.url, "DevStringScalar");
    assertEquals(other?.value, asLatin1(text));
  },
);

liveTest(
  "DeviceProxy gives integers of 64 bits as numbers if it is to",
  "types",
  async ({ server }, own) => {
    const device = own(
      await DeviceProxy.connect(server.url, { int64: "number" }),
    );
    const image = [[2n ** 63n - 1n, -1n], [0n, 5n]];
    await device.writeAttribute("DevLong64Image", image);
    const reading = await device.readAttribute("DevLong64Image");
    assertEquals(plainOf(reading.value, CmdArgType.DevLong64), [
      [2 ** 63, -1],
      [0, 5],
    ]);
    assertEquals(plainOf(reading.writeValue, CmdArgType.DevLong64), [
      [2 ** 63, -1],
      [0, 5],
    ]);
    assertEquals(await device.command("EchoDevULong64", 9), 9);
    const array = await device.command("EchoDevVarLong64Array", [1, 2n]);
    assertEquals(array, new Float64Array([1, 2]));
  },
);

liveTest(
  "DeviceProxy tells of a device what PyTango tells",
  "types",
  async ({ server, oracle, device }) => {
    const request = { device: server.url };
    assertEquals(await device.state(), DevState.ON);
    assertEquals(await oracle.ask("state", request), "ON");
    assertEquals(await device.status(), await oracle.ask("status", request));
    assertEquals(await device.ping(), undefined);
    const info = await device.info();
    assertEquals(
      {
        class: info.devClass,
        server: info.serverId,
        host: info.serverHost,
        version: info.serverVersion,
        documentation: info.docUrl,
      },
      await oracle.ask("info", request) as typeof info as never,
    );
    const commands = await device.commandList();
    assertEquals(
      commands.map(({ name, inType, outType }) => ({
        name,
        in: nameOf(CmdArgType, inType),
        out: nameOf(CmdArgType, outType),
      })),
      await oracle.ask("commands", request) as never,
    );
    const attributes = await device.attributeList();
    const limited = attributes.find(({ name }) => name === "Limited");
    const { unit, minValue, maxValue, label } = limited as AttributeInfo;
    assertEquals([unit, Number(minValue), Number(maxValue), label], [
      "mm",
      0,
      10,
      "A position",
    ]);
    await device.command("ChangeState", "FAULT");
    assertEquals(await device.state(), DevState.FAULT);
    assertEquals(await device.readAttributes(["State"]), [DevState.FAULT]);
  },
);

liveTest(
  "DeviceProxy refuses what an attribute or a command cannot have",
  "types",
  async ({ device }) => {
    const wrong: [name: string, value: unknown, message: string][] = [
      ["DevShortScalar", 1.5, "an integer from -32768 to 32767: "],
      ["DevShortScalar", "1", "an integer from -32768 to 32767: "],
      ["DevDoubleScalar", 1n, "a number: "],
      ["DevStringScalar", "a\0b", "a string without a NUL character: "],
      ["DevBooleanScalar", 1, "a boolean: "],
      ["DevLongSpectrum", 1, "an array, each of it an integer"],
      ["DevLongImage", [[1], [1, 2]], "an array of rows of one length"],
      ["DevLong64Scalar", 2 ** 53, "a bigint, or a safe integer"],
      ["DevEncodedScalar", { format: "x" }, "an object with"],
    ];
    for (const [name, value, message] of wrong) {
      await assertRejects(
        () => device.writeAttribute(name, value),
        TypeError,
        `Cannot write attribute as 'value' must be ${message}`,
      );
    }
    const far: [name: string, value: unknown][] = [
      ["DevUCharScalar", 256],
      ["DevULong64Scalar", -1n],
      ["DevFloatScalar", 1e39],
      ["DevLongSpectrum", [0, 2 ** 31]],
    ];
    for (const [name, value] of far) {
      await assertRejects(() => device.writeAttribute(name, value), RangeError);
    }
    await assertRejects(
      () => device.command("EchoDevVoid", 1),
      TypeError,
      "Cannot execute command as 'argument' must be undefined: ",
    );
    await assertRejects(
      () => device.command("EchoDevVarLongStringArray", [[1], ["a"], []]),
      TypeError,
      "an array of two arrays",
    );
    await assertRejects(
      () => device.command("EchoDevState", 14),
      RangeError,
      "must be a DevState",
    );
  },
);

liveTest(
  "DeviceProxy answers many calls at a time over one connection",
  "TangoTest",
  async ({ device }) => {
    const calls = Array.from({ length: 200 }, (_, index) => index);
    const answers = await Promise.all(
      calls.map((index) =>
        index % 2 === 0
          ? device.command("DevLong", index)
          : device.command("DevString", `${index}`)
      ),
    );
    assertEquals(
      answers,
      calls.map((index) => index % 2 === 0 ? index : `${index}`),
    );
  },
);

liveTest(
  "DeviceProxy reads TangoTest as PyTango does",
  "TangoTest",
  async ({ server, oracle, device }) => {
    const steady = /^(boolean|encoded|enum|no_value|uchar|State|Status|string)/;
    const names = (await device.attributeNames()).filter((name) =>
      steady.test(name)
    );
    assert(names.length > 10);
    const readings = await device.readEach(names);
    const wanted = await oracle.read(server.url, ...names);
    for (const [index, want] of wanted.entries()) {
      const reading = readings[index];
      if (reading === undefined || reading instanceof DeviceError) {
        assertEquals(
          reading?.errors.map(({ reason }) => reason),
          want.errors?.map(({ reason }) => reason),
          want.name,
        );
        continue;
      }
      assertEquals(reading.name, want.name);
      assertEquals(
        nameOf(CmdArgType, reading.dataType),
        want.type,
        want.name,
      );
    }
    for (const type of ["DevUChar", "DevShort", "DevULong"] as const) {
      if (!(await hasCommand(device, type))) continue;
      assertEquals(await device.command(type, 7), 7);
    }
    const echoed = await device.command("DevVarDoubleStringArray", [
      [0.5, -1],
      ["a", "b"],
    ]);
    assertEquals(echoed, [[0.5, -1], ["a", "b"]]);
    await device.writeAttribute("double_image", [[1, 2], [3, 4]]);
    const { writeValue } = await device.readAttribute("double_image");
    assertEquals(plainOf(writeValue, CmdArgType.DevDouble), [[1, 2], [3, 4]]);
  },
);

async function hasCommand(device: DeviceProxy, name: string): Promise<boolean> {
  const commands = await device.commandList();
  return commands.some((command) => command.name === name);
}

liveTest(
  "DeviceProxy writes what it was given, whatever becomes of it",
  "TangoTest",
  async ({ device }) => {
    const row = Float64Array.of(1, 2);
    const isRow = device.writeAttribute("double_spectrum", row);
    row.fill(7);
    await isRow;
    const image = [[1, 2], [3, 4]];
    const isImage = device.writeAttribute("double_image", image);
    image[0]?.fill(7);
    image.pop();
    await isImage;
    const readings = await device.readEach(["double_spectrum", "double_image"]);
    assertEquals(
      readings.map((one) => one instanceof Error ? one : one.writeValue),
      [Float64Array.of(1, 2), [Float64Array.of(1, 2), Float64Array.of(3, 4)]],
    );
  },
);
