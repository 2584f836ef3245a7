// Copyright 2026 the Longrun authors. MIT license.

import { DeviceError } from "@longrun/tasks/device-proxy";
import { encodeText } from "./_text.ts";
import { MarshalError } from "./_cdr_reader.ts";
import { devError } from "./_device_failure.ts";
import { command } from "./_device_operations.ts";
import type { Endpoint, WaitOptions } from "./_giop_connection.ts";
import {
  type ObjectReference,
  parseObjectReference,
} from "./_object_reference.ts";
import { RemoteObject, type RemoteObjectOptions } from "./_remote_object.ts";
import { CmdArgType, DevSource } from "./tango_types.ts";

/** The name of the object that a database server has. */
const OBJECT_KEY = encodeText("database");

/** The database that knows where devices are. */
export class Database {
  readonly #object: RemoteObject;

  constructor(endpoints: readonly Endpoint[], options: RemoteObjectOptions) {
    const reference = { endpoints, objectKey: OBJECT_KEY };
    this.#object = new RemoteObject(() => Promise.resolve(reference), options);
  }

  /**
   * Where a device is.
   *
   * @throws {DeviceError} If it is unknown, or its server is not running.
   */
  async importDevice(
    device: string,
    options: WaitOptions,
  ): Promise<ObjectReference> {
    const answer = await this.#object.call(
      command(
        "DbImportDevice",
        CmdArgType.DevString,
        device,
        DevSource.DEV,
      ),
      options,
    );
    const [[isExported], [, reference]] = pairOf(answer);
    if (isExported !== 1 || reference === undefined) {
      throw new DeviceError([
        devError(
          "API_DeviceNotExported",
          `The server of device ${device} is not running`,
        ),
      ]);
    }
    return parseObjectReference(reference);
  }

  /** Lets go of the connection. */
  close(): void {
    this.#object.close();
  }
}

function pairOf(
  answer: unknown,
): readonly [numbers: readonly number[], strings: readonly string[]] {
  if (Array.isArray(answer) && answer.length === 2) {
    return [answer[0], answer[1]];
  }
  throw new MarshalError("The database answers something else");
}
