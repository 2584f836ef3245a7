// Copyright 2026 the Longrun authors. MIT license.

import {
  CallbackScheduler,
  invokeLrc,
  type InvokeLrcOptions,
  type LrcHandle,
  type LrcUpdate,
} from "../lrc.ts";
import { ManualClock } from "../testing.ts";
import { FakeDevice, type Told } from "./_lrc_fake.ts";
import { RecordingLogger } from "./_recording_logger.ts";

/** A fake device, and a client in virtual time that keeps what it is told. */
export class LrcRig {
  readonly clock = new ManualClock();
  readonly scheduler = new CallbackScheduler();
  readonly logger = new RecordingLogger();
  readonly updates: LrcUpdate[] = [];
  readonly device: FakeDevice;
  readonly options: InvokeLrcOptions;

  constructor(
    versions: readonly number[] | undefined = [1, 2],
    options: InvokeLrcOptions = {},
  ) {
    const { clock, scheduler, logger } = this;
    this.device = new FakeDevice(versions);
    this.options = { clock, scheduler, logger, ...options };
  }

  /** What the callback was told, without where and when. */
  get told(): unknown[] {
    return withoutTimes(this.updates);
  }

  /** Sends a command that the device is told to accept. */
  async start(name = "Scan"): Promise<LrcHandle> {
    this.device.accepts(name);
    const handle = await this.invoke(name);
    await this.clock.advance(0);
    return handle;
  }

  invoke(name: string, argument?: unknown): Promise<LrcHandle> {
    return invokeLrc(
      (update) => void this.updates.push(update),
      this.device,
      name,
      argument,
      this.options,
    );
  }

  /** Has the device tell something, and lets it arrive. */
  async tell(handle: LrcHandle, ...all: Told[]): Promise<void> {
    for (const told of all) {
      this.device.tell(handle.commandId, told);
      await this.clock.advance(0);
    }
  }
}

/** Updates without where they come from and when. */
export function withoutTimes(updates: readonly LrcUpdate[]): unknown[] {
  return updates.map(({ source: _source, time: _time, ...news }) => news);
}
