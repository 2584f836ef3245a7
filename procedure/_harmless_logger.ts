// Copyright 2026 the Longrun authors. MIT license.

import type { Logger } from "@longrun/tasks/logger";

/** A logger that never throws: what it was to say goes to the console then. */
export function harmlessLogger(logger: Logger): Logger {
  const say = (level: keyof Logger): Logger[typeof level] => (...args) => {
    try {
      logger[level](...args);
    } catch (error) {
      console.error(...args, error);
    }
  };
  return {
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
  };
}
