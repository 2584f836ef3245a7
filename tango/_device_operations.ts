// Copyright 2026 the Longrun authors. MIT license.

import { readingOf, writeAttributeValue } from "./_attribute_value.ts";
import type { CdrReader } from "./_cdr_reader.ts";
import { readAnswer, writeArgument } from "./_command_value.ts";
import {
  ATTRIBUTE_INFO_SIZE,
  COMMAND_INFO_SIZE,
  readAttributeInfo,
  readCommandInfo,
  readDeviceInfo,
  READING_SIZE,
  readReading,
  writeClientIdentity,
} from "./_idl.ts";
import { DeviceError } from "@longrun/tasks/device-proxy";
import type { Operation } from "./_remote_object.ts";
import {
  type AttributeInfo,
  type AttributeReading,
  type CmdArgType,
  type CommandInfo,
  type DeviceInfo,
  type DevSource,
  DevState,
} from "./tango_types.ts";

/** All attributes of a device, where names are asked for. */
const ALL_ATTRIBUTES = "All attributes_3";

function nothing(_reader: CdrReader): void {}

/** Whether the device answers. */
export const ping: Operation<void> = {
  name: "ping",
  read: nothing,
  isRepeatable: true,
};

/** The state of the device. */
export const state: Operation<DevState> = {
  name: "_get_state",
  read(reader) {
    const value = reader.unsignedLong();
    return Object.values(DevState).find((one) => one === value) ??
      DevState.UNKNOWN;
  },
  isRepeatable: true,
};

/** The state of the device in words. */
export const status: Operation<string> = {
  name: "_get_status",
  read: (reader) => reader.string(),
  isRepeatable: true,
};

/** The name of the device that looks after the server. */
export const adminName: Operation<string> = {
  name: "_get_adm_name",
  read: (reader) => reader.string(),
  isRepeatable: true,
};

/** What is known of the device. */
export const info: Operation<DeviceInfo> = {
  name: "info_3",
  read: readDeviceInfo,
  isRepeatable: true,
};

/** What is known of its commands. */
export const commandList: Operation<readonly CommandInfo[]> = {
  name: "command_list_query_2",
  read: (reader) =>
    reader.sequence(() => readCommandInfo(reader), COMMAND_INFO_SIZE),
  isRepeatable: true,
};

/** What is known of attributes, by default of all. */
export function attributeList(
  names: readonly string[] = [ALL_ATTRIBUTES],
): Operation<readonly AttributeInfo[]> {
  return {
    name: "get_attribute_config_5",
    write: (writer) => writer.strings(names),
    read: (reader) =>
      reader.sequence(() => readAttributeInfo(reader), ATTRIBUTE_INFO_SIZE),
    isRepeatable: true,
  };
}

/** Has a command executed. */
export function command(
  name: string,
  type: CmdArgType,
  argument: unknown,
  source: DevSource,
): Operation<unknown> {
  return {
    name: "command_inout_4",
    write(writer) {
      writer.string(name);
      writeArgument(writer, type, argument);
      writer.unsignedLong(source);
      writeClientIdentity(writer);
    },
    read: readAnswer,
  };
}

/** Reads attributes: what was read of each, or why it could not be. */
export function readAttributes(
  names: readonly string[],
  source: DevSource,
): Operation<readonly (AttributeReading | DeviceError)[]> {
  return {
    name: "read_attributes_5",
    write(writer) {
      writer.strings(names).unsignedLong(source);
      writeClientIdentity(writer);
    },
    read: (reader) =>
      reader.sequence(() => {
        const raw = readReading(reader);
        return raw.errors.length > 0
          ? new DeviceError(raw.errors)
          : readingOf(raw);
      }, READING_SIZE),
    isRepeatable: true,
  };
}

/** Writes an attribute. */
export function writeAttribute(
  info: AttributeInfo,
  value: unknown,
): Operation<void> {
  return {
    name: "write_attributes_4",
    write(writer) {
      writer.unsignedLong(1);
      writeAttributeValue(writer, info, value);
      writeClientIdentity(writer);
    },
    read: nothing,
  };
}
