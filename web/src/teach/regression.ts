/**
 * Softmax regression with an L2 penalty, whose one minimum is found exactly: nin.teach.regression's twin.
 *
 * Legend: N pictures, F features, K classes.
 */

import { inverseOf, products, rootOf } from "./cholesky";
import { type Smooth, minimum } from "./minimum";

const PENALTY = 0.1; // times half the squared weights of standardised features, beside the mean loss; as in Python
const SMALLEST = 1e-3; // of the features' root mean square: a standard deviation below it is taken for this; as there
const PRECISION = 1e-7; // largest slope at the end: weights are then exact to 1e-4 and better
const ROWS = 4; // pictures that the loops take at a time

/** A 1x1 layer: logits (N, K) are features (N, F) times weight (K, F) transposed, plus bias (K,). */
export interface Head {
  weight: Float64Array;
  bias: Float64Array;
}

/** Pictures as the regression sees them; `shares`: every class weighs alike, all together 1. */
interface Standardised {
  /** (N, F) rounded up to a multiple of four pictures, those of which are zeros and weigh nothing. */
  values: Float64Array;
  labels: Int32Array;
  shares: Float64Array;
  mean: Float64Array;
  scale: Float64Array;
}

/**
 * The inverse of the triangular root of the Hessian at zero, (F, F): in its directions the loss bends alike, and the
 * search takes few steps. It changes the way, not the minimum.
 */
type Basis = Float64Array;

/** The regression of some pictures, and of parts of them, which begin where the whole ended. */
export class Regression {
  private basis: Basis | null = null;
  private found: Head | null = null;

  /** features (N, F), labels (N,) in 0..classes-1, a picture of every class at least. */
  constructor(
    private readonly features: Float32Array,
    private readonly labels: Int32Array,
    private readonly classes: number,
  ) {
    expectPictures(features, labels, classes);
  }

  /** The head of all pictures, or of those of some rows. */
  fit(rows: Int32Array | null = null): Head {
    const width = this.features.length / this.labels.length;
    const seen = standardised(this.features, this.labels, this.classes, rows);
    this.basis ??= basisOf(seen, width, this.classes);
    const loss = new Loss(seen, width, this.classes, this.basis);
    const place = this.found ? loss.placeOf(this.found) : new Float64Array(this.classes * (width + 1));
    minimum(loss, place);
    const head = loss.headAt(place);
    if (rows === null) this.found = head;
    return head;
  }
}

/**
 * The head that minimises the mean loss, every class weighing alike, plus PENALTY/2 times its squared weights: of
 * standardised features, while what is returned is for the features as they are.
 */
export function fitHead(features: Float32Array, labels: Int32Array, classes: number): Head {
  return new Regression(features, labels, classes).fit();
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
  const width = features.length / labels.length;
  const chosen = rows ?? Int32Array.from(labels, (_, row) => row);
  const own = Int32Array.from(chosen, (row) => labels[row]);
  const values = new Float64Array(Math.ceil(chosen.length / ROWS) * ROWS * width);
  chosen.forEach((row, n) => values.set(features.subarray(row * width, (row + 1) * width), n * width));
  const { mean, scale } = standards(values.subarray(0, chosen.length * width), width);
  for (let n = 0; n < chosen.length; n++) {
    const at = n * width;
    for (let f = 0; f < width; f++) values[at + f] = (values[at + f] - mean[f]) / scale[f];
  }
  const counts = countsOf(own, classes);
  return { values, labels: own, shares: Float64Array.from(own, (label) => 1 / (classes * counts[label])), mean, scale };
}

function standards(values: Float64Array, width: number): { mean: Float64Array; scale: Float64Array } {
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
  const least = SMALLEST * Math.sqrt(squares / values.length) || 1;
  for (let f = 0; f < width; f++) scale[f] = Math.max(Math.sqrt(scale[f]), least);
  return { mean, scale };
}

/** With all weights zero every class has the probability 1/K: the Hessian is then the same for each. */
function basisOf({ values, shares }: Standardised, width: number, classes: number): Basis {
  const weighed = new Float64Array(shares.length * width);
  for (let n = 0; n < shares.length; n++) {
    const factor = Math.sqrt(shares[n] / classes);
    for (let at = n * width; at < (n + 1) * width; at++) weighed[at] = factor * values[at];
  }
  const hessian = products(weighed, width);
  for (let f = 0; f < width; f++) hessian[f * width + f] += PENALTY;
  rootOf(hessian, width);
  return inverseOf(hessian, width);
}

/** The loss as a function of weights in the directions of a basis, (K, F) and then biases (K,). */
class Loss implements Smooth {
  private readonly rows: number;
  private readonly logits: Float64Array;
  private readonly weight: Float64Array;
  private readonly gradient: Float64Array;
  private readonly biasUnit: number;
  private steepest = Infinity;

  constructor(
    private readonly seen: Standardised,
    private readonly width: number,
    private readonly classes: number,
    private readonly basis: Basis,
  ) {
    this.rows = seen.values.length / width;
    this.logits = new Float64Array(this.rows * classes); // (K, N): those of a class lie together
    this.weight = new Float64Array(classes * width);
    this.gradient = new Float64Array(classes * width);
    this.biasUnit = Math.sqrt(classes);
  }

