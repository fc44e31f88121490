/** Chapter 3 by other routes: sums by hand, ranks known beforehand, shapes. */
import { describe, expect, it } from "vitest";
import {
  A,
  connected,
  convolved,
  differing,
  independent,
  MANY,
  MANY_WEIGHTS,
  MAPS,
  MOST,
  parameters,
  range,
  SIDE,
  WEIGHTS,
} from "../../src/lesson/pixel";

describe("four maps, two neurons", () => {
  it("give at every pixel what claim 19 has by hand: 2 p - 9 and 3 p + 72", () => {
    const made = convolved(A, WEIGHTS, false);
    expect(made[0]).toEqual(range(9).map((pixel) => 2 * pixel - 9));
    expect(made[1]).toEqual(range(9).map((pixel) => 3 * pixel + 72));
    expect([made[0][4], made[1][4]]).toEqual([-1, 84]);
  });

  it("are the same both ways, and a difference is counted", () => {
    for (const relu of [false, true]) {
      const made = convolved(A, WEIGHTS, relu);
      expect(differing(A, WEIGHTS, made, relu)).toBe(0);
      made[1][3] += 1;
      expect(differing(A, WEIGHTS, made, relu)).toBe(1);
    }
    expect(connected([4, 13, 22, 31], WEIGHTS, true)).toEqual([0, 84]);
  });
});

describe("32 maps, n maps", () => {
  it("have n (32 + 1) parameters and keep their side", () => {
    for (const n of [1, 8, 32, 128]) {
      const { weights, biases } = parameters(n);
      expect(weights + biases).toBe(n * 33);
      const made = convolved(MANY, MANY_WEIGHTS.slice(0, n), false);
      expect(made.map((map) => map.length)).toEqual(range(n).map(() => SIDE * SIDE));
    }
  });

  it("are as independent as claim 23 says: 8 of 8, 32 of 128", () => {
    const rank = (n: number) => independent(convolved(MANY, MANY_WEIGHTS.slice(0, n), false));
    expect([1, 8, 31, 32, 33, MOST].map(rank)).toEqual([1, 8, 31, MAPS, MAPS, MAPS]);
  });

  it("the rank of maps known beforehand is found", () => {
    const base = [
      [1, 0, 2, 0],
      [0, 3, 0, 1],
    ];
    const sums = [...base, [1, 3, 2, 1], [2, -3, 4, -1], [0, 0, 0, 0]];
    expect(independent(sums)).toBe(2);
    expect(independent([[0, 0]])).toBe(0);
  });
});
