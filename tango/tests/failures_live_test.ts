// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DevError, DeviceError } from "@longrun/tasks/device-proxy";
import { DeviceProxy } from "../device_proxy.ts";
import { SystemException } from "../_system_exception.ts";
import { freePort } from "./_child.ts";
import { Oracle } from "./_oracle.ts";
import { type Own, owning } from "./_owning.ts";
import { startDatabase } from "./_tango_server.ts";
import { databaseTest, TangoServer, tangoTest } from "./_tango_server.ts";
import { WireProxy } from "./_wire_proxy.ts";

function owningTangoTest(
  name: string,
  body: (own: Own) => Promise<void>,
  register: typeof tangoTest = tangoTest,
): void {
  register(name, () => owning(body));
}

async function errorsOf(
  action: () => Promise<unknown>,
): Promise<readonly DevError[]> {
  const { errors } = await assertRejects(action, DeviceError);
  return errors;
}

function reasonsOf(errors: readonly DevError[]): string[] {
  return errors.map(({ reason, severity }) => `${severity} ${reason}`);
}

/** Fails unless both fail for the same reasons. */
async function assertSameReasons(
  ours: () => Promise<unknown>,
  pyTango: () => Promise<unknown>,
  serverErrors: number,
): Promise<void> {
  const errors = await errorsOf(ours);
  const wanted = await errorsOf(pyTango);
  assertEquals(reasonsOf(errors), reasonsOf(wanted));
  const [first, wantedFirst] = [errors[0], wanted[0]];
  if (first?.reason === "API_CorbaException") {
    assertEquals(first.desc, wantedFirst?.desc);
  }
  // What the server has said is the same to the letter.
  const [said, heard] = [wanted, errors].map((some) =>
    some.slice(0, serverErrors).map(({ reason, desc, severity, origin }) => ({
      reason,
      desc,
      severity,
      origin,
    }))
  );
  assertEquals(heard, said);
}

owningTangoTest(
  "DeviceProxy fails for the reasons that PyTango gives",
  async (own) => {
    const server = own(await TangoServer.start("types"));
    const oracle = own(new Oracle());
    const device = own(await DeviceProxy.connect(server.url));
    const { url } = server;
    const read = async (name: string) => {
      const [attribute] = await oracle.read(url, name);
      throw new DeviceError(attribute?.errors ?? []);
    };
    await assertSameReasons(
      () => device.command("Fail", ["Test_Inner", "Test_Outer"]),
      () => oracle.command(url, "Fail", ["Test_Inner", "Test_Outer"]),
      2,
    );
    await assertSameReasons(
      () => device.command("Raise", "an error"),
      () => oracle.command(url, "Raise", "an error"),
      1,
    );
    await assertSameReasons(
      () => device.command("NoSuch"),
      () => oracle.ask("command_blindly", { device: url, name: "NoSuch" }),
      0,
    );
    await assertSameReasons(
      () => device.readAttribute("FailingTwice"),
      () => read("FailingTwice"),
      2,
    );
    await assertSameReasons(
      () => device.readAttributes(["State", "NoSuch"]),
      () => read("NoSuch"),
      1,
    );
    await assertSameReasons(
      () => device.writeAttribute("Limited", 11),
      () => oracle.write(url, "Limited", 11),
      1,
    );
    await assertSameReasons(
      () => device.writeAttribute("Nan", 1),
      () => oracle.write(url, "Nan", 1),
      1,
    );
    await assertSameReasons(
      () => DeviceProxy.connect(server.urlOf("test/gone/1")),
      () => oracle.ask("ping", { device: server.urlOf("test/gone/1") }),
      0,
    );
    const [last] = (await errorsOf(() => device.command("Fail", ["Oh"])))
      .slice(-1);
    assertEquals(last, {
      reason: "API_CommandFailed",
      desc: "Failed to execute command Fail of device test/types/1",
      severity: "ERR",
      origin: "@longrun/tango",
    });
    await oracle.ask("timeout", { device: url, ms: 200 });
    await assertSameReasons(
      () => device.command("Sleep", 0.6, { timeout: 200 }),
      () => oracle.command(url, "Sleep", 0.6),
      0,
    );
  },
);

owningTangoTest(
  "DeviceProxy says why a server cannot be reached, as PyTango does",
  async (own) => {
    const server = own(await TangoServer.start("types"));
    const oracle = own(new Oracle());
    const device = own(await DeviceProxy.connect(server.url));
    assertEquals(await oracle.ask("state", { device: server.url }), "ON");
    await server.kill();
    await assertSameReasons(
      () => device.state(),
      () => oracle.ask("state", { device: server.url }),
      0,
    );
    const port = await freePort();
    const nowhere = { tangoHost: `127.0.0.1:${port}` };
    await assertSameReasons(
      () => DeviceProxy.connect("a/b/c", nowhere),
      () => oracle.ask("ping", { device: `tango://127.0.0.1:${port}/a/b/c` }),
      0,
    );
    const error = await assertRejects(() => device.ping(), DeviceError);
    assert(error.cause instanceof SystemException);
    assertEquals(error.cause.kind, "TRANSIENT");
    assert(error.cause.cause instanceof Error);
  },
);

