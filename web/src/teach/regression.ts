/**
 * Softmax regression with an L2 penalty, whose one minimum is found exactly: nin.teaching.regression's twin.
 *
 * Legend: N pictures, F features, K classes.
 */

import { COLUMNS, ROWS, inverseOf, products, rootOf, roundedUp, timesMatrix, timesRows, transposed } from "./matrix";
import { type Smooth, minimum } from "./minimum";

const PENALTY = 0.1; // times half the squared weights of standardised features, beside the mean loss; as in Python
const SMALLEST = 1e-3; // of the features' root mean square: a standard deviation below it is taken for this; as there
const PRECISION = 1e-7; // largest slope at the end: weights are then exact to 1e-4 and better

/** A 1x1 layer: logits (N, K) are features (N, F) times weight (K, F) transposed, plus bias (K,). */
export interface Head {
  weight: Float64Array;
  bias: Float64Array;
}

/**
 * Pictures as the regression sees them: N, F and K rounded up as the loops of `matrix` want them. What is added is
 * zeros and weighs nothing.
 */
interface Standardised {
  values: Float64Array;
  width: number;
  labels: Int32Array;
  /** Every class weighs alike, all together 1. */
  shares: Float64Array;
  mean: Float64Array;
  scale: Float64Array;
}

/**
 * The inverse of the triangular root of the Hessian at zero, (F, F), and its transpose: in its directions the loss
 * bends alike, and the search takes few steps. It changes the way, not the minimum.
 */
interface Basis {
  lower: Float64Array;
  upper: Float64Array;
}

/**
 * The regression of some pictures, and of parts of them, which begin where the whole ended.
 *
 * A head minimises the mean loss, every class weighing alike, plus PENALTY/2 times its squared weights: of standardised
 * features, while what is returned is for the features as they are.
 */
export class Regression {
  private basis: Basis | null = null;
  private found: Head | null = null;

  /** features (N, F), labels (N,) in 0..classes-1, two classes, a picture of each at least; RangeError otherwise. */
  constructor(
    private readonly features: Float32Array,
    private readonly labels: Int32Array,
    private readonly classes: number,
  ) {
    expectPictures(features, labels, classes);
  }

  /** The head of all pictures, or of those of some rows. */
  fit(rows: Int32Array | null = null): Head {
    const seen = standardised(this.features, this.labels, this.classes, rows);
    this.basis ??= basisOf(seen, this.classes);
    const loss = new Loss(seen, this.features.length / this.labels.length, this.classes, this.basis);
    const place = this.found ? loss.placeOf(this.found) : loss.origin();
    minimum(loss, place);
    const head = loss.headAt(place);
    if (rows === null) this.found = head;
    return head;
  }
}

function expectPictures(features: Float32Array, labels: Int32Array, classes: number): void {
  const counts = countsOf(labels, classes);
  if (classes < 2 || counts.includes(0) || features.length === 0 || features.length % labels.length !== 0) {
    throw new RangeError(`${features.length} features of ${labels.length} pictures in ${classes} classes`);
  }
  if (!features.every(Number.isFinite)) {
    throw new RangeError("features that are no numbers");
  }
}

/** Pictures of each class; RangeError for a label that is none of them. */
export function countsOf(labels: Int32Array, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) {
    if (!(label >= 0 && label < classes)) throw new RangeError(`label ${label} of ${classes} classes`);
    counts[label]++;
  }
  return counts;
}

/** Of all rows where `rows` is null. Standard deviations of features that hardly move are a small one of their own. */
function standardised(
  features: Float32Array,
  labels: Int32Array,
  classes: number,
  rows: Int32Array | null,
): Standardised {
  const own = features.length / labels.length;
  const width = roundedUp(own, ROWS);
  const chosen = rows ?? Int32Array.from(labels, (_, row) => row);
  const values = new Float64Array(roundedUp(chosen.length, ROWS) * width);
  chosen.forEach((row, n) => values.set(features.subarray(row * own, (row + 1) * own), n * width));
  const { mean, scale } = standards(values.subarray(0, chosen.length * width), width, own);
  for (let n = 0; n < chosen.length; n++) {
    const at = n * width;
    for (let f = 0; f < width; f++) values[at + f] = (values[at + f] - mean[f]) / scale[f];
  }
  const seen = Int32Array.from(chosen, (row) => labels[row]);
  const counts = countsOf(seen, classes);
  const shares = Float64Array.from(seen, (label) => 1 / (classes * counts[label]));
  return { values, width, labels: seen, shares, mean, scale };
}

/** Mean and standard deviation of values (N, width), of which the first `own` of each row are features. */
function standards(values: Float64Array, width: number, own: number): { mean: Float64Array; scale: Float64Array } {
  const count = values.length / width;
  const mean = new Float64Array(width);
  const scale = new Float64Array(width);
  let squares = 0;
  for (let at = 0; at < values.length; at++) {
    mean[at % width] += values[at] / count;
    squares += values[at] * values[at];
  }
  for (let at = 0; at < values.length; at++) {
    const off = values[at] - mean[at % width];
    scale[at % width] += (off * off) / count;
  }
  const least = SMALLEST * Math.sqrt(squares / (count * own)) || 1;
  for (let f = 0; f < width; f++) scale[f] = Math.max(Math.sqrt(scale[f]), least);
  return { mean, scale };
}

