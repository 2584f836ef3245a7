// Copyright 2026 the Longrun authors. MIT license.

import { type Route, ROUTES } from "./_rest_routes.ts";
import { restSchemas, type Schema, SCHEMAS } from "./_rest_schemas.ts";
import { PROBLEM_TYPE } from "./_problem.ts";

/** What the document depends on. */
export interface DocumentSettings {
  readonly basePath: string;
  readonly version: string;
  readonly compat: boolean;
  /** Whether a token is needed. */
  readonly isSecured: boolean;
}

/** The problems that each route may answer with. */
const COMMON_PROBLEMS = [403, 421, 500, 503, 504];

const WORDS: Readonly<Record<number, string>> = {
  400: "The body is malformed",
  401: "A token is needed",
  403: "This is not allowed",
  404: "There is none of this number",
  409: "Not in this state",
  413: "The body is too large",
  415: "The body has the wrong type",
  421: "The server has another name",
  422: "The request is not what it should be",
  500: "Something has failed",
  502: "A repository or an environment has failed",
  503: "Not now",
  504: "The service did not answer in time",
};

/** Schemas of answers that are not bodies of JSON of ours. */
const OTHERS: Readonly<Record<string, Schema>> = {
  EventStream: { type: "string" },
  Document: { type: "object", required: ["openapi", "info", "paths"] },
};

function content(type: string, schema: string): Schema {
  return { [type]: { schema: { $ref: SCHEMAS + schema } } };
}

function parametersOf(route: Route): Schema[] {
  const own = (route.query ?? []).map((each) => ({ ...each, required: false }));
  if (!route.path.includes("{id}")) return own;
  return [{
    name: "id",
    in: "path",
    required: true,
    description: "The number, from 1",
    schema: { type: "integer", minimum: 1 },
  }, ...own];
}

function responsesOf(route: Route, settings: DocumentSettings): Schema {
  const responses: Record<string, Schema> = {};
  for (const [status, answer] of Object.entries(route.answers)) {
    const { description, schema, type = "application/json" } = answer;
    responses[status] = {
      description,
      ...(schema === undefined ? {} : { content: content(type, schema) }),
      ...(status === "201"
        ? {
          headers: {
            Location: {
              description: "The address of it",
              schema: { type: "string" },
            },
          },
        }
        : {}),
    };
  }
  const problems = [...route.problems, ...COMMON_PROBLEMS];
  if (settings.isSecured && route.scopes.length > 0) problems.push(401);
  if (route.body !== undefined) problems.push(408);
  const type = settings.compat ? "application/json" : PROBLEM_TYPE;
  for (const status of problems) {
    responses[String(status)] = {
      description: WORDS[status] ?? "The request was too slow",
      content: content(type, "Problem"),
    };
  }
  return responses;
}

function operationOf(route: Route, settings: DocumentSettings): Schema {
  const { id, summary, tag, body, scopes } = route;
  const isSecured = settings.isSecured && scopes.length > 0;
  const needed = scopes.map((scope) => `\`${scope}\``).join(" or ");
  return {
    operationId: id,
    summary,
    tags: [tag],
    ...(scopes.length === 0 ? {} : { description: `Needs ${needed}.` }),
    parameters: parametersOf(route),
    ...(body === undefined ? {} : {
      requestBody: {
        required: true,
        content: content("application/json", body),
      },
    }),
    responses: responsesOf(route, settings),
    security: isSecured ? [{ bearer: [] }] : [],
  };
}

/** The OpenAPI document of the interface. */
export function openApiDocument(settings: DocumentSettings): Schema {
  const { basePath, version, compat } = settings;
  const paths: Record<string, Record<string, Schema>> = {};
  for (const route of ROUTES) {
    const item = paths[route.path] ??= {};
    item[route.method] = operationOf(route, settings);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Longrun procedures",
      version,
      description: "Prepares, starts, stops and follows procedures.",
    },
    servers: [{ url: basePath === "" ? "/" : basePath }],
    tags: ["procedures", "activities", "operator", "service"].map((name) => ({
      name,
    })),
    paths,
    components: {
      schemas: { ...restSchemas(compat), ...OTHERS },
      ...(settings.isSecured
        ? { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } }
        : {}),
    },
  };
}
