// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { test } from "@std/testing/bdd";
import { CdrReader } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import * as operations from "../_device_operations.ts";
import { readDevErrors, readNamedErrors } from "../_idl.ts";
import {
  readSystemException,
  type SystemException,
} from "../_system_exception.ts";
import {
  AttrDataFormat,
  type AttributeInfo,
  type AttributeReading,
  AttrQuality,
  CmdArgType,
  DevSource,
  DevState,
} from "../tango_types.ts";
import { decodeText } from "../_text.ts";
import { replyBody, requestBody, written } from "./_bodies.ts";
import { type Exchange, readExchanges } from "./_fixtures.ts";
import type { OracleAttribute } from "./_oracle.ts";
import { plainOf, TEXT } from "./_plain.ts";
import { transcode } from "./_transcoder.ts";

/** The formats of bodies, as the transcoder knows them. */
const FORMATS = {
  read: { request: "[s]lll", reply: "[v]" },
  command: { request: "salll", reply: "a" },
  write: { request: "[ulllllslllll]ll", reply: "" },
  info: "ssslss",
  commands: "[slllls" + "s]",
  config: "[slllbbll" + "sssssssss" + "ls[s]" + "ssssss[s]" +
    "ss[s]s[s]sss[s]" +
    "[s][s]]",
  errors: "s[slss]",
  namedErrors: "s[sl[slss]]",
};

const typeNames = Object.keys(CmdArgType) as (keyof typeof CmdArgType)[];

/** Runs a check for the bytes as they came, and in the other order. */
function inBothOrders(
  bytes: Uint8Array,
  format: string,
  check: (reader: CdrReader) => void,
): void {
  for (const isLittle of [true, false]) {
    const reader = new CdrReader(transcode(bytes, format, isLittle), isLittle);
    check(reader);
    assertEquals(reader.remaining, 0);
  }
  check(new CdrReader(bytes, true));
}

/** A request of PyTango with zeros for padding and for its process. */
function normalized({ request }: Exchange, format: string): Uint8Array {
  const bytes = transcode(requestBody(request), format, true);
  bytes.fill(0, bytes.length - 4);
  return bytes;
}

/** The only exchange of a case. */
function only(exchanges: readonly Exchange[]): Exchange {
  const [exchange] = exchanges;
  assert(exchange !== undefined);
  return exchange;
}

/** PyTango has no way to send these. */
const BROKEN = new Set(["EchoDevUChar", "EchoDevVarStateArray"]);

test("commands are sent as PyTango sends them", () => {
  for (
    const { description, expected, exchanges } of readExchanges("commands")
  ) {
    const [name = ""] = description.split(",");
    if (BROKEN.has(name)) continue;
    const type = name.slice(4) as keyof typeof CmdArgType;
    const ours = operations.command(
      name,
      CmdArgType[type],
      argumentOf(type, expected),
      DevSource.CACHE_DEV,
    );
    assertEquals(
      written(ours),
      normalized(only(exchanges), FORMATS.command.request),
      description,
    );
  }
});

/** What the oracle says, as our commands take it. */
function argumentOf(type: string, value: unknown): unknown {
  if (value === null) return undefined;
  if (type === "DevState") {
    return DevState[value as keyof typeof DevState];
  }
  if (type === "DevEncoded") {
    const [format, data] = value as [string, Uint8Array];
    return { format, data };
  }
  return value;
}

test("answers of commands are read as PyTango reads them", () => {
  for (
    const { description, expected, exchanges } of readExchanges("commands")
  ) {
    const [name = ""] = description.split(",");
    if (BROKEN.has(name)) continue;
    const type = name.slice(4) as keyof typeof CmdArgType;
    const { bytes } = replyBody(only(exchanges).reply);
    const { read } = operations.command(name, 0, undefined, DevSource.DEV);
    inBothOrders(bytes, FORMATS.command.reply, (reader) => {
      assertEquals(plainOf(read(reader), CmdArgType[type]), expected);
    });
  }
});

