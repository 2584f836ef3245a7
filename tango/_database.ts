// Copyright 2026 the Longrun authors. MIT license.

import { DeviceError } from "@longrun/tasks/device-proxy";
import { encodeText } from "./_text.ts";
import { MarshalError } from "./_cdr_reader.ts";
import { devError, deviceFailure, whileDoing } from "./_device_failure.ts";
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
    let answer: unknown;
    try {
      answer = await this.#object.call(
        {
          ...command(
            "DbImportDevice",
            CmdArgType.DevString,
            device,
            DevSource.DEV,
          ),
          isRepeatable: true,
        },
        options,
      );
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw importFailure(error, device);
    }
    const { isExported, reference } = readImport(answer);
    if (isExported) return parseObjectReference(reference);
    throw new DeviceError([
      devError(
        "API_DeviceNotExported",
        `Device ${device} is not exported (hint: try starting its server)`,
      ),
    ]);
  }

  /** Lets go of the connection. */
  close(): void {
    this.#object.close();
  }
}

function importFailure(error: unknown, device: string): unknown {
  if (!(error instanceof DeviceError)) {
    return deviceFailure(error, {
      subject: "the database",
      unreachable: "API_CantConnectToDatabase",
    });
  }
  const failed = whileDoing(
    error,
    devError(
      "API_CommandFailed",
      "Failed to execute command DbImportDevice of the database",
    ),
  );
  const isUnknown = error.errors.some(({ reason }) =>
    reason === "DB_DeviceNotDefined"
  );
  return isUnknown
    ? whileDoing(
      failed,
      devError(
        "API_DeviceNotDefined",
        `Device ${device} is not defined in the database`,
      ),
    )
    : failed;
}

interface Import {
  readonly isExported: boolean;
  readonly reference: string;
}

function readImport(answer: unknown): Import {
  const [numbers, strings] = Array.isArray(answer) ? answer : [];
  if (Array.isArray(numbers) && Array.isArray(strings)) {
    const reference: unknown = strings[1];
    if (typeof reference === "string") {
      return { isExported: numbers[0] === 1, reference };
    }
  }
  throw new MarshalError("The database answers something else");
}
