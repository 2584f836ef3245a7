// Copyright 2026 the Longrun authors. MIT license.

import { readAnswer, writeArgument } from "../_command_value.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import type { Endpoint } from "../_giop_connection.ts";
import { ReplyStatus } from "../_giop_message.ts";
import { CmdArgType } from "../tango_types.ts";
import { pause } from "./_child.ts";
import { GiopServer, reply, type SeenRequest } from "./_giop_server.ts";
import { ZmtpPublisher } from "./_zmtp_publisher.ts";

/** How a message of an event is made. */
export interface PushOptions {
  /** Counts the events; 0 means that the server does not. */
  counter?: number;
  /** The time of the value, another for each event unless given. */
  time?: number;
  /** Sends it so often. */
  times?: number;
  /** What goes instead of the data. */
  data?: Uint8Array;
  /** Whether the data are errors. */
  isFailure?: boolean;
}

/** Writes errors, one for each reason. */
export function errors(to: CdrWriter, ...reasons: string[]): CdrWriter {
  to.unsignedLong(reasons.length);
  for (const reason of reasons) {
    to.string(reason).unsignedLong(1).string("Oh").string("here");
  }
  return to;
}

/** Waits until a condition holds. */
export async function until(holds: () => boolean, what = ""): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`Not so: ${what}`);
    await pause(1);
  }
}

/**
 * A device `a/b/c` of our own, with whole numbers as attributes and a command
 * `Echo` of such a number.
 */
export class EventServer implements AsyncDisposable {
  /** The value of all attributes. */
  value = 0;
  /** The operations that were called, with what was asked of events. */
  readonly log: string[] = [];
  /** Attributes without events. */
  readonly refused = new Set<string>();
  /** Called before an operation is answered. */
  gate: (operation: string) => unknown = () => {};
  /** The port of its events, if it does not tell the truth. */
  port: number | undefined = undefined;
  /** Where it says that it is. */
  host = "127.0.0.1";
  events: ZmtpPublisher;
  heartbeats: ZmtpPublisher;
  #giop: GiopServer;
  #time = 0;

  private constructor(
    giop: (take: (request: SeenRequest) => void) => GiopServer,
    events: ZmtpPublisher,
    heartbeats: ZmtpPublisher,
  ) {
    this.events = events;
    this.heartbeats = heartbeats;
    this.#giop = giop((request) => void this.#answer(request));
  }

  static async start(): Promise<EventServer> {
    let take: (request: SeenRequest) => void = () => {};
    const giop = await GiopServer.start((request) => take(request));
    const events = await ZmtpPublisher.listen();
    const heartbeats = await ZmtpPublisher.listen();
    return new EventServer(
      (answer) => {
        take = answer;
        return giop;
      },
      events,
      heartbeats,
    );
  }

  /** The address of the device. */
  get url(): string {
    return `tango://127.0.0.1:${this.#giop.endpoint.port}/a/b/c#dbase=no`;
  }

  /** Where it answers. */
  get endpoint(): Endpoint {
    return this.#giop.endpoint;
  }

