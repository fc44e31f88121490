/**
 * What the maps of a layer have in common for one picture: their principal components over its places.
 *
 * Legend: C maps, P places. "Variance" is over the places, each map's mean subtracted, as in claims 15 and 17.
 */

import { eigen } from "./eigen";
import type { Components } from "./types";

const DEAD = 1e-12; // standard deviation below which a map says nothing anywhere, as in claim 15

/** Values (C, P) with each map's mean subtracted. */
function centred(maps: readonly ArrayLike<number>[]): Float64Array[] {
  return maps.map((map) => {
    const values = Float64Array.from(map);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  });
}

/** Sums of products of every two maps, divided by the places: (C, C). */
function covariance(maps: readonly Float64Array[]): Float64Array[] {
  const found = maps.map(() => new Float64Array(maps.length));
  maps.forEach((one, row) => {
    for (let column = 0; column <= row; column++) {
      const other = maps[column];
      let sum = 0;
      for (let place = 0; place < one.length; place++) sum += one[place] * other[place];
      found[row][column] = found[column][row] = sum / one.length;
    }
  });
  return found;
}

/** The effective number of independent maps: the participation ratio of their correlations, as in claim 15. */
function effective(matrix: readonly Float64Array[]): number {
  const alive = matrix.map((_, index) => index).filter((index) => Math.sqrt(matrix[index][index]) > DEAD);
  let squares = 0;
  for (const row of alive) {
    for (const column of alive) squares += matrix[row][column] ** 2 / (matrix[row][row] * matrix[column][column]);
  }
  return alive.length ? alive.length ** 2 / squares : 0;
}

/** The components of maps (C, P) with sides (h, w), largest share of the variance first. */
export function componentsOf(maps: readonly Float32Array[], size: readonly [number, number]): Components {
  const values = centred(maps);
  const matrix = covariance(values);
  const { values: variances, vectors } = eigen(matrix);
  const whole = variances.reduce((sum, variance) => sum + Math.max(0, variance), 0);
  const places = size[0] * size[1];
  const made = new Float32Array(maps.length * places);
  vectors.forEach((vector, component) => {
    for (let map = 0; map < values.length; map++) {
      const weight = vector[map];
      for (let place = 0; place < places; place++) made[component * places + place] += weight * values[map][place];
    }
  });
  const shares = variances.map((variance) => (whole > 0 ? Math.max(0, variance) / whole : 0));
  return { size, shares: Float64Array.from(shares), maps: made, effective: effective(matrix) };
}