/** With all weights zero every class has the probability 1/K: the Hessian is then the same for each. */
function basisOf({ values, width, shares }: Standardised, classes: number): Basis {
  const weighed = new Float64Array(shares.length * width);
  for (let n = 0; n < shares.length; n++) {
    const factor = Math.sqrt(shares[n] / classes);
    for (let at = n * width; at < (n + 1) * width; at++) weighed[at] = factor * values[at];
  }
  const hessian = products(weighed, width);
  for (let f = 0; f < width; f++) hessian[f * width + f] += PENALTY;
  rootOf(hessian, width);
  const lower = inverseOf(hessian, width);
  return { lower, upper: transposed(lower, width) };
}

/** The loss as a function of weights in the directions of a basis, (K, F), and then biases (K,): K and F rounded up. */
class Loss implements Smooth {
  private readonly rows: number;
  private readonly width: number;
  /** K rounded up: a class that is added has no pictures and no part in the probabilities. */
  private readonly wide: number;
  /** (K, N): those of a class lie together; then the slopes by them. */
  private readonly logits: Float64Array;
  private readonly weight: Float64Array;
  private readonly gradient: Float64Array;
  private readonly biases: Float64Array;
  private readonly biasUnit: number;
  private steepest = Infinity;

  constructor(
    private readonly seen: Standardised,
    private readonly features: number,
    private readonly classes: number,
    private readonly basis: Basis,
  ) {
    this.width = seen.width;
    this.rows = seen.values.length / seen.width;
    this.wide = roundedUp(classes, COLUMNS);
    this.logits = new Float64Array(this.wide * this.rows);
    this.weight = new Float64Array(this.wide * this.width);
    this.gradient = new Float64Array(this.wide * this.width);
    this.biases = new Float64Array(this.wide);
    this.biasUnit = Math.sqrt(classes);
  }

  at(place: Float64Array, slope: Float64Array): number {
    const { wide, width, rows, weight, gradient, logits } = this;
    this.readPlace(place);
    timesRows(logits, weight, this.seen.values, this.biases, width);
    let loss = this.setSlopes();
    timesMatrix(gradient, logits, this.seen.values, width, "full");
    this.steepest = 0;
    for (let n = 0; n < weight.length; n++) {
      loss += (PENALTY / 2) * weight[n] * weight[n];
      gradient[n] += PENALTY * weight[n];
      this.steepest = Math.max(this.steepest, Math.abs(gradient[n]));
    }
    timesMatrix(slope, gradient, this.basis.upper, width, "upper");
    for (let k = 0; k < wide; k++) {
      let sum = 0;
      for (let n = k * rows; n < (k + 1) * rows; n++) sum += logits[n];
      slope[wide * width + k] = sum * this.biasUnit;
      this.steepest = Math.max(this.steepest, Math.abs(sum));
    }
    return loss;
  }

  settled(): boolean {
    return this.steepest <= PRECISION;
  }

  /** All weights zero. */
  origin(): Float64Array {
    return new Float64Array(this.wide * (this.width + 1));
  }

  /** The head for features as they are. */
  headAt(place: Float64Array): Head {
    const { classes, width, features, weight } = this;
    const { mean, scale } = this.seen;
    this.readPlace(place);
    const head = { weight: new Float64Array(classes * features), bias: this.biases.slice(0, classes) };
    for (let k = 0; k < classes; k++) {
      for (let f = 0; f < features; f++) {
        const value = weight[k * width + f] / scale[f];
        head.weight[k * features + f] = value;
        head.bias[k] -= value * mean[f];
      }
    }
    return head;
  }

  /** Where a head lies: its weights times the root of the Hessian, found row by row from the root's inverse. */
  placeOf(head: Head): Float64Array {
    const { classes, wide, width, features } = this;
    const { lower } = this.basis;
    const { mean, scale } = this.seen;
    const place = this.origin();
    const left = new Float64Array(width);
    for (let k = 0; k < classes; k++) {
      let bias = head.bias[k];
      for (let f = 0; f < features; f++) {
        const value = head.weight[k * features + f];
        bias += value * mean[f];
        left[f] = value * scale[f];
      }
      for (let row = features - 1; row >= 0; row--) {
        const factor = left[row] / lower[row * width + row];
        place[k * width + row] = factor;
        for (let f = 0; f <= row; f++) left[f] -= factor * lower[row * width + f];
      }
      place[wide * width + k] = bias / this.biasUnit;
    }
    return place;
  }

  /** Weights and biases for standardised features. */
  private readPlace(place: Float64Array): void {
    const { wide, width, weight, biases } = this;
    timesMatrix(weight, place.subarray(0, wide * width), this.basis.lower, width, "lower");
    for (let k = 0; k < wide; k++) biases[k] = place[wide * width + k] * this.biasUnit;
  }

  /** Logits become the loss's slope by each of them; the mean loss, every class weighing alike. */
  private setSlopes(): number {
    const { classes, rows, logits } = this;
    const { labels, shares } = this.seen;
    const end = classes * rows;
    let loss = 0;
    for (let n = 0; n < labels.length; n++) {
      let most = -Infinity;
      for (let at = n; at < end; at += rows) most = Math.max(most, logits[at]);
      const own = labels[n] * rows + n;
      const lead = logits[own] - most;
      let sum = 0;
      for (let at = n; at < end; at += rows) {
        logits[at] = Math.exp(logits[at] - most);
        sum += logits[at];
      }
      loss += shares[n] * (Math.log(sum) - lead);
      for (let at = n; at < end; at += rows) logits[at] *= shares[n] / sum;
      logits[own] -= shares[n];
    }
    for (let k = 0; k < classes; k++) logits.fill(0, k * rows + labels.length, (k + 1) * rows);
    return loss;
  }
}
