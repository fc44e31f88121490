/** Where a smooth strictly convex function is least: L-BFGS, nin.teaching.regression's twin. */

const MOST_STEPS = 2000;
const MEMORY = 10; // pairs that L-BFGS keeps (Nocedal and Wright 2006, algorithm 7.4)
const ENOUGH = 1e-4; // of the slope, that a step must win (Armijo; Nocedal and Wright 2006, section 3.1)
const SMALLEST_STEP = 1e-12;

export interface Smooth {
  /** The value at a place; its gradient goes to `slope`. */
  at(place: Float64Array, slope: Float64Array): number;
  /** Whether the place that was asked about last is near enough. */
  settled(): boolean;
}

/** The steps that were made last: how the gradient changed along each. */
class Memory {
  private readonly steps: Float64Array[];
  private readonly changes: Float64Array[];
  private readonly rhos = new Float64Array(MEMORY);
  private readonly shares = new Float64Array(MEMORY);
  private kept = 0;

  constructor(size: number) {
    this.steps = Array.from({ length: MEMORY }, () => new Float64Array(size));
    this.changes = Array.from({ length: MEMORY }, () => new Float64Array(size));
  }

  get empty(): boolean {
    return this.kept === 0;
  }

  /** Keeps a move; false where the gradient did not rise along it: rounding is all that is left to win. */
  keep(from: Float64Array, to: Float64Array, before: Float64Array, after: Float64Array): boolean {
    const slot = this.kept % MEMORY;
    const step = this.steps[slot];
    const change = this.changes[slot];
    for (let n = 0; n < step.length; n++) {
      step[n] = to[n] - from[n];
      change[n] = after[n] - before[n];
    }
    const bend = dot(step, change);
    if (!(bend > 0)) return false;
    this.rhos[slot] = 1 / bend;
    this.kept++;
    return true;
  }

  /** The gradient `way` becomes minus its product with L-BFGS's picture of the inverse Hessian. */
  turn(way: Float64Array): void {
    const first = Math.max(0, this.kept - MEMORY);
    for (let n = this.kept - 1; n >= first; n--) {
      const slot = n % MEMORY;
      const share = this.rhos[slot] * dot(this.steps[slot], way);
      this.shares[slot] = share;
      add(way, this.changes[slot], -share);
    }
    if (this.kept > 0) {
      const last = (this.kept - 1) % MEMORY;
      scale(way, 1 / (this.rhos[last] * dot(this.changes[last], this.changes[last])));
    }
    for (let n = first; n < this.kept; n++) {
      const slot = n % MEMORY;
      add(way, this.steps[slot], this.shares[slot] - this.rhos[slot] * dot(this.changes[slot], way));
    }
    scale(way, -1);
  }
}

/** Moves `place` to the minimum of a function; how many steps that took. */
export function minimum(smooth: Smooth, place: Float64Array): number {
  const size = place.length;
  const slope = new Float64Array(size);
  const way = new Float64Array(size);
  const there = new Float64Array(size);
  const thereSlope = new Float64Array(size);
  const memory = new Memory(size);
  let value = smooth.at(place, slope);
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    if (smooth.settled()) return steps;
    way.set(slope);
    memory.turn(way);
    const gain = dot(slope, way);
    let stride = memory.empty ? Math.min(1, 1 / absoluteSum(slope)) : 1;
    let next: number;
    for (;;) {
      there.set(place);
      add(there, way, stride);
      next = smooth.at(there, thereSlope);
      if (next <= value + ENOUGH * stride * gain || stride < SMALLEST_STEP) break;
      stride /= 2;
    }
    if (!memory.keep(place, there, slope, thereSlope)) return steps;
    place.set(there);
    slope.set(thereSlope);
    value = next;
  }
  return MOST_STEPS;
}

export function dot(one: Float64Array, other: Float64Array): number {
  let first = 0;
  let second = 0;
  const even = one.length - (one.length % 2);
  for (let n = 0; n < even; n += 2) {
    first += one[n] * other[n];
    second += one[n + 1] * other[n + 1];
  }
  if (even < one.length) first += one[even] * other[even];
  return first + second;
}

function add(sum: Float64Array, values: Float64Array, times: number): void {
  for (let n = 0; n < sum.length; n++) sum[n] += times * values[n];
}

function scale(values: Float64Array, times: number): void {
  for (let n = 0; n < values.length; n++) values[n] *= times;
}

function absoluteSum(values: Float64Array): number {
  let sum = 0;
  for (let n = 0; n < values.length; n++) sum += Math.abs(values[n]);
  return sum;
}
