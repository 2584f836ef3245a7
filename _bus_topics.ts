// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkType } from "./_arguments.ts";

const TOPIC = /^[^.\s*]+(?:\.[^.\s*]+)*$/;

const TOPIC_RULE =
  "words separated by dots, without spaces and '*', such as \"dome.moved\"";
const PATTERN_RULE = `a topic, a prefix such as "dome.*", or "*"`;

/** Whether events may have this topic. */
export function isTopic(value: unknown): value is string {
  return typeof value === "string" && TOPIC.test(value);
}

/** Checks the topic of an event. */
export function checkTopic(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(isTopic(value), action, name, TOPIC_RULE, value);
}

/** The prefix of a pattern that ends in a star. */
function prefixOf(pattern: string): string | undefined {
  return pattern.endsWith(".*") ? pattern.slice(0, -2) : undefined;
}

/** Checks one or several patterns; gives each of them once. */
export function checkPatterns(
  action: string,
  name: string,
  value: unknown,
): readonly string[] {
  const patterns: readonly unknown[] = Array.isArray(value) ? value : [value];
  for (const pattern of patterns) {
    const holds = typeof pattern === "string" &&
      (pattern === "*" || isTopic(prefixOf(pattern) ?? pattern));
    checkType(holds, action, name, PATTERN_RULE, pattern);
  }
  return [...new Set(patterns as readonly string[])];
}

/** Something that stands in a {@linkcode PatternIndex}. */
export interface Indexed {
  /** What it wants. */
  readonly patterns: readonly string[];
  /** Its place in the order of those who came. */
  order: number;
}

function addTo<T>(sets: Map<string, Set<T>>, key: string, item: T): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([item]));
  else set.add(item);
}

function deleteFrom<T>(sets: Map<string, Set<T>>, key: string, item: T): void {
  const set = sets.get(key);
  if (set?.delete(item) && set.size === 0) sets.delete(key);
}

/** What an index consists of. */
class Sets<T> {
  readonly topics: Map<string, Set<T>> = new Map();
  readonly prefixes: Map<string, Set<T>> = new Map();
  readonly everything: Set<T> = new Set();
  readonly items: Set<T> = new Set();
}

/**
 * Finds those who want a topic, in the order in which they came, without a look
 * at the others: it takes one look for each segment of the topic.
 */
export class PatternIndex<T extends Indexed> {
  // Made when first needed: most buses have no use for most of theirs.
  #sets: Sets<T> | undefined = undefined;
  #count = 0;

  get size(): number {
    return this.#sets?.items.size ?? 0;
  }

  /** All of them, in the order in which they came. */
  get items(): Iterable<T> {
    return this.#sets?.items ?? [];
  }

  add(item: T): void {
    const sets = this.#sets ??= new Sets();
    item.order = this.#count++;
    sets.items.add(item);
    for (const pattern of item.patterns) {
      const prefix = prefixOf(pattern);
      if (pattern === "*") sets.everything.add(item);
      else if (prefix === undefined) addTo(sets.topics, pattern, item);
      else addTo(sets.prefixes, prefix, item);
    }
  }

  has(item: T): boolean {
    return this.#sets?.items.has(item) ?? false;
  }

  delete(item: T): void {
    const sets = this.#sets;
    if (sets === undefined || !sets.items.delete(item)) return;
    for (const pattern of item.patterns) {
      const prefix = prefixOf(pattern);
      if (pattern === "*") sets.everything.delete(item);
      else if (prefix === undefined) deleteFrom(sets.topics, pattern, item);
      else deleteFrom(sets.prefixes, prefix, item);
    }
  }

  clear(): void {
    this.#sets = undefined;
  }

  /** Whether somebody has asked for this very topic. */
  knows(topic: string): boolean {
    return this.#sets?.topics.has(topic) ?? false;
  }

  /** Those who want a topic, each once; `undefined` stands for nobody. */
  match(topic: string): Iterable<T> | undefined {
    const sets = this.#sets;
    if (sets === undefined || sets.items.size === 0) return undefined;
    let first = sets.topics.get(topic);
    let others: Set<T>[] | undefined;
    const take = (set: Set<T> | undefined): void => {
      if (set === undefined || set.size === 0) return;
      if (first === undefined) first = set;
      else (others ??= []).push(set);
    };
    if (sets.prefixes.size > 0) {
      for (
        let dot = topic.indexOf(".");
        dot !== -1;
        dot = topic.indexOf(".", dot + 1)
      ) take(sets.prefixes.get(topic.slice(0, dot)));
    }
    take(sets.everything);
    if (first === undefined || others === undefined) return first;
    const all = new Set(first);
    for (const set of others) for (const item of set) all.add(item);
    return [...all].sort((one, other) => one.order - other.order);
  }
}
