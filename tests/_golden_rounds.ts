// Copyright 2026 the Longrun authors. MIT license.

const PERIOD = 100;
const ROUNDS = 7;

/**
 * When seven rounds with a period of 100 ms begin, and by how much those that
 * were due already are late: by the policy.
 */
export type Golden = Record<string, [starts: number[], late: number[]]>;

const steps = (first: number, step: number): number[] =>
  Array.from({ length: ROUNDS }, (_, index) => first + index * step);

const onTime = steps(0, PERIOD);

/**
 * What becomes of rounds that take a time: measured on the original under a
 * virtual clock, but for Align and Burst. The original logs the lateness after
 * the last round, too, with which we stop.
 */
export const GOLDEN: [
  name: string,
  work: (round: number) => number,
  golden: Golden,
][] = [
  ["takes no time", () => 0, {
    immediate: [onTime, []],
    skip: [onTime, []],
    terminate: [onTime, []],
    align: [onTime, []],
    burst: [onTime, []],
  }],
  ["takes a little less than the period", () => 99, {
    immediate: [onTime, []],
    skip: [onTime, []],
    terminate: [onTime, []],
    align: [onTime, []],
    burst: [onTime, []],
  }],
  ["takes exactly the period", () => 100, {
    immediate: [onTime, [0, 0, 0, 0, 0, 0]],
    skip: [onTime, [0, 0, 0, 0, 0, 0]],
    terminate: [[0], []],
    align: [onTime, [0, 0, 0, 0, 0, 0]],
    burst: [onTime, [0, 0, 0, 0, 0, 0]],
  }],
  ["takes a little more than the period", () => 101, {
    immediate: [steps(0, 101), [1, 1, 1, 1, 1, 1]],
    skip: [steps(0, 101), [1, 2, 3, 4, 5, 6]],
    terminate: [[0], []],
    align: [steps(0, 200), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 101), [1, 2, 3, 4, 5, 6]],
  }],
  ["takes 150 once", (round) => round === 2 ? 150 : 0, {
    immediate: [[0, 100, 200, 350, 450, 550, 650], [50]],
    skip: [[0, 100, 200, 350, 400, 500, 600], [50]],
    terminate: [[0, 100, 200], []],
    align: [[0, 100, 200, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 200, 350, 400, 500, 600], [50]],
  }],
  ["takes 200 once", (round) => round === 2 ? 200 : 0, {
    immediate: [[0, 100, 200, 400, 500, 600, 700], [100]],
    skip: [[0, 100, 200, 400, 500, 600, 700], [100]],
    terminate: [[0, 100, 200], []],
    align: [[0, 100, 200, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 200, 400, 400, 500, 600], [100, 0]],
  }],
  ["takes 250 once", (round) => round === 2 ? 250 : 0, {
    immediate: [[0, 100, 200, 450, 550, 650, 750], [150]],
    skip: [[0, 100, 200, 450, 500, 600, 700], [150]],
    terminate: [[0, 100, 200], []],
    align: [[0, 100, 200, 500, 600, 700, 800], [0]],
    burst: [[0, 100, 200, 450, 450, 500, 600], [150, 50]],
  }],
  ["takes 950 once", (round) => round === 1 ? 950 : 0, {
    immediate: [[0, 100, 1050, 1150, 1250, 1350, 1450], [850]],
    skip: [[0, 100, 1050, 1100, 1200, 1300, 1400], [850]],
    terminate: [[0, 100], []],
    align: [[0, 100, 1100, 1200, 1300, 1400, 1500], [0]],
    burst: [[0, 100, 1050, 1050, 1050, 1050, 1050], [
      850,
      750,
      650,
      550,
      450,
    ]],
  }],
  ["takes 110 always", () => 110, {
    immediate: [steps(0, 110), [10, 10, 10, 10, 10, 10]],
    skip: [steps(0, 110), [10, 20, 30, 40, 50, 60]],
    terminate: [[0], []],
    align: [steps(0, 200), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 110), [10, 20, 30, 40, 50, 60]],
  }],
  ["takes 150 always", () => 150, {
    immediate: [steps(0, 150), [50, 50, 50, 50, 50, 50]],
    skip: [steps(0, 150), [50, 100, 50, 100, 50, 100]],
    terminate: [[0], []],
    align: [steps(0, 200), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 150), [50, 100, 150, 200, 250, 300]],
  }],
  ["takes 250 always", () => 250, {
    immediate: [steps(0, 250), [150, 150, 150, 150, 150, 150]],
    skip: [steps(0, 250), [150, 200, 150, 200, 150, 200]],
    terminate: [[0], []],
    align: [steps(0, 300), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 250), [150, 300, 450, 600, 750, 900]],
  }],
  ["varies", (round) => [30, 150, 80, 80, 80][round] ?? 0, {
    immediate: [[0, 100, 250, 350, 450, 550, 650], [50]],
    skip: [[0, 100, 250, 330, 410, 500, 600], [50, 30, 10]],
    terminate: [[0, 100], []],
    align: [[0, 100, 300, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 250, 330, 410, 500, 600], [50, 30, 10]],
  }],
];
