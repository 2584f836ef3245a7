// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the types of tasks, runners and handles say. The functions that hold
 * what must not compile are never called.
 */

import { test } from "@std/testing/bdd";
import { assertType, type IsExact } from "@std/testing/types";
import type { HeldLock, LockOptions } from "../lock.ts";
import { LoopTask, type LoopTaskOptions } from "../loop_task.ts";
import type { RunState, StopOutcome } from "../run_state.ts";
import {
  type AnyTask,
  type SettingsOf,
  type StatusOf,
  Task,
  type TaskHost,
  type TopicsOf,
} from "../task.ts";
import type {
  AnyTaskRunner,
  TaskArguments,
  TaskContext,
  TaskHandle,
  TaskLocking,
} from "../task_context.ts";
import {
  type TaskOutcome,
  type TaskRunError,
  TaskRunner,
  type TaskRunnerInit,
} from "../task_runner.ts";
import { type ReadableTopic, Topic } from "../topic.ts";

interface Exposure {
  readonly seconds: number;
}

interface Progress {
  readonly images: number;
}

class Camera extends LoopTask<Exposure, Progress> {
  override settings: Exposure = { seconds: 1 };
  override status: Progress = { images: 0 };
  readonly images: Topic<Uint8Array> = new Topic();
  readonly count: number = 0;
}

class Stage extends Task<number> {
  override settings = 0;
  constructor(host: TaskHost, port: string, speed = 1) {
    super(host);
    void port;
    void speed;
  }
  override run(): void {}
}

class Plain extends Task {
  constructor(host: TaskHost) {
    super(host);
  }
  override run(): void {}
}

class CameraRunner extends TaskRunner<Camera> {
  expose(seconds: number): Promise<Progress> {
    this.setSettings({ seconds });
    return Promise.resolve(this.status);
  }

  get isDark(): boolean {
    return this.status.images === 0;
  }
}

/** Lets the compiler look at a function that is not called. */
function looksAt(_never: (context: TaskContext) => Promise<void>): void {}

test("Types of settings and status are those of the task", () => {
  assertType<IsExact<SettingsOf<Camera>, Exposure>>(true);
  assertType<IsExact<StatusOf<Camera>, Progress>>(true);
  assertType<IsExact<SettingsOf<Stage>, number>>(true);
  assertType<IsExact<StatusOf<Stage>, undefined>>(true);
  assertType<IsExact<SettingsOf<Plain>, undefined>>(true);
  assertType<IsExact<StatusOf<Plain>, undefined>>(true);
  looksAt(async (context) => {
    const camera = await context.makeTask("camera", Camera);
    assertType<IsExact<typeof camera.settings, Exposure>>(true);
    assertType<IsExact<typeof camera.pendingSettings, Exposure | undefined>>(
      true,
    );
    assertType<IsExact<typeof camera.status, Progress>>(true);
    camera.setSettings({ seconds: 2 });
    // @ts-expect-error a string is no number
    camera.setSettings({ seconds: "2" });
    // @ts-expect-error nothing is no exposure
    camera.setSettings(undefined);
    // @ts-expect-error there is no such setting
    camera.setSettings({ seconds: 2, gain: 1 });
    // @ts-expect-error the status is the task's
    camera.status = { images: 5 };
    // @ts-expect-error settings are sent
    camera.settings = { seconds: 5 };
  });
});

test("Types of topics are those of the task's fields, and nothing else is among them", () => {
  assertType<
    IsExact<
      keyof TopicsOf<Camera>,
      "images" | "settingsUpdated" | "statusUpdated"
    >
  >(true);
  assertType<IsExact<keyof TopicsOf<Plain>, "settingsUpdated">>(true);
  looksAt(async (context) => {
    const camera = await context.makeTask("camera", Camera);
    const { images, settingsUpdated, statusUpdated } = camera.topics;
    assertType<IsExact<typeof images, ReadableTopic<Uint8Array>>>(true);
    assertType<IsExact<typeof settingsUpdated, ReadableTopic<Exposure>>>(true);
    assertType<IsExact<typeof statusUpdated, ReadableTopic<Progress>>>(true);
    assertType<IsExact<typeof camera.failed, ReadableTopic<TaskRunError>>>(
      true,
    );
    // @ts-expect-error a number is no topic
    void camera.topics.count;
    // @ts-expect-error topics are not replaced
    camera.topics.images = images;
  });
});

test("Types of arguments are those of the constructor, after the host", () => {
  assertType<
    IsExact<TaskArguments<typeof Camera>, [options?: LoopTaskOptions]>
  >(true);
  assertType<
    IsExact<TaskArguments<typeof Stage>, [port: string, speed?: number]>
  >(true);
  assertType<IsExact<TaskArguments<typeof Plain>, []>>(true);
  looksAt(async (context) => {
    await context.makeTask("camera", Camera);
    await context.makeTask("camera", Camera, []);
    await context.makeTask("camera", Camera, [{ period: 10 }]);
    await context.makeTask("stage", Stage, ["COM1"]);
    await context.makeTask("stage", Stage, ["COM1", 2], { grace: 10 });
    await context.makeTask("plain", Plain);
    await context.makeTask("plain", Plain, [], { grace: 10 });
    // @ts-expect-error the port is missing
    await context.makeTask("stage", Stage);
    // @ts-expect-error the port is missing
    await context.makeTask("stage", Stage, []);
    // @ts-expect-error a port is a string
    await context.makeTask("stage", Stage, [1]);
    // @ts-expect-error a speed is a number
    await context.makeTask("stage", Stage, ["COM1", "fast"]);
    // @ts-expect-error there is no third one
    await context.makeTask("stage", Stage, ["COM1", 2, 3]);
    // @ts-expect-error it takes none
    await context.makeTask("plain", Plain, [1]);
    // @ts-expect-error a period is a number
    await context.makeTask("camera", Camera, [{ period: "10" }]);
    // @ts-expect-error there is no such policy
    await context.makeTask("camera", Camera, [{ policy: "late" }]);
    // @ts-expect-error there is no such option
    await context.makeTask("camera", Camera, [], { priority: 1 });
    // @ts-expect-error this is no task
    await context.makeTask("date", Date);
  });
});

