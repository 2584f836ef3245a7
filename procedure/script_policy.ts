// Copyright 2026 the Longrun authors. MIT license.

/**
 * Which scripts may be executed, and what they may do. Nothing is allowed that
 * is not named.
 *
 * @module
 */

/**
 * What a script may do beside computing: the permissions of Deno. A script
 * without grants can read, write and connect to nothing.
 */
export interface ScriptGrants {
  /** Files and folders it may read. */
  readonly read?: readonly string[];
  /** Files and folders it may write. */
  readonly write?: readonly string[];
  /** Hosts it may connect to; `true` for all. */
  readonly net?: readonly string[] | true;
  /** Variables of the environment it may see. */
  readonly env?: readonly string[];
  /**
   * Programs it may run. These can do whatever the service can: a script that
   * may run any is as good as unlimited.
   */
  readonly run?: readonly string[];
  /** What it may know of the machine, by the names that Deno has for it. */
  readonly sys?: readonly string[];
  /**
   * Whether modules may be fetched while it runs. That is a way out for data.
   *
   * @default {false}
   */
  readonly import?: boolean;
  /** The heap it may have, in megabytes. */
  readonly memory?: number;
}

/** A folder whose scripts may be executed. */
export interface ScriptRoot {
  /** Its absolute path. */
  readonly path: string;
  /** What its scripts may do. */
  readonly grants?: ScriptGrants;
}

/** A repository, or several, whose scripts may be executed. */
export interface ScriptRepository {
  /** The address; one that ends in `/` or `/*` is the beginning of addresses. */
  readonly url: string;
  /** What its scripts may do. */
  readonly grants?: ScriptGrants;
}

/** Which scripts may be executed. */
export interface ScriptPolicy {
  /** The folders whose scripts may be executed. */
  readonly roots?: readonly ScriptRoot[];
  /** The repositories whose scripts may be executed. */
  readonly repositories?: readonly ScriptRepository[];
}
