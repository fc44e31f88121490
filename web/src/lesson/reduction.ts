/**
 * What a 1x1 layer saves that hands on fewer maps: in the author's network before conv2, and in a branch of an
 * Inception module. Counts are weights with biases, and multiply-adds of every place.
 */
import type { Shape } from "../net/fold";

export type Where = "author" | "inception";

/** A way from maps to maps: its convolutions, and the sides of the maps that the first of them reads. */
export interface Way {
  shapes: readonly Shape[];
  side: number;
}

export interface Cost {
  weights: number;
  macs: number;
}

/** c3 of the networks themselves: the author's cccp2, and Szegedy et al. 2014, module 3a. */
export const OWN: Readonly<Record<Where, number>> = { author: 96, inception: 16 };
export const MOST = 192; // maps before: conv1 of the author's network, and what module 3a reads

/** Source: the author's CIFAR-10 definition file; sides of 32 become 16. */
const POOL = { kind: "max", size: 3, stride: 2, padding: 0, ceil: true } as const;

function convolution(inputs: number, channels: number, kernel: number, more: Partial<Shape> = {}): Shape {
  const padding = (kernel - 1) / 2;
  const plain = { depth: 0, stride: 1, groups: 1, activation: "relu" as const, pool: null, block: 0 };
  return { ...plain, kernel, padding, inputs, channels, ...more };
}

/** With a 1x1 layer that hands on c3 maps, and without any: the same maps in, the same number of maps out. */
export function waysOf(where: Where, c3: number): { direct: Way; reduced: Way } {
  if (where === "inception") {
    return {
      direct: { shapes: [convolution(MOST, 32, 5)], side: 28 },
      reduced: { shapes: [convolution(MOST, c3, 1), convolution(c3, 32, 5, { block: 1 })], side: 28 },
    };
  }
  const first = convolution(MOST, 160, 1);
  const second = convolution(160, c3, 1, { depth: 1, pool: POOL });
  return {
    direct: { shapes: [convolution(MOST, 192, 5)], side: 16 },
    reduced: { shapes: [first, second, convolution(c3, 192, 5, { block: 1 })], side: 32 },
  };
}

/** Sides after a layer here: all keep theirs but the pool, which halves them. */
function halved(side: number, { pool }: Shape): number {
  return pool ? Math.ceil((side - pool.size) / pool.stride) + 1 : side;
}

export function costOf({ shapes, side }: Way): Cost {
  let at = side;
  const cost = { weights: 0, macs: 0 };
  for (const shape of shapes) {
    const products = shape.inputs * shape.channels * shape.kernel ** 2;
    cost.weights += products + shape.channels;
    cost.macs += products * at * at;
    at = halved(at, shape);
  }
  return cost;
}

/** The 5x5 layer alone, which reads c3 maps or all. */
export function spatialWeights({ shapes }: Way): number {
  const last = shapes[shapes.length - 1];
  return last.inputs * last.channels * last.kernel ** 2 + last.channels;
}

/** Share of the variance that the first n components keep, 0..1. */
export function kept(shares: ArrayLike<number>, n: number): number {
  let sum = 0;
  for (let component = 0; component < n; component++) sum += shares[component];
  return Math.min(1, sum);
}
