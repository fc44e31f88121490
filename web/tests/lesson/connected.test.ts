/** Chapter 5: flattened and slid are the same sums. Compared with matrices written out, and with sums by hand. */

import { describe, expect, test } from "vitest";

import {
  BOUND,
  byWindow,
  CHANNELS,
  connected,
  convolved,
  differing,
  firstWeights,
  KERNEL,
  LARGEST,
  mapsOf,
  next,
  placesOf,
  WEIGHTS,
  windowAt,
} from "../../src/lesson/connected";

const SIDES = Array.from({ length: LARGEST - KERNEL + 1 }, (_, more) => KERNEL + more);

/** The convolution as one large matrix times the flattened maps: each row holds the kernel at one place. */
function byMatrix(side: number, kernel: readonly number[]): number[] {
  const { values } = mapsOf(side);
  const places = side - 3;
  const matrix = Array.from({ length: places * places }, () => new Array<number>(values.length).fill(0));
  matrix.forEach((row, at) => {
    for (let value = 0; value < row.length; value++) {
      const channel = Math.floor(value / (side * side));
      const down = Math.floor((value % (side * side)) / side) - Math.floor(at / places);
      const across = (value % side) - (at % places);
      if (down >= 0 && down < 4 && across >= 0 && across < 4) row[value] = kernel[16 * channel + 4 * down + across];
    }
  });
  return matrix.map((row) => row.reduce((sum, weight, at) => sum + weight * values[at], 0));
}

/** Some weights, other ones each time. */
function some(seed: number): number[] {
  return Array.from({ length: WEIGHTS }, (_, at) => ((at * 7 + seed * 13) % 7) - 3);
}

describe("on maps of its own side", () => {
  test("the neuron and the convolution give one and the same sum, which is right", () => {
    const small = { side: 4, values: Array.from({ length: 32 }, (_, at) => at) };
    const sum = (31 * 32) / 2;
    const ones = new Array<number>(32).fill(1);
    expect(connected(small.values, ones)).toBe(sum);
    expect(convolved(small, ones)).toEqual([sum]);
    const alone = ones.map((_, at) => (at === 22 ? -2 : 0));
    expect(connected(small.values, alone)).toBe(-44);
    expect(convolved(small, alone)).toEqual([-44]);
  });

  test("for every weight that can be changed", () => {
    const maps = mapsOf(KERNEL);
    for (let at = 0; at < WEIGHTS; at++) {
      const weights = firstWeights();
      weights[at] = next(weights[at], 1);
      expect(convolved(maps, weights)).toEqual([connected(maps.values, weights)]);
    }
  });
});

describe.each(SIDES)("on maps of side %i", (side) => {
  test("the convolution is a matrix that holds the kernel at every place", () => {
    for (let seed = 0; seed < 5; seed++) expect(convolved(mapsOf(side), some(seed))).toEqual(byMatrix(side, some(seed)));
  });

  test("and window by window the neuron says the same", () => {
    const weights = some(side);
    const answers = convolved(mapsOf(side), weights);
    expect(answers).toHaveLength(placesOf(side) ** 2);
    expect(differing(answers, byWindow(mapsOf(side), weights))).toBe(0);
    expect(differing(answers, answers.map((answer, at) => answer + (at === 0 ? 1 : 0)))).toBe(1);
  });

  test("the flattened layer takes its own number of values only", () => {
    const { values } = mapsOf(side);
    const given = CHANNELS * side * side;
    const found = connected(values, firstWeights());
    expect(found).toEqual(side === KERNEL ? expect.any(Number) : { expected: 32, given });
  });

  test("a smaller map is the upper left of a larger one", () => {
    expect(windowAt(mapsOf(side), 0, 0)).toEqual(mapsOf(KERNEL).values);
  });
});

test("weights go round within their bounds, in both directions", () => {
  expect(firstWeights()).toHaveLength(WEIGHTS);
  expect(next(BOUND, 1)).toBe(-BOUND);
  expect(next(-BOUND, -1)).toBe(BOUND);
  let weight = 0;
  for (let press = 0; press < 2 * BOUND + 1; press++) weight = next(weight, 1);
  expect(weight).toBe(0);
});