test("attributes are asked for as PyTango asks", () => {
  for (const { description, expected, exchanges } of readExchanges("reads")) {
    const names = (expected as OracleAttribute[]).map(({ name }) => name);
    assertEquals(
      written(operations.readAttributes(names, DevSource.CACHE_DEV)),
      normalized(only(exchanges), FORMATS.read.request),
      description,
    );
  }
});

/** PyTango loses the type of no states. */
const UNTYPED = "DevStateEmpty";

test("attributes are read as PyTango reads them", () => {
  const { read } = operations.readAttributes([], DevSource.DEV);
  for (const { description, expected, exchanges } of readExchanges("reads")) {
    const { bytes } = replyBody(only(exchanges).reply);
    inBothOrders(bytes, FORMATS.read.reply, (reader) => {
      const readings = read(reader);
      for (const [index, want] of (expected as OracleAttribute[]).entries()) {
        const reading = readings[index];
        assert(reading !== undefined);
        if (want.name === UNTYPED) continue;
        if (want.errors !== undefined) {
          assert(reading instanceof DeviceError);
          // The last one is PyTango's own.
          assertEquals(reading.errors, want.errors.slice(0, -1), description);
        } else {
          assert(!(reading instanceof DeviceError));
          assertSameReading(reading, want);
        }
      }
    });
  }
});

/** A text of PyTango, with a char for each byte, as we understand it. */
function understood(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(understood);
  return typeof value === "string"
    ? decodeText(Uint8Array.from(value, (char) => char.charCodeAt(0)))
    : value;
}

function assertSameReading(
  reading: AttributeReading,
  want: OracleAttribute,
): void {
  const type = typeNames.find((name) => CmdArgType[name] === reading.dataType);
  assertEquals(
    {
      name: reading.name,
      type,
      value: plainOf(reading.value, reading.dataType) ?? null,
      quality: reading.quality,
    },
    {
      name: want.name,
      // PyTango knows no type of what is invalid.
      type: want.quality === "ATTR_INVALID" ? type : want.type as typeof type,
      value: understood(want.value ?? null),
      quality: AttrQuality[want.quality.slice(5) as keyof typeof AttrQuality],
    },
    want.name,
  );
  const isEmpty = Array.isArray(want.written) && want.written.length === 0;
  if (want.written !== null && !isEmpty) {
    assertEquals(
      plainOf(reading.writeValue, reading.dataType),
      want.written,
      want.name,
    );
  }
  assert(Math.abs(reading.time - want.time * 1000) < 0.01, want.name);
}

const FORMS = { Scalar: 0, Spectrum: 1, Image: 2 } as const;

test("attributes are written as PyTango writes them", () => {
  let checked = 0;
  for (const { description, expected, exchanges } of readExchanges("writes")) {
    const [, name = "", type, form] =
      /^((\w+?)(Scalar|Spectrum|Image)):/.exec(description) ?? [];
    if (type === undefined || form === undefined) continue;
    const info = {
      name,
      format: FORMS[form as keyof typeof FORMS],
      dataType: CmdArgType[type as keyof typeof CmdArgType],
    } as AttributeInfo;
    const value = argumentOf(type, expected);
    assertEquals(
      written(operations.writeAttribute(info, value)),
      normalized(only(exchanges), FORMATS.write.request),
      description,
    );
    checked++;
  }
  assertEquals(checked, 38);
});

test("what goes wrong with a write is read as PyTango reads it", () => {
  for (const { errors, exchanges } of readExchanges("writes")) {
    if (errors === undefined) continue;
    const { status, bytes } = replyBody(only(exchanges).reply);
    assertEquals(status, 1);
    inBothOrders(bytes, FORMATS.namedErrors, (reader) => {
      assertEquals(reader.string(), "IDL:Tango/MultiDevFailed:1.0");
      const [named] = readNamedErrors(reader);
      assertEquals(named?.errors, errors.slice(0, -1));
    });
  }
});

test("what goes wrong with a command is read as PyTango reads it", () => {
  let checked = 0;
  for (const { errors = [], exchanges } of readExchanges("errors")) {
    for (const { operation, reply } of exchanges) {
      if (operation !== "command_inout_4") continue;
      const { bytes } = replyBody(reply);
      inBothOrders(bytes, FORMATS.errors, (reader) => {
        assertEquals(reader.string(), "IDL:Tango/DevFailed:1.0");
        assertEquals(readDevErrors(reader), errors.slice(0, -1));
        checked++;
      });
    }
  }
  assertEquals(checked, 6);
});

