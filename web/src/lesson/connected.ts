/**
 * Chapter 5: one neuron of a fully connected layer on flattened maps, and the convolution that it is.
 *
 * Maps are (C, S, S) whole numbers: channel after channel, row after row, which is also the order of flattening.
 */

/** Maps, and side of those for which the neuron was made: its kernel covers them. */
export const CHANNELS = 2;
export const KERNEL = 4;
export const WEIGHTS = CHANNELS * KERNEL * KERNEL;
/** The largest maps that the reader can pull. */
export const LARGEST = 8;
/** A weight is a whole number from -BOUND to BOUND. */
export const BOUND = 3;

export interface Maps {
  side: number;
  values: readonly number[];
}

/** What stands in the maps at a place: small numbers that can be added up by hand. Ours. */
function valueAt(channel: number, row: number, column: number): number {
  return channel === 0 ? (row * 2 + column * 3) % 5 : (row * column + 2 * row + 1) % 4;
}

/** The maps of a side: larger ones go on to the right and below. */
export function mapsOf(side: number): Maps {
  const values: number[] = [];
  for (let channel = 0; channel < CHANNELS; channel++) {
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) values.push(valueAt(channel, row, column));
    }
  }
  return { side, values };
}

/** The weights to begin with: a light edge in the first map, a bright middle in the second. Ours. */
export function firstWeights(): number[] {
  const edge = [1, 1, -1, -1];
  const rim = [0, -1, -1, 0];
  const middle = [-1, 2, 2, -1];
  return [...edge, ...edge, ...edge, ...edge, ...rim, ...middle, ...middle, ...rim];
}

/** How many values the layer expects and how many it is given. */
export interface Misfit {
  expected: number;
  given: number;
}

/** The neuron of the fully connected layer: every value times its own weight. It takes just as many values. */
export function connected(values: readonly number[], weights: readonly number[]): number | Misfit {
  if (values.length !== weights.length) return { expected: weights.length, given: values.length };
  return values.reduce((sum, value, at) => sum + value * (weights[at] ?? 0), 0);
}

/** Number of places of the kernel along a side. */
export function placesOf(side: number): number {
  return side - KERNEL + 1;
}

/** The convolution: the same weights as a kernel (C, k, k), laid on at every place where it fits. */
export function convolved({ side, values }: Maps, kernel: readonly number[]): number[] {
  const places = placesOf(side);
  const answers = new Array<number>(places * places).fill(0);
  kernel.forEach((weight, at) => {
    const column = at % KERNEL;
    const row = Math.floor(at / KERNEL) % KERNEL;
    const channel = Math.floor(at / KERNEL ** 2);
    for (let y = 0; y < places; y++) {
      for (let x = 0; x < places; x++) {
        answers[y * places + x] += weight * (values[(channel * side + y + row) * side + x + column] ?? 0);
      }
    }
  });
  return answers;
}

/** One window cut out and flattened. */
export function windowAt({ side, values }: Maps, y: number, x: number): number[] {
  const cut: number[] = [];
  for (let channel = 0; channel < CHANNELS; channel++) {
    for (let row = y; row < y + KERNEL; row++) {
      const from = (channel * side + row) * side + x;
      cut.push(...values.slice(from, from + KERNEL));
    }
  }
  return cut;
}

/** The fully connected neuron asked for each window by itself. */
export function byWindow(maps: Maps, weights: readonly number[]): number[] {
  const places = placesOf(maps.side);
  return Array.from({ length: places * places }, (_, at) => {
    const found = connected(windowAt(maps, Math.floor(at / places), at % places), weights);
    return typeof found === "number" ? found : NaN;
  });
}

/** How many of two lists of answers are not the same. */
export function differing(one: readonly number[], other: readonly number[]): number {
  return one.filter((answer, at) => answer !== other[at]).length;
}

/** The weight after another press: one more, and from the largest back to the smallest. */
export function next(weight: number, step: number): number {
  const count = 2 * BOUND + 1;
  return ((((weight + BOUND + step) % count) + count) % count) - BOUND;
}
