// Copyright 2026 the Longrun authors. MIT license.

/**
 * Scripts in processes of their own, under control.
 *
 * @module
 */

export type { RestartPolicy } from "@longrun/tasks/backoff";
export type { Clock, TimerOptions } from "@longrun/tasks/clock";
export * from "@longrun/tasks/event-bus";
export type { Logger } from "@longrun/tasks/logger";
export type {
  TopicCallbackOptions,
  TopicOverflow,
  TopicSubscribeOptions,
} from "@longrun/tasks/topic";
export * from "./activity.ts";
export * from "./activity_service.ts";
export * from "./control_page.ts";
export * from "./environment_manager.ts";
export * from "./git_manager.ts";
export * from "./procedure.ts";
export * from "./procedure_client.ts";
export * from "./procedure_errors.ts";
export * from "./procedure_recovery.ts";
export * from "./procedure_service.ts";
export * from "./procedure_state.ts";
export * from "./procedure_store.ts";
export * from "./procedure_store_error.ts";
export * from "./procedure_topics.ts";
export * from "./procedure_workers.ts";
export * from "./process_manager.ts";
export * from "./rest_api.ts";
export * from "./scheduling_block_store.ts";
export * from "./script.ts";
export * from "./script_error.ts";
export * from "./script_execution_service.ts";
export * from "./script_loader.ts";
export * from "./script_module.ts";
export * from "./script_policy.ts";
export * from "./script_pool.ts";
export * from "./script_worker.ts";
export * from "./script_worker_options.ts";
export * from "./script_worker_pool.ts";
export * from "./server.ts";
export * from "./sqlite_procedure_store.ts";
export * from "./sqlite_scheduling_block_store.ts";
