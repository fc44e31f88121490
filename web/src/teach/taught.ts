/**
 * New classes learnt, and how well, asked of each picture in turn when it was left out: nin.teaching.estimate's twin.
 *
 * Legend: N pictures, F features, K classes, (h, w) sides of the maps.
 */

import { top } from "../net/largest";
import { softmax } from "../net/softmax";
import { fitTemperature, unknownThreshold, unlikeThreshold } from "./calibration";
import { distances, known } from "./known";
import { type Likeness, likenessOf } from "./likeness";
import { type Head, Regression, countsOf } from "./regression";

export type { Head } from "./regression";

export const FOLDS = 5;
const LOST = 0.05; // share of the right answers that "unknown" may cost for their probability; as in Python
const LOST_UNLIKE = 0.01; // the same for their distance

/** How well new pictures are told apart: each was asked about by what the other four fifths taught. */
export interface Estimate {
  n: number;
  right: number;
  /** Rows: the true class; columns: the answer. */
  confusion: number[][];
  /** Share that is right for one who always names the class with most pictures. */
  guessing: number;
}

export interface Taught {
  head: Head;
  classes: number;
  /** F. */
  width: number;
  temperature: number;
  /** 0: never. */
  unknownBelow: number;
  /** null, like `likeness`: never. */
  unknownBeyond: number | null;
  likeness: Likeness | null;
  /** null while a class has fewer than five pictures. */
  estimate: Estimate | null;
  milliseconds: number;
  estimateMilliseconds: number;
}

/** What is learnt from mean features (N, F) with labels (N,): two classes at least, a picture of each. */
export function teach(features: Float32Array, labels: Int32Array, classes: number): Taught {
  const start = performance.now();
  const width = features.length / labels.length;
  const regression = new Regression(features, labels, classes);
  const head = regression.fit();
  const learnt = performance.now();
  const counts = countsOf(labels, classes);
  const alone = { temperature: 1, unknownBelow: 0, unknownBeyond: null, likeness: null, estimate: null };
  const found = Math.min(...counts) < FOLDS ? alone : leftOut(regression, features, labels, classes);
  const end = performance.now();
  return { head, classes, width, ...found, milliseconds: learnt - start, estimateMilliseconds: end - learnt };
}

type Found = Pick<Taught, "temperature" | "unknownBelow" | "unknownBeyond" | "likeness" | "estimate">;

function leftOut(regression: Regression, features: Float32Array, labels: Int32Array, classes: number): Found {
  const width = features.length / labels.length;
  const fold = foldOf(labels, classes);
  const logits = new Float64Array(labels.length * classes);
  const numbers = Array.from(labels, (_, row) => row);
  const parts = Array.from({ length: FOLDS }, (_, part) => ({
    asked: numbers.filter((row) => fold[row] === part),
    others: Int32Array.from(numbers.filter((row) => fold[row] !== part)),
  }));
  for (const { asked, others } of parts) {
    const head = regression.fit(others);
    for (const row of asked) {
      logits.set(logitsOf(head, features.subarray(row * width, (row + 1) * width)), row * classes);
    }
  }
  const temperature = fitTemperature(logits, labels, classes);
  const answers = numbers.map((row) => top(logits.subarray(row * classes, (row + 1) * classes)));
  const right = numbers.filter((row) => answers[row] === labels[row]);
  const confidences = Float64Array.from(right, (row) => {
    const own = softmax(logits.subarray(row * classes, (row + 1) * classes), temperature);
    return own[answers[row]];
  });
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (const row of numbers) confusion[labels[row]][answers[row]]++;
  const guessing = Math.max(...countsOf(labels, classes)) / labels.length;
  const estimate = { n: labels.length, right: right.length, confusion, guessing };
  const unknownBelow = unknownThreshold(confidences, LOST);
  return { temperature, unknownBelow, ...unlike(features, labels, classes, parts, right), estimate };
}

interface Part {
  asked: readonly number[];
  others: Int32Array;
}

/** The distance beyond which a picture is unlike all that was taught, and what measures it. */
function unlike(
  features: Float32Array,
  labels: Int32Array,
  classes: number,
  parts: readonly Part[],
  right: readonly number[],
): Pick<Found, "unknownBeyond" | "likeness"> {
  const none = { unknownBeyond: null, likeness: null };
  const share = Math.max(LOST_UNLIKE, 1 / (right.length + 1)); // the furthest one, until one in a hundred is more
  if (share > LOST) return none;
  const width = features.length / labels.length;
  const found = new Float64Array(labels.length);
  for (const { asked, others } of parts) {
    const their = Int32Array.from(others, (row) => labels[row]);
    const other = known(rowsOf(features, width, others), their, classes);
    if (other === null) return none;
    const own = distances(other, rowsOf(features, width, asked), width);
    asked.forEach((row, n) => {
      found[row] = own[n];
    });
  }
  const whole = known(features, labels, classes);
  const beyond = unlikeThreshold(Float64Array.from(right, (row) => found[row]), share);
  const likeness = whole && likenessOf(whole, width);
  return beyond === null || likeness === null ? none : { unknownBeyond: beyond, likeness };
}

function rowsOf(features: Float32Array, width: number, rows: ArrayLike<number>): Float32Array {
  const some = new Float32Array(rows.length * width);
  for (let n = 0; n < rows.length; n++) some.set(features.subarray(rows[n] * width, (rows[n] + 1) * width), n * width);
  return some;
}

/**
 * Labels (N,) -> 0..4 (N,): each class in five parts of pictures that follow each other. Those of one burst of a camera
 * are nearly alike: a part that held every fifth would be asked about its twins.
 */
export function foldOf(labels: Int32Array, classes: number): Int32Array {
  const counts = countsOf(labels, classes);
  const met = new Int32Array(classes);
  return labels.map((label) => Math.floor((met[label]++ * FOLDS) / counts[label]));
}

/** Mean features (F,) -> logits (K,). */
export function logitsOf({ weight, bias }: Head, features: Float32Array): Float64Array {
  const width = features.length;
  return bias.map((start, k) => {
    let sum = start;
    for (let f = 0; f < width; f++) sum += weight[k * width + f] * features[f];
    return sum;
  });
}

/** Maps of the trunk (F, h, w) -> class maps (K, h, w), whose means are the logits. width: F. */
export function classMaps({ weight, bias }: Head, maps: Float32Array, width: number): Float32Array {
  const places = maps.length / width;
  const sums = new Float64Array(places);
  const found = new Float32Array(bias.length * places);
  for (let k = 0; k < bias.length; k++) {
    sums.fill(bias[k]);
    for (let f = 0; f < width; f++) {
      const factor = weight[k * width + f];
      const from = f * places;
      for (let place = 0; place < places; place++) sums[place] += factor * maps[from + place];
    }
    found.set(sums, k * places);
  }
  return found;
}
