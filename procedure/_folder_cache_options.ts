// Copyright 2026 the Longrun authors. MIT license.

import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import { resolve } from "node:path";
import {
  checkCommon,
  checkLogger,
  checkName,
  checkOptions,
  checkPositive,
} from "./_arguments.ts";
import { cacheDirectory } from "./_cache_directory.ts";
import type { FolderCacheOptions } from "./_folder_cache.ts";
import { harmlessLogger } from "./_harmless_logger.ts";

/** How checkouts, or environments, are kept. */
export interface KeptFolderOptions {
  /**
   * The folder that all are kept in. Any number of processes may share it.
   *
   * @default {"longrun/checkouts or longrun/environments in the cache folder of the user"}
   */
  directory?: string;
  /**
   * How many bytes all may take together. When there are more, those used least
   * recently are removed, but none that is in use.
   *
   * @default {10 GiB}
   */
  sizeLimit?: number;
  /**
   * How many bytes one may take. What grows beyond is not finished.
   *
   * @default {2_147_483_648}
   */
  entryLimit?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Is told of what goes wrong behind the scenes.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** How folders are kept in any case, but for what they hold. */
export type FolderCacheSettings = Omit<FolderCacheOptions, "code" | "what">;

/**
 * Checks how folders are to be kept, and says how where nothing is said.
 *
 * @param name Their folder among what can be made again.
 */
export function folderCacheSettings(
  action: string,
  name: string,
  options: KeptFolderOptions,
): FolderCacheSettings {
  checkOptions(action, options);
  checkCommon(action, options);
  const {
    directory = cacheDirectory(action, name),
    sizeLimit = 10 * 2 ** 30,
    entryLimit = 2 * 2 ** 30,
    clock = systemClock,
    logger = defaultLogger,
  } = options;
  checkName(action, "directory", directory);
  checkPositive(action, "sizeLimit", sizeLimit);
  checkPositive(action, "entryLimit", entryLimit);
  checkLogger(action, logger);
  return {
    directory: resolve(directory),
    sizeLimit,
    entryLimit,
    clock,
    logger: harmlessLogger(logger),
  };
}