  /** Closes the connections over which it answers. */
  hangUp(): void {
    for (const { socket } of this.#giop.clients) socket.destroy();
  }

  get clients(): number {
    return this.#giop.clients.filter(({ isClosed }) => !isClosed).length;
  }

  /** How often events of an attribute were asked for. */
  asked(attribute: string): number {
    return this.log.filter((line) => line === `subscribe ${attribute}`).length;
  }

  topic(attribute: string, type = "change"): string {
    return `tango://here/a/b/c/${attribute}#dbase=no.idl5_${type}`;
  }

  /** Sends an event of an attribute, once it is subscribed to. */
  push(attribute: string, value: number, options: PushOptions = {}): void {
    const { time = ++this.#time, times = 1 } = options;
    const data = options.data ??
      this.#reading(new CdrWriter().raw(PAD), attribute, value, time).bytes;
    this.send(this.topic(attribute), data, options, times);
  }

  /** Sends that there are data. */
  pushDataReady(attribute: string, count: number, options: PushOptions): void {
    const data = new CdrWriter().raw(PAD).string(attribute)
      .long(CmdArgType.DevLong).long(count).bytes;
    const topic = this.topic(attribute, "data_ready");
    this.send(topic, data, options, options.times);
  }

  send(
    topic: string,
    data: Uint8Array,
    { counter = 0, isFailure = false }: PushOptions = {},
    times = 1,
  ): void {
    const call = new CdrWriter().long(1).unsignedLong(counter).string("")
      .unsignedLong(0).boolean(isFailure).bytes;
    for (let n = 0; n < times; n++) {
      this.events.publish(topic, new Uint8Array([1]), call, data);
    }
  }

  /** Forgets what has happened so far. */
  forget(): void {
    this.log.length = 0;
    this.events.log.length = 0;
    this.heartbeats.log.length = 0;
    this.#giop.forget();
  }

  beat(heartbeats = this.heartbeats): void {
    heartbeats.publish(HEARTBEAT, "", "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#giop.close();
    await this.events[Symbol.asyncDispose]();
    await this.heartbeats[Symbol.asyncDispose]();
  }

  async #answer({ id, client, operation, body }: SeenRequest): Promise<void> {
    if (operation === "command_inout_4") {
      const command = body.string();
      if (command === ECHO) {
        const value = readAnswer(body);
        this.log.push(command);
        await this.gate(operation);
        client.send(
          reply(id, (to) => writeArgument(to, CmdArgType.DevLong, value)),
        );
        return;
      }
      const [, attribute = "", , type] = readAnswer(body) as string[];
      this.log.push(`subscribe ${attribute}`);
      await this.gate(operation);
      client.send(
        this.refused.has(attribute)
          ? reply(id, (to) =>
            errors(
              to.string("IDL:Tango/DevFailed:1.0"),
              "API_AttributePollingNotStarted",
            ), ReplyStatus.USER_EXCEPTION)
          : reply(
            id,
            (to) =>
              writeArgument(to, CmdArgType.DevVarLongStringArray, [
                [934, 5],
                [
                  `tcp://${this.host}:${this.heartbeats.port}`,
                  `tcp://${this.host}:${this.port ?? this.events.port}`,
                  this.topic(attribute, type),
                  HEARTBEAT,
                ],
              ]),
          ),
      );
      return;
    }
    this.log.push(operation);
    await this.gate(operation);
    if (operation === "_get_adm_name") {
      client.send(reply(id, (to) => to.string("dserver/here/1")));
    } else if (operation === "read_attributes_5") {
      body.unsignedLong();
      const name = body.string();
      const { value } = this;
      client.send(
        reply(
          id,
          (to) => this.#reading(to.unsignedLong(1), name, value, ++this.#time),
        ),
      );
    } else if (operation === "command_list_query_2") {
      client.send(
        reply(
          id,
          (to) =>
            to.unsignedLong(1).string(ECHO).unsignedLong(0).long(0)
              .long(CmdArgType.DevLong).long(CmdArgType.DevLong)
              .string("").string(""),
        ),
      );
    } else {
      client.send(reply(id));
    }
  }

  #reading(
    to: CdrWriter,
    attribute: string,
    value: number,
    time: number,
  ): CdrWriter {
    return to.unsignedLong(2).unsignedLong(1).long(value)
      .unsignedLong(0).unsignedLong(0).long(CmdArgType.DevLong)
      .long(time).long(0).long(0).string(attribute)
      .long(1).long(0).long(0).long(0).unsignedLong(0);
  }
}

const PAD = new Uint8Array([0xc0, 0xde, 0xc0, 0xde]);

/** A command that answers its argument, a whole number. */
const ECHO = "Echo";

const HEARTBEAT = "tango://here/dserver/here/1.heartbeat";
