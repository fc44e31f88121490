/**
 * Two answers to "does this patch show exactly one of the two edges?": a filter's, and a small network's.
 *
 * Legend: P = 25 pixels of a patch, H hidden filters, N patches. The filter is w . x + b; the mlpconv layer is H such
 * filters, ReLU, and a 1x1 layer that adds them up. Both learn by Adam on the logistic loss, all patches at once.
 * The question is that of claim 1 (nin.claims.exact.exclusive_or) with edges that are there or not.
 */
import { normals, uniforms } from "./random";

export const SIDE = 5;
const PIXELS = SIDE * SIDE;
export const HIDDEN = 16;
const NOISE = 0.5; // standard deviation of a pixel, as in claim 1
export const STEPS = 300; // as in claim 1
const RATE = 0.02; // as in claim 1
const BETAS = [0.9, 0.999] as const; // Adam's own: Kingma and Ba 2015
const TINY = 1e-8;
const EACH = 100; // patches of each of the four kinds, to learn from and to test on

/** The two edges (P,): dark to bright going right, and going down; the middle is grey. Claim 1's. */
export const EDGES: readonly [Float64Array, Float64Array] = [
  Float64Array.from({ length: PIXELS }, (_, at) => Math.sign((at % SIDE) - 2)),
  Float64Array.from({ length: PIXELS }, (_, at) => Math.sign(Math.floor(at / SIDE) - 2)),
];

/** A patch with so much of each edge. */
export function patchOf(first: number, second: number): Float64Array {
  return EDGES[0].map((value, at) => first * value + second * EDGES[1][at]);
}

export interface Patches {
  /** (N, P), one after the other. */
  values: Float64Array;
  /** 1 where exactly one edge is there. */
  labels: Float64Array;
}

/** As many noisy patches of each kind: no edge, one, the other, both. */
export function patches(seed: number, each = EACH): Patches {
  const next = normals(seed);
  const values = new Float64Array(4 * each * PIXELS);
  const labels = new Float64Array(4 * each);
  for (let n = 0; n < labels.length; n++) {
    const kind = n % 4;
    const clean = patchOf(kind & 1, kind >> 1);
    for (let at = 0; at < PIXELS; at++) values[n * PIXELS + at] = clean[at] + NOISE * next();
    labels[n] = kind === 1 || kind === 2 ? 1 : 0;
  }
  return { values, labels };
}

/** Weights in one array, so that one rule changes them all. hidden: 0 makes it a plain filter. */
export class Answerer {
  readonly weights: Float64Array;
  private readonly slope: Float64Array;
  private readonly mean: Float64Array;
  private readonly square: Float64Array;
  private steps = 0;

  constructor(
    readonly hidden: number,
    seed: number,
  ) {
    const units = Math.max(1, hidden);
    const count = units * (PIXELS + 1) + (hidden ? hidden + 1 : 0);
    const next = uniforms(seed);
    // Uniform within one over the root of the inputs, as torch begins its linear layers.
    const bound = (index: number) => 1 / Math.sqrt(index < units * (PIXELS + 1) ? PIXELS : hidden);
    this.weights = Float64Array.from({ length: count }, (_, index) => (2 * next() - 1) * bound(index));
    this.slope = new Float64Array(count);
    this.mean = new Float64Array(count);
    this.square = new Float64Array(count);
  }

  /** f of a patch (P,): above zero means yes. `units` is filled with the hidden filters' answers after the ReLU. */
  answer(patch: ArrayLike<number>, from = 0, units?: Float64Array): number {
    const { hidden, weights } = this;
    let sum = hidden ? weights[weights.length - 1] : 0;
    for (let unit = 0; unit < Math.max(1, hidden); unit++) {
      const first = unit * (PIXELS + 1);
      let value = weights[first + PIXELS];
      for (let at = 0; at < PIXELS; at++) value += weights[first + at] * patch[from + at];
      if (hidden) {
        const active = value > 0 ? value : 0;
        if (units) units[unit] = active;
        sum += weights[hidden * (PIXELS + 1) + unit] * active;
      } else sum += value;
    }
    return sum;
  }

  /** Mean logistic loss over the patches; its slope for every weight is left in `slopes`. */
  loss({ values, labels }: Patches): number {
    const { hidden, slope, weights } = this;
    slope.fill(0);
    const units = new Float64Array(hidden);
    const top = hidden * (PIXELS + 1);
    let loss = 0;
    for (let n = 0; n < labels.length; n++) {
      const found = this.answer(values, n * PIXELS, units);
      loss += Math.max(found, 0) - found * labels[n] + Math.log1p(Math.exp(-Math.abs(found)));
      const wrong = (1 / (1 + Math.exp(-found)) - labels[n]) / labels.length;
      if (hidden) slope[slope.length - 1] += wrong;
      for (let unit = 0; unit < Math.max(1, hidden); unit++) {
        if (hidden) slope[top + unit] += wrong * units[unit];
        const share = hidden ? (units[unit] > 0 ? wrong * weights[top + unit] : 0) : wrong;
        if (share === 0) continue;
        const first = unit * (PIXELS + 1);
        for (let at = 0; at < PIXELS; at++) slope[first + at] += share * values[n * PIXELS + at];
        slope[first + PIXELS] += share;
      }
    }
    return loss / labels.length;
  }

  /** The slopes that `loss` left. */
  get slopes(): Readonly<Float64Array> {
    return this.slope;
  }

  /** One step of Adam. */
  step(from: Patches): void {
    this.loss(from);
    this.steps += 1;
    const [keep, keepSquare] = BETAS;
    const scale = Math.sqrt(1 - keepSquare ** this.steps) / (1 - keep ** this.steps);
    const { mean, slope, square, weights } = this;
    for (let index = 0; index < weights.length; index++) {
      mean[index] = keep * mean[index] + (1 - keep) * slope[index];
      square[index] = keepSquare * square[index] + (1 - keepSquare) * slope[index] ** 2;
      weights[index] -= (RATE * scale * mean[index]) / (Math.sqrt(square[index]) + TINY);
    }
  }

  /** Share of patches answered rightly, 0..1. */
  right({ values, labels }: Patches): number {
    let right = 0;
    for (let n = 0; n < labels.length; n++) right += Number(this.answer(values, n * PIXELS) > 0 === labels[n] > 0);
    return right / labels.length;
  }

  /** f(a + b) - f(a) - f(b) + f(0): zero for whatever is linear plus a constant. */
  superposition(a: Float64Array, b: Float64Array): number {
    const both = a.map((value, at) => value + b[at]);
    return this.answer(both) - this.answer(a) - this.answer(b) + this.answer(new Float64Array(PIXELS));
  }

  /** Answers over the plane of the two edges: (side, side), the first edge from -0.5 to 1.5 across, the second up. */
  plane(side: number): Float64Array {
    const at = (index: number) => (2 * (index + 0.5)) / side - 0.5;
    return Float64Array.from({ length: side * side }, (_, index) =>
      this.answer(patchOf(at(index % side), at(side - 1 - Math.floor(index / side)))),
    );
  }
}
