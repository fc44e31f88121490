/** Principal components against what they must be: known values, identities, and the maps of a shipped model. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { componentsOf } from "../../src/net/components";
import { eigen } from "../../src/net/eigen";
import { LocalEngine } from "../../src/net/engine";
import type { Picture } from "../../src/net/types";

function close(found: ArrayLike<number>, expected: readonly number[], places = 10): void {
  expect(found.length).toBe(expected.length);
  expected.forEach((value, at) => expect(found[at]).toBeCloseTo(value, places));
}

test("eigenvalues that are known: a 2 by 2 by hand, and the second difference of n numbers", () => {
  close(eigen([Float64Array.of(2, 1), Float64Array.of(1, 2)]).values, [3, 1]);
  const n = 12;
  const rows = Array.from({ length: n }, (_, r) =>
    Float64Array.from({ length: n }, (_, c) => (r === c ? 2 : Math.abs(r - c) === 1 ? -1 : 0)),
  );
  const known = Array.from({ length: n }, (_, k) => 2 + 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)));
  close(eigen(rows).values, known);
});

test("eigenvectors are orthonormal, and the matrix times one is its value times it", () => {
  const n = 9;
  const half = Array.from({ length: n }, (_, r) => Float64Array.from({ length: n }, (_, c) => Math.sin(r * 7 + c * c)));
  const rows = half.map((_, r) => Float64Array.from({ length: n }, (_, c) => half[r][c] + half[c][r]));
  const { values, vectors } = eigen(rows);
  vectors.forEach((vector, index) => {
    vectors.forEach((other, at) => {
      const product = vector.reduce((sum, value, k) => sum + value * other[k], 0);
      expect(product).toBeCloseTo(Number(at === index), 10);
    });
    const times = rows.map((row) => row.reduce((sum, value, k) => sum + value * vector[k], 0));
    close(times, [...vector.map((value) => value * values[index])]);
  });
});

test("maps made from two others have two components, and equal maps count as one", () => {
  const first = Float32Array.from({ length: 20 }, (_, p) => Math.sin(p));
  const second = Float32Array.from({ length: 20 }, (_, p) => Math.cos(3 * p));
  const mixed = first.map((value, p) => 2 * value - second[p] + 5);
  const { shares, effective } = componentsOf([first, second, mixed], [4, 5]);
  expect(shares[0] + shares[1]).toBeCloseTo(1, 8);
  expect(shares[2]).toBeLessThan(1e-8);
  expect(effective).toBeLessThan(3);
  expect(componentsOf([first, first, first], [4, 5]).effective).toBeCloseTo(1, 6);
  expect(componentsOf([first, first.map(() => 3)], [4, 5]).effective).toBeCloseTo(1, 6); // a dead map is none
});

test("of a shipped model: the variance of the maps is that of their components, each component its own share", () => {
  const folder = join(import.meta.dirname, "..", "..", "..", "src", "nin", "weights", "nin-mnist");
  const engine = new LocalEngine();
  engine.open(new Map(readdirSync(folder).map((file) => [file, new Uint8Array(readFileSync(join(folder, file)))])));
  const picture: Picture = {
    width: 28,
    height: 28,
    data: new Uint8ClampedArray(4 * 784).map((_, n) => (n % 4 === 3 ? 255 : (n * n) % 251)),
  };
  engine.run({ picture });
  const { shares, maps, size } = engine.components(0);
  const places = size[0] * size[1];
  const variance = (values: Float32Array) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / places;
    return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / places;
  };
  const own = Array.from(shares, (_, unit) => variance(engine.map(0, unit).values));
  const whole = own.reduce((sum, value) => sum + value, 0);
  shares.forEach((share, k) => {
    expect(variance(maps.slice(k * places, (k + 1) * places)) / whole).toBeCloseTo(share, 5);
    if (k) expect(share).toBeLessThanOrEqual(shares[k - 1]);
  });
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 10);
});
