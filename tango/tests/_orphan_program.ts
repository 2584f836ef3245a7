// Copyright 2026 the Longrun authors. MIT license.

/** Starts a server, prints the number of its process, and hangs. */

import { TangoServer } from "./_tango_process.ts";

const server = await TangoServer.start("TangoTest", { isShared: true });
console.log(`pid ${server.pid}`);
setInterval(() => {}, 1000);
