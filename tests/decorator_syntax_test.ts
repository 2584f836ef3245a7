// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { BackgroundTaskProcessor } from "../background_task_processor.ts";

// Node strips types but has no decorators: the class is in a module of its own.
const hasDecorators = !("process" in globalThis) || "Deno" in globalThis ||
  "Bun" in globalThis;

if (hasDecorators) {
  test("backgroundTask decorates methods of every declared return type", async () => {
    const { BeamManager } = await import("./_beam_manager.ts");
    const processor = new BackgroundTaskProcessor();
    const manager = new BeamManager(processor);
    manager.park();
    manager.describe();
    assertEquals(await manager.configureBeam(4), 8);
    await manager.configureScan();
    await processor.idle();
    assertEquals(manager.calls, [
      "park",
      "describe",
      "configureBeam 4",
      "configureScan",
    ]);
  });
} else {
  test.skip("backgroundTask in decorator syntax: Node has none", () => {});
}
