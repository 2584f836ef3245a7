// Copyright 2026 the Longrun authors. MIT license.

import { Task } from "../task.ts";

/** One of two. */
export class First extends Task<undefined, string> {
  override run(): void {
    this.status = "first";
  }
}

/** The other. */
export class Second extends Task<undefined, string> {
  override run(): void {
    this.status = "second";
  }
}