test("a system exception says what its number means", () => {
  const missing = readExchanges("errors").at(-1);
  const { status, bytes } = replyBody(missing?.exchanges[0]?.reply ?? TEXT);
  assertEquals(status, 2);
  inBothOrders(bytes, "sll", (reader) => {
    const error: SystemException = readSystemException(reader);
    assertEquals(
      [error.kind, error.completed, error.message],
      [
        "OBJECT_NOT_EXIST",
        "no",
        "The server answered OBJECT_NOT_EXIST " +
        "(minor OBJECT_NOT_EXIST_NoMatch, completed: no)",
      ],
    );
  });
});

test("a system exception of no known number shows its digits", () => {
  const writer = new CdrWriter().string("IDL:omg.org/CORBA/constructor:1.0")
    .unsignedLong(0xdeadbeef).unsignedLong(7);
  const error = readSystemException(new CdrReader(writer.bytes, true));
  assertEquals(
    [error.kind, error.minor, error.completed, error.message],
    [
      "constructor",
      0xdeadbeef,
      "maybe",
      "The server answered constructor (minor 0xdeadbeef, completed: maybe)",
    ],
  );
});

function basics(description: string): [unknown, Uint8Array] {
  const found = readExchanges("basics").find((one) =>
    one.description === description
  );
  assert(found !== undefined);
  return [
    found.expected,
    replyBody(found.exchanges.at(-1)?.reply ?? TEXT).bytes,
  ];
}

test("what is known of a device is read as PyTango reads it", () => {
  const [expected, bytes] = basics("info");
  inBothOrders(bytes, FORMATS.info, (reader) => {
    const info = operations.info.read(reader);
    assertEquals(
      {
        class: info.devClass,
        server: info.serverId,
        host: info.serverHost,
        version: info.serverVersion,
        documentation: info.docUrl,
      },
      expected as Record<string, unknown> as never,
    );
  });
});

test("what is known of commands is read as PyTango reads it", () => {
  const [expected, bytes] = basics("commands");
  const nameOf = (type: number) =>
    typeNames.find((name) => CmdArgType[name] === type);
  inBothOrders(bytes, FORMATS.commands, (reader) => {
    assertEquals(
      operations.commandList.read(reader).map(({ name, inType, outType }) => ({
        name,
        in: nameOf(inType),
        out: nameOf(outType),
      })),
      expected as never,
    );
  });
});

test("what is known of attributes is read as PyTango reads it", () => {
  const [expected, bytes] = basics("config");
  const formatOf = (format: number) =>
    Object.entries(AttrDataFormat).find(([, value]) => value === format)?.[0];
  inBothOrders(bytes, FORMATS.config, (reader) => {
    assertEquals(
      operations.attributeList().read(reader).map((info) => ({
        name: info.name,
        format: formatOf(info.format),
        type: typeNames.find((name) => CmdArgType[name] === info.dataType),
        maxX: info.maxDimX,
        maxY: info.maxDimY,
        description: info.description,
        label: info.label,
        unit: info.unit,
        displayFormat: info.displayFormat,
        min: info.minValue,
        max: info.maxValue,
        enumLabels: [...info.enumLabels],
      })),
      (expected as Record<string, unknown>[]).map(({ writable: _, ...rest }) =>
        rest
      ) as never,
    );
  });
});

test("the names of attributes and their configuration are asked for", () => {
  const found = readExchanges("basics").find(({ description }) =>
    description === "config"
  );
  const exchange = only(found?.exchanges.slice(-1) ?? []);
  const names = (found?.expected as { name: string }[]).map(({ name }) => name);
  assertEquals(exchange.operation, operations.attributeList().name);
  assertEquals(
    written(operations.attributeList(names)),
    transcode(requestBody(exchange.request), "[s]", true),
  );
  assertThrows(() => transcode(requestBody(exchange.request), "[s]l", true));
});
