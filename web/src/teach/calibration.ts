/**
 * How far answers can be trusted, found on pictures that were left out: the twin of what nin.training.evaluation fits.
 *
 * Legend: N pictures, K classes.
 */

import { top } from "../net/largest";

const HOTTEST = 20; // the highest temperature that is tried, times the likeliest class's mean lead; as in Python
const COLDEST = 0.01; // the lowest
const HALVINGS = 60;
const TEMPERATURES = [1e-6, 1e6] as const; // what a model folder may say

/** Row `n` of (N, K). */
function row(values: Float64Array, n: number, classes: number): Float64Array {
  return values.subarray(n * classes, (n + 1) * classes);
}

/**
 * The temperature that minimises the negative log likelihood of logits (N, K), one average picture added to the N, half
 * of it answered right and half taken for its second likeliest class. 1 when nothing is won.
 */
export function fitTemperature(logits: Float64Array, labels: Int32Array, classes: number): number {
  const z = logits.slice();
  let whole = 0;
  let target = 0;
  for (let n = 0; n < labels.length; n++) {
    const own = row(z, n, classes);
    const most = own[top(own)];
    for (let k = 0; k < classes; k++) own[k] -= most;
    whole += own.reduce((sum, value) => sum + value, 0);
    const second = own.slice().sort()[classes - 2];
    target += own[labels[n]] + second / (2 * labels.length);
  }
  const scale = -whole / z.length;
  if (scale === 0) return 1;
  target /= (labels.length + 1) * scale;
  for (let at = 0; at < z.length; at++) z[at] /= scale;
  const slope = (logBeta: number): number => {
    const beta = Math.exp(logBeta);
    let sum = 0;
    for (let n = 0; n < labels.length; n++) {
      let powers = 0;
      let mean = 0;
      for (let at = n * classes; at < (n + 1) * classes; at++) {
        const power = Math.exp(z[at] * beta); // the largest z of a picture is 0
        powers += power;
        mean += power * z[at];
      }
      sum += mean / powers;
    }
    return sum / labels.length - target;
  };
  let low = -Math.log(HOTTEST);
  let high = -Math.log(COLDEST);
  for (let n = 0; n < HALVINGS; n++) {
    const middle = (low + high) / 2;
    if (slope(middle) > 0) high = middle;
    else low = middle;
  }
  const found = Math.min(Math.max(scale * Math.exp(-(low + high) / 2), TEMPERATURES[0]), TEMPERATURES[1]);
  return lossOf(z, labels, classes, found / scale) < lossOf(z, labels, classes, 1 / scale) ? found : 1;
}

/** Mean negative log likelihood of logits whose largest is 0 in each row. */
function lossOf(z: Float64Array, labels: Int32Array, classes: number, temperature: number): number {
  let loss = 0;
  for (let n = 0; n < labels.length; n++) {
    const own = row(z, n, classes);
    const sum = own.reduce((total, value) => total + Math.exp(value / temperature), 0);
    loss += Math.log(sum) - own[labels[n]] / temperature;
  }
  return loss / labels.length;
}

/** Which of the sorted right answers is the threshold, from 1; 0 where there are too few for any. */
function rankOf(right: number, lost: number): number {
  return Math.floor(lost * (right + 1) + 1e-9);
}

/**
 * The probability under which to answer "unknown", so that at most `lost` of the right answers are given up; 0 where
 * there are too few of them to promise anything. `confidences`: those of the right answers.
 */
export function unknownThreshold(confidences: Float64Array, lost: number): number {
  const rank = rankOf(confidences.length, lost);
  return rank >= 1 ? Math.floor(confidences.slice().sort()[rank - 1] * 1e6) / 1e6 : 0;
}

/** The distance beyond which to answer "unknown", by the same rule; null where nothing can be promised. */
export function unlikeThreshold(distances: Float64Array, lost: number): number | null {
  const rank = rankOf(distances.length, lost);
  return rank >= 1 ? Math.ceil(distances.slice().sort()[distances.length - rank] * 1e4) / 1e4 : null;
}
