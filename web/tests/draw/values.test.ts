import { describe, expect, test } from "vitest";
import { bySize, largest, top } from "../../src/net/largest";
import { enlarged, veilPixels } from "../../src/draw/overlay";
import { diverging } from "../../src/draw/ramps";

/** Numbers that look random and are the same in every run. */
function numbers(n: number): Float32Array {
  return Float32Array.from({ length: n }, (_, at) => Math.sin(at * 12.9898) * 43758.5453 % 1);
}

describe.each([1, 3, 5, 6, 500])("of %d values", (n) => {
  const values = numbers(n);
  const sorted = [...values.keys()].sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));

  test("the largest by size are those that sorting puts first", () => {
    expect(largest(values, 5)).toEqual(sorted.slice(0, 5));
    expect([...bySize(values)]).toEqual(sorted);
  });

  test("the top one is the largest with its sign", () => {
    expect(values[top(values)]).toBe(Math.max(...values));
  });
});

test("of equal values the first come first", () => {
  expect(largest([0, 2, -2, 1, 2], 3)).toEqual([1, 2, 4]);
  expect(largest([0, 0, 0], 2)).toEqual([0, 1]);
  expect(largest([], 2)).toEqual([]);
});

/** Bilinear weights written as a sum over all places: slow, and without a clamp to go wrong. */
function slow(values: Float32Array, h: number, w: number, height: number, width: number): number[] {
  const triangle = (distance: number) => Math.max(0, 1 - Math.abs(distance));
  const inside = (place: number, side: number) => Math.min(side - 1, Math.max(0, place));
  const out: number[] = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const y = inside(((row + 0.5) * h) / height - 0.5, h);
      const x = inside(((column + 0.5) * w) / width - 0.5, w);
      let sum = 0;
      for (let place = 0; place < h * w; place++) {
        sum += values[place] * triangle(y - Math.floor(place / w)) * triangle(x - (place % w));
      }
      out.push(sum);
    }
  }
  return out;
}

test.each([
  [1, 1, 4, 5],
  [3, 2, 7, 9],
  [8, 8, 20, 20],
])("a map of %d x %d at %d x %d", (h, w, height, width) => {
  const values = numbers(h * w);
  const expected = slow(values, h, w, height, width);
  enlarged(values, h, w, height, width).forEach((value, at) => expect(value).toBeCloseTo(expected[at], 5));
});

test.each(["light", "dark"] as const)("the veil in %s", (theme) => {
  const pixels = veilPixels(Float32Array.of(0, 1, -1, 0.5, 9), 1, theme);
  const colour = (at: number) => [...pixels.subarray(4 * at, 4 * at + 3)];
  const ramp = diverging(theme);
  expect([3, 7, 11, 15, 19].map((at) => pixels[at])).toEqual([0, 217, 217, 108, 217]); // 0.85 of 255 at full strength
  expect(colour(1)).toEqual([...ramp.subarray(4 * 510, 4 * 510 + 3)]);
  expect(colour(2)).toEqual([...ramp.subarray(0, 3)]);
  expect(colour(4)).toEqual(colour(1));
  expect(colour(1)[0]).toBeGreaterThan(colour(1)[2]); // for is red
  expect(colour(2)[2]).toBeGreaterThan(colour(2)[0]); // against is blue
});
