// Copyright 2026 the Longrun authors. MIT license.

import type { AccessScope } from "./_rest_access.ts";

/** A parameter of the query of a route, or of a header. */
export interface RouteParameter {
  readonly name: string;
  readonly in: "query" | "header";
  readonly description: string;
  readonly schema: { readonly [keyword: string]: unknown };
}

/** An answer of a route that is no problem. */
export interface RouteAnswer {
  readonly description: string;
  readonly schema?: string;
  readonly type?: string;
}

/** What a request may be for. */
export interface Route {
  readonly id: RouteId;
  readonly method: "get" | "post" | "put";
  /** Below the base path, as OpenAPI writes it. */
  readonly path: string;
  /** One of these is needed; none for everybody. */
  readonly scopes: readonly AccessScope[];
  readonly summary: string;
  readonly tag: "procedures" | "activities" | "operator" | "service";
  readonly query?: readonly RouteParameter[];
  /** The schema of its body. */
  readonly body?: string;
  readonly answers: Readonly<Record<number, RouteAnswer>>;
  /** The problems that it may answer with besides those of all routes. */
  readonly problems: readonly number[];
  /** Whether it is at the root, too. */
  readonly isAtRoot?: boolean;
}

/** The names of the routes. */
export type RouteId =
  | "listProcedures"
  | "getProcedure"
  | "createProcedure"
  | "updateProcedure"
  | "getOutput"
  | "listActivities"
  | "getActivity"
  | "runActivity"
  | "stream"
  | "getContext"
  | "updateContext"
  | "overrideQa"
  | "openApi"
  | "health";

const json = (schema: string, description: string): RouteAnswer => ({
  schema,
  description,
});

/** The most lines that are given at a time. */
export const MOST_LINES = 10_000;

const id = "/{id}";

/** All routes, but the page. */
export const ROUTES: readonly Route[] = [
  {
    id: "listProcedures",
    method: "get",
    path: "/procedures",
    scopes: ["view"],
    summary: "All procedures that are known",
    tag: "procedures",
    answers: { 200: json("Procedures", "The procedures, the oldest first") },
    problems: [],
  },
  {
    id: "createProcedure",
    method: "post",
    path: "/procedures",
    scopes: ["run"],
    summary: "Prepares a procedure",
    tag: "procedures",
    body: "ProcedureCreate",
    answers: { 201: json("Procedure", "The procedure, at first CREATING") },
    problems: [400, 413, 415, 422, 502],
  },
  {
    id: "getProcedure",
    method: "get",
    path: `/procedures${id}`,
    scopes: ["view"],
    summary: "A procedure",
    tag: "procedures",
    answers: { 200: json("Procedure", "The procedure") },
    problems: [404, 422],
  },
  {
    id: "updateProcedure",
    method: "put",
    path: `/procedures${id}`,
    scopes: ["run", "stop"],
    summary: "Starts or stops a procedure",
    tag: "procedures",
    body: "ProcedureUpdate",
    answers: {
      200: json("ProcedureOrStopped", "The procedure, or that it was stopped"),
    },
    problems: [400, 404, 409, 413, 415, 422],
  },
  {
    id: "getOutput",
    method: "get",
    path: `/procedures${id}/output`,
    scopes: ["view"],
    summary: "What the script of a procedure has written",
    tag: "procedures",
    query: [
      {
        name: "after",
        in: "query",
        description: "The lines after this one",
        schema: { type: "integer", minimum: 0, default: 0 },
      },
      {
        name: "limit",
        in: "query",
        description: "At most so many lines",
        schema: {
          type: "integer",
          minimum: 1,
          maximum: MOST_LINES,
          default: 1000,
        },
      },
    ],
    answers: { 200: json("Output", "The lines") },
    problems: [404, 422],
  },
  {
    id: "listActivities",
    method: "get",
    path: "/activities",
    scopes: ["view"],
    summary: "All activities that are known",
    tag: "activities",
    answers: { 200: json("Activities", "The activities, the oldest first") },
    problems: [],
  },
  {
    id: "runActivity",
    method: "post",
    path: "/activities",
    scopes: ["run"],
    summary: "Runs an activity of a scheduling block",
    tag: "activities",
    body: "ActivityCreate",
    answers: { 201: json("Activity", "The activity") },
    problems: [400, 413, 415, 422, 502],
  },
  {
    id: "getActivity",
    method: "get",
    path: `/activities${id}`,
    scopes: ["view"],
    summary: "An activity",
    tag: "activities",
    answers: { 200: json("Activity", "The activity") },
    problems: [404, 422],
  },
  {
    id: "stream",
    method: "get",
    path: "/stream",
    scopes: ["view"],
    summary: "What happens, as server-sent events",
    tag: "service",
    query: [
      {
        name: "topics",
        in: "query",
        description: "Topics, or prefixes such as procedure.*, with commas",
        schema: { type: "string", default: "*" },
      },
      {
        name: "last_event_id",
        in: "query",
        description: "The last event that is known; the header wins",
        schema: { type: "string" },
      },
      {
        name: "Last-Event-ID",
        in: "header",
        description: "The last event that is known",
        schema: { type: "string" },
      },
    ],
    answers: {
      200: {
        description: "Server-sent events; the data of each is an Event",
        schema: "EventStream",
        type: "text/event-stream",
      },
    },
    problems: [422],
  },
  {
    id: "getContext",
    method: "get",
    path: "/context",
    scopes: ["view"],
    summary: "What holds for scripts now",
    tag: "operator",
    answers: { 200: json("Context", "What holds") },
    problems: [],
  },
  {
    id: "updateContext",
    method: "put",
    path: "/context",
    scopes: ["run"],
    summary: "Changes what holds for the calls of scripts from now on",
    tag: "operator",
    body: "ContextChanges",
    answers: { 200: json("Context", "What holds from now on") },
    problems: [400, 413, 415, 422],
  },
  {
    id: "overrideQa",
    method: "post",
    path: "/operator/wait_for_qa_ready/override",
    scopes: ["run"],
    summary: "Tells the scripts that wait for quality assurance to go on",
    tag: "operator",
    answers: { 202: json("Empty", "It is told to those who listen") },
    problems: [],
  },
  {
    id: "openApi",
    method: "get",
    path: "/openapi.json",
    scopes: [],
    summary: "This document",
    tag: "service",
    answers: { 200: json("Document", "The document") },
    problems: [],
    isAtRoot: true,
  },
  {
    id: "health",
    method: "get",
    path: "/health",
    scopes: [],
    summary: "Whether the service is there",
    tag: "service",
    answers: { 200: json("Health", "It is") },
    problems: [],
    isAtRoot: true,
  },
];
