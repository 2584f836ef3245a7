// Copyright 2026 the Longrun authors. MIT license.

import { longrun, type ServeRequest } from "../cli.ts";

/** The command line with a service that only shows what it was started with. */
Deno.exit(
  await longrun(Deno.args, {
    serve: ({ signal: _signal, logger, ...options }: ServeRequest) => {
      if (options.port === 1) {
        return Promise.reject(new Error("Address already in use"));
      }
      logger.warn(`options ${JSON.stringify(options)}`);
      const finished = Promise.withResolvers<void>();
      const timer = setInterval(() => {}, 1000);
      const origin = `http://${options.hostname}:${options.port}`;
      return Promise.resolve({
        url: `${origin}/api/v1`,
        page: `${origin}/ui`,
        finished: finished.promise,
        close(): Promise<void> {
          logger.info("closing");
          if (options.compat) return new Promise(() => {});
          clearInterval(timer);
          finished.resolve();
          return Promise.resolve();
        },
      });
    },
  }),
);
