/** Chapter 1 by other routes: slopes by differences, the answer as a convolution, what no filter can do. */
import { describe, expect, it } from "vitest";
import { Answerer, EDGES, HIDDEN, patches, patchOf, SIDE, STEPS } from "../../src/lesson/linear";

const PIXELS = SIDE * SIDE;

function learnt(hidden: number, seed: number): Answerer {
  const answerer = new Answerer(hidden, seed);
  const train = patches(100 + seed);
  for (let step = 0; step < STEPS; step++) answerer.step(train);
  return answerer;
}

/** The same network as matrices: filters (H, P), then a 1x1 layer of H weights. */
function byMatrices(answerer: Answerer, patch: Float64Array): number {
  const rows = Math.max(1, answerer.hidden);
  const filters = Array.from({ length: rows }, (_, unit) =>
    answerer.weights.slice(unit * (PIXELS + 1), (unit + 1) * (PIXELS + 1)),
  );
  const sums = filters.map((filter) => [...patch, 1].reduce((sum, value, at) => sum + value * filter[at], 0));
  if (!answerer.hidden) return sums[0];
  const pointwise = answerer.weights.slice(rows * (PIXELS + 1));
  return [...sums.map((sum) => Math.max(0, sum)), 1].reduce((sum, value, unit) => sum + value * pointwise[unit], 0);
}

describe("a filter and an mlpconv layer", () => {
  it("answer as the matrices do", () => {
    for (const hidden of [0, HIDDEN]) {
      const answerer = new Answerer(hidden, 3);
      for (const patch of [patchOf(1, 0), patchOf(0.3, -0.7), patchOf(1, 1)]) {
        expect(answerer.answer(patch)).toBeCloseTo(byMatrices(answerer, patch), 12);
      }
    }
  });

  it("have the slopes that differences of the loss have", () => {
    const some = patches(5, 4);
    for (const hidden of [0, 3]) {
      const answerer = new Answerer(hidden, 1);
      answerer.loss(some);
      const slopes = [...answerer.slopes];
      slopes.forEach((slope, index) => {
        const kept = answerer.weights[index];
        answerer.weights[index] = kept + 1e-5;
        const above = answerer.loss(some);
        answerer.weights[index] = kept - 1e-5;
        const below = answerer.loss(some);
        answerer.weights[index] = kept;
        expect(slope).toBeCloseTo((above - below) / 2e-5, 6);
      });
    }
  });

  it("see each edge once, in five by five pixels", () => {
    expect([...EDGES[0].slice(0, 5)]).toEqual([-1, -1, 0, 1, 1]);
    expect([0, 5, 10, 15, 20].map((at) => EDGES[1][at])).toEqual([-1, -1, 0, 1, 1]);
  });

  it("learn what claim 1 says: at most three of four kinds, and all", () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const test = patches(900 + seed);
      expect(learnt(0, seed).right(test)).toBeLessThanOrEqual(0.76); // noise may flip one patch in a hundred
      expect(learnt(HIDDEN, seed).right(test)).toBeGreaterThan(0.985);
    }
  });

  it("add up only where they are linear", () => {
    expect(Math.abs(learnt(0, 1).superposition(...EDGES))).toBeLessThan(1e-12);
    expect(Math.abs(learnt(HIDDEN, 1).superposition(...EDGES))).toBeGreaterThan(1);
  });

  it("colour the plane with the answers of its patches", () => {
    const answerer = learnt(HIDDEN, 2);
    const plane = answerer.plane(4); // -0.25, 0.25, 0.75, 1.25
    expect(plane[0]).toBeCloseTo(answerer.answer(patchOf(-0.25, 1.25)), 12);
    expect(plane[4 * 3 + 2]).toBeCloseTo(answerer.answer(patchOf(0.75, -0.25)), 12);
  });
});
