/**
 * What the maps of a layer have in common for one picture: their principal components over its places.
 *
 * Legend: C maps, P places. "Variance" is over the places, each map's mean subtracted, as in claims 15 and 17.
 */

import type { Components } from "./types";

const SWEEPS = 30; // far more than Jacobi's method needs
const SETTLED = 1e-22; // of the squared sum: what is left beside the diagonal is rounding
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

/** Eigenvalues of a symmetric matrix, largest first, and eigenvectors as rows. Source: Jacobi 1846, cyclic sweeps. */
export function eigen(symmetric: readonly Float64Array[]): { values: Float64Array; vectors: Float64Array[] } {
  const n = symmetric.length;
  const a = symmetric.map((row) => row.slice());
  const vectors = a.map((_, row) => Float64Array.from({ length: n }, (_, column) => Number(row === column)));
  const whole = a.reduce((sum, row) => row.reduce((total, value) => total + value * value, sum), 0);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let beside = 0;
    for (let row = 1; row < n; row++) for (let column = 0; column < row; column++) beside += a[row][column] ** 2;
    if (beside <= SETTLED * whole) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, vectors, p, q);
  }
  const order = a.map((_, index) => index).sort((one, other) => a[other][other] - a[one][one]);
  const values = Float64Array.from(order, (index) => a[index][index]);
  return { values, vectors: order.map((index) => vectors[index]) };
}

/** Turns two axes so that the entry at (p, q) becomes zero. */
function rotate(a: readonly Float64Array[], vectors: readonly Float64Array[], p: number, q: number): void {
  const entry = a[p][q];
  if (entry === 0) return;
  const slope = (a[q][q] - a[p][p]) / (2 * entry);
  const tangent = (slope < 0 ? -1 : 1) / (Math.abs(slope) + Math.sqrt(slope * slope + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  for (let k = 0; k < a.length; k++) {
    const left = a[k][p];
    const right = a[k][q];
    a[k][p] = cosine * left - sine * right;
    a[k][q] = sine * left + cosine * right;
  }
  turn(a[p], a[q], cosine, sine);
  turn(vectors[p], vectors[q], cosine, sine);
}

function turn(one: Float64Array, other: Float64Array, cosine: number, sine: number): void {
  for (let k = 0; k < one.length; k++) {
    const left = one[k];
    const right = other[k];
    one[k] = cosine * left - sine * right;
    other[k] = sine * left + cosine * right;
  }
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
