// Copyright 2026 the Longrun authors. MIT license.

/** A telescope as a device: it must be configured before it can scan. */

import { isCancellation, LrcDevice, ResultCode, sleep } from "../mod.ts";

/** The arguments of the commands. */
export interface TelescopeCommands {
  /** What to look at. */
  Configure: { source: string };
  /** How long to look, in seconds. */
  Scan: { seconds: number };
}

/** How long it takes to point anywhere, in milliseconds. */
const SLEWING = 300;

/** How long it takes to close the files of a scan, in milliseconds. */
const CLOSING = 50;

/** Makes a telescope, which works from now on. */
export function makeTelescope(): LrcDevice<TelescopeCommands> {
  let source: string | undefined;
  return new LrcDevice<TelescopeCommands>({
    name: "low/telescope/1",
    commands: {
      Configure: async ({ argument, progress, sleep }) => {
        source = undefined;
        for (let percent = 0; percent < 100; percent += 10) {
          progress(percent);
          await sleep(SLEWING / 10);
        }
        source = argument.source;
        return [ResultCode.OK, `Points to ${source}`];
      },
      Scan: {
        refuse: ({ seconds }) =>
          seconds > 0 ? undefined : "A scan takes more than 0 s",
        isAllowed: () => source !== undefined,
        execute: async (
          { argument: { seconds }, progress, signal, ...now },
        ) => {
          let percent = 0;
          try {
            for (; percent < 100; percent++) {
              progress(percent);
              await now.sleep(seconds * 10);
            }
          } catch (error) {
            if (!isCancellation(error, signal)) throw error;
            await sleep(CLOSING);
            const text = `Stopped, ${percent} % of ${source} are kept`;
            return [ResultCode.ABORTED, text];
          }
          return [ResultCode.OK, `Has seen ${source} for ${seconds} s`];
        },
      },
    },
  });
}