  at(place: Float64Array, slope: Float64Array): number {
    const { classes, width, weight, gradient, biasUnit } = this;
    this.weightsAt(place);
    this.setLogits(place);
    let loss = this.setSlopes();
    this.sumGradient();
    for (let n = 0; n < weight.length; n++) {
      loss += (PENALTY / 2) * weight[n] * weight[n];
      gradient[n] += PENALTY * weight[n];
    }
    this.steepest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let k = 0; k < classes; k++) {
      let sum = 0;
      for (let n = 0; n < this.rows; n++) sum += this.logits[k * this.rows + n];
      slope[classes * width + k] = sum * biasUnit;
      this.steepest = Math.max(this.steepest, Math.abs(sum));
    }
    this.turnGradient(slope);
    return loss;
  }

  settled(): boolean {
    return this.steepest <= PRECISION;
  }

  /** The head for features as they are. */
  headAt(place: Float64Array): Head {
    const { classes, width } = this;
    const { mean, scale } = this.seen;
    this.weightsAt(place);
    const bias = new Float64Array(classes);
    for (let k = 0; k < classes; k++) {
      bias[k] = place[classes * width + k] * this.biasUnit;
      for (let f = 0; f < width; f++) {
        this.weight[k * width + f] /= scale[f];
        bias[k] -= this.weight[k * width + f] * mean[f];
      }
    }
    return { weight: this.weight.slice(), bias };
  }

  /** Where a head lies: its weights times the root of the Hessian, found row by row from the root's inverse. */
  placeOf(head: Head): Float64Array {
    const { classes, width, basis } = this;
    const { mean, scale } = this.seen;
    const place = new Float64Array(classes * (width + 1));
    const left = new Float64Array(width);
    for (let k = 0; k < classes; k++) {
      let bias = head.bias[k];
      for (let f = 0; f < width; f++) {
        const value = head.weight[k * width + f];
        bias += value * mean[f];
        left[f] = value * scale[f];
      }
      for (let row = width - 1; row >= 0; row--) {
        const factor = left[row] / basis[row * width + row];
        place[k * width + row] = factor;
        for (let f = 0; f <= row; f++) left[f] -= factor * basis[row * width + f];
      }
      place[classes * width + k] = bias / this.biasUnit;
    }
    return place;
  }

  /** Weights of standardised features: place (K, F) times the basis, whose rows end at the diagonal. */
  private weightsAt(place: Float64Array): void {
    const { classes, width, weight, basis } = this;
    weight.fill(0);
    for (let k = 0; k < classes; k++) {
      const to = k * width;
      for (let row = 0; row < width; row++) {
        const factor = place[to + row];
        const from = row * width;
        for (let f = 0; f <= row; f++) weight[to + f] += factor * basis[from + f];
      }
    }
  }

  private turnGradient(slope: Float64Array): void {
    const { classes, width, gradient, basis } = this;
    for (let k = 0; k < classes; k++) {
      const at = k * width;
      for (let row = 0; row < width; row++) {
        const from = row * width;
        let sum = 0;
        for (let f = 0; f <= row; f++) sum += gradient[at + f] * basis[from + f];
        slope[at + row] = sum;
      }
    }
  }

  private setLogits(place: Float64Array): void {
    const { classes, width, rows, weight, logits } = this;
    const { values } = this.seen;
    for (let k = 0; k < classes; k++) {
      const from = k * width;
      const bias = place[classes * width + k] * this.biasUnit;
      for (let n = 0; n < rows; n += ROWS) {
        const a = n * width;
        const b = a + width;
        const c = b + width;
        const d = c + width;
        let first = bias;
        let second = bias;
        let third = bias;
        let fourth = bias;
        for (let f = 0; f < width; f++) {
          const factor = weight[from + f];
          first += factor * values[a + f];
          second += factor * values[b + f];
          third += factor * values[c + f];
          fourth += factor * values[d + f];
        }
        const to = k * rows + n;
        logits[to] = first;
        logits[to + 1] = second;
        logits[to + 2] = third;
        logits[to + 3] = fourth;
      }
    }
  }

  /** Logits become the loss's slope by each of them; the mean loss, every class weighing alike. */
  private setSlopes(): number {
    const { classes, rows, logits } = this;
    const { labels, shares } = this.seen;
    let loss = 0;
    for (let n = 0; n < labels.length; n++) {
      let most = -Infinity;
      for (let at = n; at < logits.length; at += rows) most = Math.max(most, logits[at]);
      const own = labels[n] * rows + n;
      const lead = logits[own] - most;
      let sum = 0;
      for (let at = n; at < logits.length; at += rows) {
        logits[at] = Math.exp(logits[at] - most);
        sum += logits[at];
      }
      loss += shares[n] * (Math.log(sum) - lead);
      for (let at = n; at < logits.length; at += rows) logits[at] *= shares[n] / sum;
      logits[own] -= shares[n];
    }
    for (let k = 0; k < classes; k++) logits.fill(0, k * rows + labels.length, (k + 1) * rows);
    return loss;
  }

  private sumGradient(): void {
    const { classes, width, rows, logits, gradient } = this;
    const { values } = this.seen;
    gradient.fill(0);
    for (let n = 0; n < rows; n += ROWS) {
      const a = n * width;
      const b = a + width;
      const c = b + width;
      const d = c + width;
      for (let k = 0; k < classes; k++) {
        const from = k * rows + n;
        const to = k * width;
        const first = logits[from];
        const second = logits[from + 1];
        const third = logits[from + 2];
        const fourth = logits[from + 3];
        for (let f = 0; f < width; f++) {
          gradient[to + f] +=
            first * values[a + f] + second * values[b + f] + third * values[c + f] + fourth * values[d + f];
        }
      }
    }
  }
}
