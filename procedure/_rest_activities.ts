// Copyright 2026 the Longrun authors. MIT license.

/**
 * The routes below `/activities`, which are there without activities, too.
 *
 * @module
 */

import { hasCode } from "./_error_code.ts";
import { noActivity, unavailable } from "./_problem.ts";
import {
  type ActivityCreateJson,
  decodeActivityCommand,
  encodeActivity,
} from "./_procedure_json.ts";
import { jsonResponse, type RestCall } from "./_rest_call.ts";
import type { ActivityRunner } from "./procedure_service.ts";

/** Answers what is asked of activities. */
export class ActivityRoutes {
  readonly #activities: ActivityRunner | undefined;

  /** @param activities What runs them, if there is something. */
  constructor(activities: ActivityRunner | undefined) {
    this.#activities = activities;
  }

  list({ root }: RestCall): Response {
    const all = this.#activities?.summarise() ?? [];
    return jsonResponse(all.map((each) => encodeActivity(each, root)));
  }

  get({ id, root }: RestCall): Response {
    try {
      const [summary] = this.#activities?.summarise([id]) ?? [];
      if (summary !== undefined) {
        return jsonResponse(encodeActivity(summary, root));
      }
    } catch (error) {
      if (!hasCode(error, "activity-not-found")) throw error;
    }
    throw noActivity(id);
  }

  async run(call: RestCall): Promise<Response> {
    const body = await call.body<ActivityCreateJson>();
    const command = decodeActivityCommand(body);
    const activities = this.#activities;
    if (activities === undefined) {
      throw unavailable("no-activities", "This service has no activities");
    }
    const summary = await activities.run(command, { signal: call.signal });
    const json = encodeActivity(summary, call.root);
    return jsonResponse(json, 201, { location: json.uri });
  }
}
