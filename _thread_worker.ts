// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * The first module of a thread that hosts a task. In the first thread of a
 * program it does nothing.
 *
 * @module
 */

import { TaskThread } from "./_thread_host.ts";
import { threadPort } from "./_worker.ts";

const port = threadPort();
if (port !== undefined) new TaskThread(port);
