// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { createConnection, createServer, type Socket } from "node:net";
import { pause } from "./_child.ts";
import { join, WireProxy } from "./_wire_proxy.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A client, and what it gets. */
class Client implements AsyncDisposable {
  readonly pieces: Uint8Array[] = [];
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #error: Error | undefined = undefined;

  static connect(port: number): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ host: "127.0.0.1", port });
      socket.setNoDelay(true);
      socket.once("error", reject);
      socket.once("connect", () => resolve(new Client(socket)));
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data: Uint8Array) => {
      this.pieces.push(new Uint8Array(data));
    });
    socket.on("error", (error) => this.#error = error);
    this.closed = new Promise((resolve) => socket.once("close", resolve))
      .then(() => {});
  }

  get text(): string {
    return decoder.decode(join(this.pieces));
  }

  get error(): Error | undefined {
    return this.#error;
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  async got(text: string): Promise<void> {
    for (let round = 0; this.text !== text; round++) {
      assert(round < 1000, `It has '${this.text}' and not '${text}'`);
      await pause(5);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }
}

/** A server that sends back what it gets, behind a proxy. */
class EchoRig implements AsyncDisposable {
  readonly proxy: WireProxy;
  readonly #stop: () => Promise<void>;

  static async start(): Promise<EchoRig> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
      socket.on("data", (data: Uint8Array) => socket.write(data));
    });
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        if (typeof address === "object" && address) resolve(address.port);
      });
    });
    return new EchoRig(await WireProxy.start(port), () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    });
  }

  private constructor(proxy: WireProxy, stop: () => Promise<void>) {
    this.proxy = proxy;
    this.#stop = stop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.stop();
    await this.#stop();
  }
}

test("WireProxy passes on and writes down what comes by", async () => {
  await using rig = await EchoRig.start();
  await using one = await Client.connect(rig.proxy.port);
  one.write("one");
  await one.got("one");
  await using two = await Client.connect(rig.proxy.port);
  two.write("two");
  await two.got("two");
  assertEquals(decoder.decode(rig.proxy.bytes("up")), "onetwo");
  assertEquals(decoder.decode(rig.proxy.bytes("down", 1)), "two");
  assertEquals(rig.proxy.connections, 2);
  rig.proxy.clear();
  assertEquals(rig.proxy.chunks, []);
});

test("WireProxy splits, in order", async () => {
  await using rig = await EchoRig.start();
  await using client = await Client.connect(rig.proxy.port);
  rig.proxy.mode("up", { kind: "split" });
  rig.proxy.mode("down", { kind: "split", size: 2 });
  client.write("abcdefgh");
  await client.got("abcdefgh");
  const longest = Math.max(...client.pieces.map(({ length }) => length));
  assert(client.pieces.length > 1, `in one piece of ${longest}`);
});

test("WireProxy keeps bytes until they are flushed", async () => {
  await using rig = await EchoRig.start();
  await using client = await Client.connect(rig.proxy.port);
  rig.proxy.mode("down", { kind: "merge" });
  client.write("a");
  await pause(20);
  client.write("b");
  while (rig.proxy.bytes("down").length < 2) await pause(5);
  assertEquals(client.text, "");
  rig.proxy.flush("down");
  await client.got("ab");
  assertEquals(client.pieces.length, 1);
});

test("WireProxy delays and keeps the order", async () => {
  await using rig = await EchoRig.start();
  await using client = await Client.connect(rig.proxy.port);
  rig.proxy.mode("down", { kind: "delay", ms: 50 });
  const start = performance.now();
  client.write("a");
  while (rig.proxy.bytes("down").length < 1) await pause(2);
  rig.proxy.mode("down", { kind: "forward" });
  client.write("b");
  await client.got("ab");
  assert(performance.now() - start >= 50);
});

test("WireProxy swallows bytes and does not tell of an end", async () => {
  await using rig = await EchoRig.start();
  await using client = await Client.connect(rig.proxy.port);
  client.write("a");
  await client.got("a");
  rig.proxy.mode("down", { kind: "swallow" });
  client.write("b");
  while (rig.proxy.bytes("down").length < 2) await pause(5);
  await pause(20);
  assertEquals(client.text, "a");
  assertEquals(rig.proxy.connections, 1);
  rig.proxy.mode("down", { kind: "forward" });
  client.write("c");
  await client.got("ac");
});

test("WireProxy changes bytes and adds some of its own", async () => {
  await using rig = await EchoRig.start();
  await using client = await Client.connect(rig.proxy.port);
  rig.proxy.mode("up", {
    kind: "change",
    change: (bytes) => encoder.encode(decoder.decode(bytes).toUpperCase()),
  });
  client.write("a");
  await client.got("A");
  rig.proxy.inject("down", encoder.encode("!"));
  await client.got("A!");
});

test("WireProxy cuts connections and lets clients in again", async () => {
  await using rig = await EchoRig.start();
  const { proxy } = rig;
  await using client = await Client.connect(proxy.port);
  client.write("a");
  await client.got("a");
  proxy.cut();
  await client.closed;
  assertEquals(client.error, undefined);
  assertEquals(proxy.connections, 0);

  await proxy.refuse();
  await assertRejects(() => Client.connect(proxy.port));
  await proxy.accept();
  await using other = await Client.connect(proxy.port);
  other.write("b");
  await other.got("b");
  assertEquals(proxy.accepted, 2);
  proxy.cut({ reset: true });
  await other.closed;
});
