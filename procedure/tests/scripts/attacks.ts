// Copyright 2026 the Longrun authors. MIT license.

// deno-lint-ignore-file no-console

import type { ScriptArguments } from "../../script_module.ts";

async function attempt(what: () => unknown): Promise<string> {
  try {
    await what();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

/** Tries what takes permissions, and publishes what came of it. */
export async function reaches({ kwargs, publish }: ScriptArguments) {
  const { file, other, port, program, variable, url } = kwargs as Record<
    string,
    string
  >;
  publish("user.reached", {
    read: await attempt(() => Deno.readTextFile(file ?? "")),
    self: await attempt(() => Deno.readTextFile(new URL(import.meta.url))),
    list: await attempt(() => Array.fromAsync(Deno.readDir("/"))),
    write: await attempt(() => Deno.writeTextFile(other ?? "", "written")),
    connect: await attempt(async () => {
      const connection = await Deno.connect({ port: Number(port) });
      connection.close();
    }),
    listen: await attempt(() => Deno.listen({ port: 0 }).close()),
    run: await attempt(() => new Deno.Command(program ?? "").output()),
    env: await attempt(() => Deno.env.get(variable ?? "")),
    allEnv: await attempt(() => Deno.env.toObject()),
    sys: await attempt(() => Deno.hostname()),
    ffi: await attempt(() => Deno.dlopen("libc.so.6", {})),
    kill: await attempt(() => Deno.kill(Deno.ppid, "SIGTERM")),
    ask: (await Deno.permissions.request({ name: "read" })).state,
    fetch: await attempt(async () => {
      await (await fetch(url ?? "")).text();
    }),
    worker: await attempt(() =>
      new Worker("data:application/javascript,", {
        type: "module",
        deno: { permissions: { read: true } },
      } as WorkerOptions)
    ),
  });
}

export async function importsFrom({ kwargs, publish }: ScriptArguments) {
  const secret = String(kwargs.url);
  publish("user.imported", await attempt(() => import(secret)));
}

/** Stores something, here and in a Worker. */
export async function stores({ publish }: ScriptArguments) {
  const source = `(${String(store)})().then(postMessage)`;
  publish("user.stored", await store());
  const url = `data:application/javascript,${encodeURIComponent(source)}`;
  const worker = new Worker(url, { type: "module" });
  const { data } = await new Promise<MessageEvent>((resolve) =>
    worker.addEventListener("message", resolve)
  );
  publish("user.stored", data);
}

async function store(): Promise<string> {
  try {
    const cache = await caches.open("secrets");
    await cache.put("http://a.invalid/", new Response("secret"));
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

/** Changes whatever our code might use, and looks what it gets hold of. */
export async function patches({ publish }: ScriptArguments) {
  const caught: string[] = [];
  const look = (value: unknown) => {
    if (value instanceof MessagePort || value instanceof SharedArrayBuffer) {
      caught.push(Object.prototype.toString.call(value));
    }
  };
  // deno-lint-ignore no-explicit-any
  const wrap = (prototype: any, name: string) => {
    const original = prototype[name];
    // deno-lint-ignore no-explicit-any
    prototype[name] = function (this: any, ...values: any[]) {
      look(this);
      values.forEach(look);
      return Reflect.apply(original, this, values);
    };
  };
  wrap(MessagePort.prototype, "postMessage");
  wrap(Array.prototype, "push");
  wrap(Array.prototype, "some");
  wrap(Map.prototype, "get");
  wrap(Promise.prototype, "then");
  wrap(EventTarget.prototype, "dispatchEvent");
  wrap(EventTarget.prototype, "addEventListener");
  wrap(Atomics, "add");
  wrap(Atomics, "load");
  wrap(JSON, "stringify");
  wrap(globalThis, "structuredClone");
  for (const name of ["data", "target", "currentTarget", "ports"]) {
    for (const prototype of [MessageEvent.prototype, Event.prototype]) {
      const getter = Object.getOwnPropertyDescriptor(prototype, name)?.get;
      if (getter === undefined) continue;
      Object.defineProperty(prototype, name, {
        get() {
          look(Reflect.apply(getter, this, []));
          // deno-lint-ignore no-explicit-any
          look((this as any).target);
          return Reflect.apply(getter, this, []);
        },
      });
    }
  }
  publish("user.once", 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  publish("user.caught", caught);
}

/** Says by every way there is that it has returned. */
export async function forges({ publish }: ScriptArguments) {
  const scope = globalThis as unknown as { postMessage(value: unknown): void };
  for (let id = 0; id < 3; id++) scope.postMessage({ type: "returned", id });
  scope.postMessage({ type: "publish", topic: "procedure.x", data: 1 });
  try {
    const { default: process } = await import("node:process");
    const send = (process as { send?(value: unknown): void }).send;
    send?.call(process, { type: "returned", id: 1 });
  } catch {
    // There is nobody to send to.
  }
  dispatchEvent(new MessageEvent("message", { data: { type: "run", id: 1 } }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  publish("user.end");
}

/** Sends messages that nobody has asked for. */
export function sends({ publish }: ScriptArguments): never {
  const scope = globalThis as unknown as { postMessage(value: unknown): void };
  Reflect.deleteProperty(scope, "postMessage");
  publish("user.started");
  for (;;) scope.postMessage(new Uint8Array(1_000_000));
}

/** Breaks the language for all that runs with it. */
export function breaks(): never {
  const broken = () => {
    throw new Error("broken");
  };
  Array.prototype.push = broken;
  Object.freeze = broken;
  Promise.prototype.then = broken;
  String.prototype.includes = broken;
  Array.prototype.filter = broken;
  throw new Proxy({}, { get: broken, getPrototypeOf: broken });
}

export function closesItsOutput({ publish }: ScriptArguments): void {
  Deno.stdout.close();
  publish("user.closed");
}

/** Leaves a process behind that lives for a while, and says which. */
export async function leaves({ publish }: ScriptArguments): Promise<void> {
  const left = new Deno.Command("/bin/sleep", {
    args: ["60"],
    stdin: "null",
  }).spawn();
  left.unref();
  await Promise.resolve();
  publish("user.left", left.pid);
}
