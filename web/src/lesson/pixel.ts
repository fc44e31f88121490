/**
 * A 1x1 convolution two ways: map by map, as a convolution does it, and pixel by pixel, as a fully connected layer.
 *
 * Legend: C maps that are read, n that are made, P pixels of a map. maps: (C, P), weights: (n, C), both as rows.
 */
import { normals } from "./random";

/** The four maps A of claim 19: pixel p of map m is 9 m + p, so that every sum can be checked by hand. */
export const A: readonly (readonly number[])[] = [0, 1, 2, 3].map((map) => range(9).map((pixel) => 9 * map + pixel));
/** The eight weights of claim 19. */
export const WEIGHTS: readonly (readonly number[])[] = [
  [1, 2, 0, -1],
  [0, -1, 3, 1],
];
/** Maps of the larger convolution, and their side. */
export const MAPS = 32;
export const SIDE = 6;
export const MOST = 128;

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** (n, P): each map is a sum of whole maps, each times one weight. */
export function convolved(
  maps: readonly (readonly number[])[],
  weights: readonly (readonly number[])[],
  relu: boolean,
): number[][] {
  return weights.map((row) => {
    const sum = new Array<number>(maps[0]?.length ?? 0).fill(0);
    row.forEach((weight, map) => maps[map]?.forEach((value, pixel) => (sum[pixel] += weight * value)));
    return relu ? sum.map((value) => Math.max(0, value)) : sum;
  });
}

/** n values: the neurons of a fully connected layer that reads the C values of one pixel. */
export function connected(
  values: readonly number[],
  weights: readonly (readonly number[])[],
  relu: boolean,
): number[] {
  const neurons: number[] = [];
  for (const row of weights) {
    let sum = 0;
    for (let input = 0; input < row.length; input++) sum += row[input] * values[input];
    neurons.push(relu && sum < 0 ? 0 : sum);
  }
  return neurons;
}

/** How many values of the maps that a convolution made are not those of the fully connected layer at their pixel. */
export function differing(
  maps: readonly (readonly number[])[],
  weights: readonly (readonly number[])[],
  made: readonly (readonly number[])[],
  relu: boolean,
): number {
  let wrong = 0;
  for (const pixel of range(maps[0]?.length ?? 0)) {
    const pixelValues = maps.map((map) => map[pixel]);
    connected(pixelValues, weights, relu).forEach((value, neuron) => (wrong += Number(value !== made[neuron][pixel])));
  }
  return wrong;
}

/** The 32 maps of the second part, and weights for as many as 128 from them: drawn once, the same for everyone. */
export const MANY: readonly (readonly number[])[] = rows(MAPS, SIDE * SIDE, 1);
export const MANY_WEIGHTS: readonly (readonly number[])[] = rows(MOST, MAPS, 2);

function rows(count: number, length: number, seed: number): number[][] {
  const next = normals(seed);
  return range(count).map(() => range(length).map(() => next()));
}

/** Weights and biases of a 1x1 convolution from 32 maps to n. */
export function parameters(n: number): { weights: number; biases: number } {
  return { weights: MAPS * n, biases: n };
}

const NEGLIGIBLE = 1e-9; // of the largest value: below it a pivot is rounding

/** How many of these maps are independent of each other: the rank of (n, P), by elimination with full pivots. */
export function independent(maps: readonly (readonly number[])[]): number {
  const left = maps.map((map) => [...map]);
  const largest = Math.max(...left.flat().map(Math.abs));
  let rank = 0;
  for (; rank < left.length; rank++) {
    let best = { row: -1, column: -1, size: NEGLIGIBLE * largest };
    for (let row = rank; row < left.length; row++) {
      left[row].forEach((value, column) => {
        if (Math.abs(value) > best.size) best = { row, column, size: Math.abs(value) };
      });
    }
    if (best.row < 0) break;
    [left[rank], left[best.row]] = [left[best.row], left[rank]];
    const pivot = left[rank];
    for (let row = rank + 1; row < left.length; row++) {
      const share = left[row][best.column] / pivot[best.column];
      for (let column = 0; column < pivot.length; column++) left[row][column] -= share * pivot[column];
    }
  }
  return rank;
}
