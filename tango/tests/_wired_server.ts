// Copyright 2026 the Longrun authors. MIT license.

import { DeviceProxy } from "../device_proxy.ts";
import { freePort } from "./_child.ts";
import {
  TangoServer,
  type TangoServerName,
  type TangoServerOptions,
} from "./_tango_process.ts";
import { WireProxy } from "./_wire_proxy.ts";

/** Options of {@linkcode WiredServer.start}. */
export interface WiredServerOptions extends TangoServerOptions {
  /** An attribute that has events, by which the ports of events are found. */
  attribute: string;
}

/**
 * A server behind wire proxies: for calls, for events and for heartbeats. Once
 * it was started anew its events have other ports, without proxies.
 */
export class WiredServer implements AsyncDisposable {
  readonly server: TangoServer;
  readonly calls: WireProxy;
  readonly events: WireProxy;
  readonly heartbeats: WireProxy;

  /** Starts a server and the proxies. */
  static async start(
    name: TangoServerName,
    { attribute, ...options }: WiredServerOptions,
  ): Promise<WiredServer> {
    const server = await TangoServer.start(name, options);
    const address = `tango://127.0.0.1:${server.port}/${server.admin}#dbase=no`;
    await using admin = await DeviceProxy.connect(address);
    const [, texts] = await admin.command("ZmqEventSubscriptionChange", [
      server.devices[0],
      attribute,
      "subscribe",
      "change",
      "5",
    ]) as [unknown, string[]];
    const [heartbeatPort, eventPort] = texts.map(portOf);
    const heartbeats = await beside(heartbeatPort);
    const events = await beside(eventPort);
    const calls = await WireProxy.start(server.port);
    const change = (bytes: Uint8Array): Uint8Array => {
      const text = String.fromCharCode(...bytes)
        .replaceAll(addressOf(heartbeatPort), addressOf(heartbeats.port))
        .replaceAll(addressOf(eventPort), addressOf(events.port));
      return Uint8Array.from(text, (char) => char.charCodeAt(0));
    };
    calls.mode("down", { kind: "change", change });
    return new WiredServer(server, calls, events, heartbeats);
  }

  private constructor(
    server: TangoServer,
    calls: WireProxy,
    events: WireProxy,
    heartbeats: WireProxy,
  ) {
    this.server = server;
    this.calls = calls;
    this.events = events;
    this.heartbeats = heartbeats;
  }

  /** The address of the device, by way of the proxies. */
  get url(): string {
    return this.server.urlOf(this.server.devices[0] ?? "", this.calls.port);
  }

  /** Ends all. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const wire of [this.calls, this.events, this.heartbeats]) {
      await wire.stop();
    }
    await this.server.stop();
  }
}

function portOf(address: string): number {
  return Number(address.split(":")[2]);
}

function addressOf(port: number | undefined): string {
  return `tcp://127.0.0.1:${port}`;
}

/** A proxy whose port takes the place of another in a message. */
async function beside(port: number | undefined): Promise<WireProxy> {
  let own = await freePort();
  while (String(own).length !== String(port).length) own = await freePort();
  return await WireProxy.start(port ?? 0, own);
}
