// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { Group } from "./_job_groups.ts";

/** Groups that may have a call to start, in the order of their indices. */
export class Line {
  readonly #groups: Group[] = [];

  get isEmpty(): boolean {
    return this.#groups.length === 0;
  }

  get first(): Group | undefined {
    return this.#groups[0];
  }

  add(group: Group): void {
    if (group.isListed) return;
    group.isListed = true;
    group.tree.listed++;
    const groups = this.#groups;
    let place = groups.length;
    for (; place > 0; place--) {
      const before = groups[place - 1];
      if (before !== undefined && before.index < group.index) break;
    }
    if (place === groups.length) groups.push(group);
    else groups.splice(place, 0, group);
  }

  /** Removes the first, which has nothing to start at the moment. */
  shift(): void {
    const group = this.#groups.shift();
    if (group === undefined) return;
    group.isListed = false;
    group.tree.listed--;
  }
}
