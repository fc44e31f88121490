/** Chapter 4 by other routes: claim 5's counts, multiply-adds by walking over every place, sides by the engine. */
import { describe, expect, it } from "vitest";
import { Kernel } from "../../src/net/kernel";
import { trial } from "../../src/net/trial";
import { costOf, kept, MOST, OWN, spatialWeights, waysOf, type Way } from "../../src/lesson/reduction";

/** Counted the slow way: one for each weight of each unit at each place, sides as the engine has them. */
function walked({ shapes, side }: Way): number {
  const { sides } = trial(new Kernel(), shapes, [side, side]);
  let count = 0;
  shapes.forEach(({ inputs, channels, kernel }, index) => {
    const [height, width] = sides[index];
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) count += inputs * kernel * kernel * channels;
    }
  });
  return count;
}

describe("fewer maps", () => {
  it("cost what claim 5 counts", () => {
    const author = waysOf("author", OWN.author);
    expect(spatialWeights(author.reduced)).toBe(460_992);
    expect(spatialWeights(author.direct)).toBe(921_792);
    const inception = waysOf("inception", OWN.inception);
    expect(costOf(inception.direct).macs).toBe(120_422_400);
    expect(costOf(inception.reduced).macs).toBe(12_443_648);
  });

  it("cost as many multiply-adds as there are, place by place", () => {
    for (const where of ["author", "inception"] as const) {
      for (const c3 of [1, OWN[where], MOST]) {
        const { direct, reduced } = waysOf(where, c3);
        expect(costOf(reduced).macs).toBe(walked(reduced));
        expect(costOf(direct).macs).toBe(walked(direct));
      }
    }
  });

  it("have as many weights as the arrays that hold them", () => {
    const { reduced } = waysOf("author", 5);
    expect(costOf(reduced).weights).toBe(192 * 160 + 160 + (160 * 5 + 5) + (5 * 192 * 25 + 192));
  });

  it("keep the sum of their shares", () => {
    expect(kept([0.5, 0.3, 0.2], 2)).toBeCloseTo(0.8, 12);
    expect(kept([0.5, 0.3, 0.2000001], 3)).toBe(1);
  });
});