owningTangoTest(
  "DeviceProxy leaves a command that takes too long, and goes on",
  async (own) => {
    const server = own(await TangoServer.start("types"));
    const proxy = own(await WireProxy.start(server.port));
    const url = server.urlOf("test/types/1", proxy.port);
    const device = own(await DeviceProxy.connect(url));
    await device.command("EchoDevVoid");
    const error = await assertRejects(
      () => device.command("Sleep", 0.5, { timeout: 100 }),
      DeviceError,
    );
    assertEquals(reasonsOf(error.errors), [
      "ERR API_CorbaException",
      "ERR API_DeviceTimedOut",
    ]);
    const reason = new Error("no more");
    const controller = new AbortController();
    const { signal } = controller;
    const call = device.command("Sleep", 0.5, { signal });
    setTimeout(() => controller.abort(reason), 100);
    assertEquals(await call.catch((error) => error), reason);
    assertEquals(await device.command("EchoDevLong", 5), 5);
    const sent = new TextDecoder("latin1").decode(proxy.bytes("up"));
    // Version 1.2, little-endian, a request that is cancelled.
    assertEquals(sent.split("GIOP\x01\x02\x01\x02").length - 1, 2);
    assertEquals(new Set(proxy.chunks.map((one) => one.connection)).size, 1);
  },
);

owningTangoTest(
  "DeviceProxy reaches a server again that was killed and started",
  async (own) => {
    const server = own(await TangoServer.start("types"));
    const device = own(await DeviceProxy.connect(server.url));
    assertEquals(await device.command("Count", "a"), 1n);
    await server.restart();
    assertEquals(await device.command("Count", "a"), 1n);
    await server.kill();
    await assertRejects(() => device.command("Count", "a"), DeviceError);
    await assertRejects(() => device.ping(), DeviceError);
    await server.restart();
    assertEquals(await device.command("Count", "a"), 1n);
    await device.writeAttribute("DevLongScalar", 3);
  },
);

owningTangoTest(
  "DeviceProxy ends the calls that wait when it is closed",
  async (own) => {
    const server = own(await TangoServer.start("types"));
    const device = await DeviceProxy.connect(server.url);
    await device.command("EchoDevVoid");
    const call = errorsOf(() => device.command("Sleep", 1));
    // The call is on its way.
    await device.ping({ timeout: 50 }).catch(() => {});
    await device.close();
    assertEquals((await call)[1]?.reason, "API_CommunicationFailed");
    const error = await assertRejects(() => device.ping());
    assertEquals(
      (error as Error).message,
      "Cannot ping device as the proxy is closed",
    );
    await device.close();
  },
);

owningTangoTest(
  "DeviceProxy finds devices by way of a database, wherever they are",
  async (own) => {
    const database = own(await startDatabase());
    const server = own(await TangoServer.start("types", { database }));
    const oracle = own(new Oracle({ TANGO_HOST: database.host }));
    const dead = await freePort();
    const tangoHost = `127.0.0.1:${dead},${database.host}`;
    const device = own(
      await DeviceProxy.connect("Test/Types/1", { tangoHost }),
    );
    assertEquals(await device.command("EchoDevLong", 1), 1);
    const url = `tango://${database.host}/test/types/1`;
    const other = own(await DeviceProxy.connect(url));
    assertEquals(await other.state(), 0);

    const byName = (name: string) => () =>
      DeviceProxy.connect(name, { tangoHost: database.host });
    const unknown = "test/unknown/1";
    await assertSameReasons(
      byName(unknown),
      () => oracle.ask("ping", { device: unknown }),
      1,
    );
    await database.register("types_device/none", "TypesDevice", [
      "test/types/2",
    ]);
    await assertSameReasons(
      byName("test/types/2"),
      () => oracle.ask("ping", { device: "test/types/2" }),
      0,
    );

    await server.kill("SIGTERM");
    await assertRejects(() => device.ping(), DeviceError);
    const moved = own(await TangoServer.start("types", { database }));
    assert(moved.port !== server.port);
    assertEquals(await device.command("EchoDevLong", 2), 2);
    assertEquals(await other.command("EchoDevLong", 3), 3);
    // Without a failure in between.
    await moved.kill("SIGTERM");
    own(await TangoServer.start("types", { database }));
    assertEquals(await device.command("EchoDevLong", 4), 4);
  },
  databaseTest,
);
