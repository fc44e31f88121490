/**
 * How far a picture is from those that were taught: nin.bundle.likeness's twin of what is fitted.
 *
 * Legend: N pictures, K classes, F features.
 */

import { inverseOf, products, rootOf } from "./matrix";
import { countsOf } from "./regression";

const FINEST = 1e-3; // of the features' root mean square: no standard deviation is taken for less; as in Python
const TINY = 1.1754943508222875e-38; // smallest normal single

/** Class means (K, F), single precision, and the covariance within all classes (F, F), of which the lower triangle. */
export interface Known {
  means: Float32Array;
  covariance: Float64Array;
  /** Added to every variance. */
  least: number;
}

/** null where nothing can be fitted: a class without a picture, no class with two, features all equal. */
export function known(features: Float32Array, labels: Int32Array, classes: number): Known | null {
  const counts = countsOf(labels, classes);
  const count = labels.length;
  if (counts.includes(0) || count <= classes) return null;
  const width = features.length / count;
  const means = meansOf(features, labels, counts);
  const centred = new Float64Array(features.length);
  let squares = 0;
  for (let n = 0; n < count; n++) {
    const from = n * width;
    const mean = labels[n] * width;
    for (let f = 0; f < width; f++) {
      squares += features[from + f] * features[from + f];
      centred[from + f] = features[from + f] - means[mean + f];
    }
  }
  const covariance = shrunk(centred, width, count - classes);
  const least = (FINEST * Math.sqrt(squares / features.length)) ** 2;
  let trace = 0;
  for (let f = 0; f < width; f++) trace += covariance[f * width + f];
  return least > TINY && trace > 0 ? { means, covariance, least } : null;
}

function meansOf(features: Float32Array, labels: Int32Array, counts: readonly number[]): Float32Array {
  const width = features.length / labels.length;
  const sums = new Float64Array(counts.length * width);
  for (let n = 0; n < labels.length; n++) {
    const to = labels[n] * width;
    for (let f = 0; f < width; f++) sums[to + f] += features[n * width + f];
  }
  return Float32Array.from(sums, (sum, at) => sum / counts[Math.floor(at / width)]);
}

/**
 * The covariance of values (N, F) less their class's mean, drawn towards equal variances as far as its own uncertainty
 * asks (Ledoit and Wolf 2004, section 3.3). freedom: N less the number of means that were taken.
 */
function shrunk(centred: Float64Array, width: number, freedom: number): Float64Array {
  const count = centred.length / width;
  const covariance = products(centred, width);
  let trace = 0;
  let squares = 0; // of the whole matrix, whose triangles are alike
  for (let f = 0; f < width; f++) {
    for (let g = 0; g <= f; g++) {
      const value = (covariance[f * width + g] /= count);
      squares += (f === g ? 1 : 2) * value * value;
    }
    trace += covariance[f * width + f];
  }
  let fourths = 0;
  for (let n = 0; n < count; n++) {
    let square = 0;
    for (let at = n * width; at < (n + 1) * width; at++) square += centred[at] * centred[at];
    fourths += square * square;
  }
  const usual = trace / width;
  const away = squares - width * usual * usual;
  const blur = (fourths / count - squares) / count;
  const share = away <= 0 ? 1 : Math.min(Math.max(blur, 0) / away, 1);
  const factor = count / freedom;
  for (let f = 0; f < width; f++) {
    for (let g = 0; g <= f; g++) covariance[f * width + g] *= (1 - share) * factor;
    covariance[f * width + f] += share * usual * factor;
  }
  return covariance;
}

/** Distances (N,) of mean features (N, F) to the nearest class mean. */
export function distances({ means, covariance, least }: Known, features: Float32Array, width: number): Float64Array {
  const root = covariance.slice();
  for (let f = 0; f < width; f++) root[f * width + f] += least;
  rootOf(root, width);
  const inverse = inverseOf(root, width);
  const places = turned(means, inverse, width);
  const at = turned(features, inverse, width);
  return Float64Array.from({ length: features.length / width }, (_, n) => {
    let nearest = Infinity;
    for (let from = 0; from < places.length; from += width) {
      let square = 0;
      for (let f = 0; f < width; f++) square += (at[n * width + f] - places[from + f]) ** 2;
      nearest = Math.min(nearest, square);
    }
    return Math.sqrt(nearest);
  });
}

/** Each row of values (N, F) times the transpose of a lower triangular matrix. */
function turned(values: Float32Array, triangle: Float64Array, width: number): Float64Array {
  const out = new Float64Array(values.length);
  for (let from = 0; from < values.length; from += width) {
    for (let f = 0; f < width; f++) {
      let sum = 0;
      for (let g = 0; g <= f; g++) sum += triangle[f * width + g] * values[from + g];
      out[from + f] = sum;
    }
  }
  return out;
}
