// Copyright 2026 the Longrun authors. MIT license.

import {
  type AddressInfo,
  connect,
  createServer,
  type Server,
  type Socket,
} from "node:net";

/** A way through which bytes go, until it cuts them off. */
export class TcpProxy implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /**
   * Goes between.
   *
   * @param port Where to.
   * @param allowance How many bytes of answers the next connection lets through
   * before it is cut.
   */
  static async open(
    port: number,
    allowance: () => number,
  ): Promise<TcpProxy> {
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      let left = allowance();
      const far = connect(port, "127.0.0.1");
      const cut = (): void => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket.setNoDelay(true);
        socket.on("error", cut);
        socket.on("close", () => {
          sockets.delete(socket);
          cut();
        });
      }
      near.on("data", (data) => far.write(data));
      far.on("data", (data: Uint8Array) => {
        const part = data.subarray(0, left);
        left -= part.length;
        // Cut when the last of it is on its way.
        near.write(part, () => {
          if (left === 0) cut();
        });
      });
    });
    await new Promise<void>((resolve) =>
      server.listen(0, "127.0.0.1", resolve)
    );
    return new TcpProxy(server, sockets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