test("Types of what a handle tells are narrow", () => {
  looksAt(async (context) => {
    const stage = await context.makeTask("stage", Stage, ["COM1"]);
    assertType<
      IsExact<typeof stage, TaskRunner<Stage> & TaskLocking>
    >(true);
    assertType<IsExact<typeof stage.state, RunState>>(true);
    assertType<IsExact<typeof stage.outcome, TaskOutcome | undefined>>(true);
    assertType<IsExact<typeof stage.exception, TaskRunError | undefined>>(true);
    assertType<IsExact<ReturnType<typeof stage.start>, void>>(true);
    assertType<IsExact<ReturnType<typeof stage.stop>, Promise<StopOutcome>>>(
      true,
    );
    assertType<IsExact<ReturnType<typeof stage.join>, Promise<void>>>(true);
    assertType<IsExact<typeof stage.isLocked, boolean>>(true);
    assertType<
      IsExact<
        typeof stage.lock,
        (options?: LockOptions) => Promise<HeldLock | null>
      >
    >(true);
    const lock = await stage.lock();
    // @ts-expect-error it may not have been given
    lock.unlock();
    lock?.unlock();
  });
});

test("Types of a runner of one's own are those of the handle", () => {
  looksAt(async (context) => {
    const camera = await context.makeTask("camera", Camera, [], {
      runner: CameraRunner,
    });
    assertType<IsExact<typeof camera, CameraRunner & TaskLocking>>(true);
    assertType<IsExact<typeof camera.isDark, boolean>>(true);
    assertType<
      IsExact<typeof camera.expose, (seconds: number) => Promise<Progress>>
    >(true);
    // @ts-expect-error seconds are a number
    await camera.expose("2");
    const bare = await context.makeTask("bare", Camera);
    // @ts-expect-error the runner of this one has no such method
    await bare.expose(2);
    // @ts-expect-error this runs cameras
    await context.makeTask("stage", Stage, ["COM1"], { runner: CameraRunner });
    // @ts-expect-error this is no runner
    await context.makeTask("camera", Camera, [], { runner: Camera });
    class Restless extends TaskRunner<Camera> {
      constructor(init: TaskRunnerInit<Camera>, pace: number) {
        super(init);
        void pace;
      }
    }
    // @ts-expect-error nobody would give the pace
    await context.makeTask("camera", Camera, [], { runner: Restless });
  });
});

test("Types of getTask() are those of the classes it is given", () => {
  looksAt(async (context) => {
    const any = context.getTask("camera");
    assertType<IsExact<typeof any, AnyTaskRunner & TaskLocking>>(true);
    assertType<IsExact<typeof any, TaskHandle>>(true);
    assertType<IsExact<typeof any.settings, unknown>>(true);
    const trusted = context.getTask<CameraRunner>("camera");
    assertType<IsExact<typeof trusted, CameraRunner & TaskLocking>>(true);
    const camera = context.getTask("camera", Camera);
    assertType<IsExact<typeof camera, TaskRunner<Camera> & TaskLocking>>(true);
    const own = context.getTask("camera", Camera, CameraRunner);
    assertType<IsExact<typeof own, CameraRunner & TaskLocking>>(true);
    assertType<IsExact<typeof own, TaskHandle<CameraRunner>>>(true);
    const stage = context.getTask("stage", Stage);
    assertType<IsExact<typeof stage.settings, number>>(true);
    // @ts-expect-error this runs cameras
    context.getTask("stage", Stage, CameraRunner);
    // @ts-expect-error this is no task
    context.getTask("date", Date);
    await context.removeTask(camera);
    await context.removeTask(own);
    await context.removeTask(any);
    // @ts-expect-error a number is no name
    await context.removeTask(5);
  });
});

test("Types of any handle are those of AnyTaskRunner and TaskHandle", () => {
  looksAt(async (context) => {
    const camera = await context.makeTask("camera", Camera, [], {
      runner: CameraRunner,
    });
    const handles: TaskHandle[] = [
      camera,
      await context.makeTask("stage", Stage, ["COM1"]),
      await context.makeTask("plain", Plain),
    ];
    const runners: AnyTaskRunner[] = handles;
    await Promise.all(runners.map((runner) => runner.stop()));
  });
  const classes: (abstract new (...args: never) => AnyTask)[] = [
    Camera,
    Stage,
    Plain,
  ];
  void classes;
});

test("Types of a task itself are narrow, too", () => {
  class Guider extends LoopTask<Exposure, Progress> {
    override settings: Exposure = { seconds: 1 };
    override status: Progress = { images: 0 };

    override processNewSettings(): void {
      assertType<IsExact<typeof this.settings, Exposure>>(true);
      // @ts-expect-error a string is no number
      this.settings = { seconds: "2" };
    }

    override updateStatus(): boolean {
      this.status = { images: this.status.images + 1 };
      this.statusUpdated.publish(this.status);
      // @ts-expect-error this is no progress
      this.statusUpdated.publish(5);
      // @ts-expect-error the name is given
      this.name = "guider";
      return true;
    }
  }
  void Guider;
  // @ts-expect-error what it does is missing
  class Nothing extends Task {}
  void Nothing;
});
