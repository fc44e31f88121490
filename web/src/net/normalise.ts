/**
 * Pixels to numbers as a network takes them: `Preprocess.normalise` of nin.data.preprocess, and nin.data.whiten.
 *
 * (H, W, C) bytes -> (H, W, C) float32.
 */

import type { Pixels } from "./channels";
import type { Preprocess, Zca } from "./preprocess";

const MIN_DIVISOR = 1e-8; // a picture with a smaller divisor is not divided
const WINDOW = 7; // pixels of local contrast normalisation
const SIGMA = 2;
const THRESHOLD = 1e-4;

/** Global contrast normalisation: (x - mean) * scale / sqrt(bias + norm^2), or variance for norm^2. */
interface Contrast {
  scale: number;
  bias: number;
  variance: boolean;
}

const CIFAR: Contrast = { scale: 55, bias: 0, variance: false };
const SVHN: Contrast = { scale: 1, bias: 10, variance: true };

export function normalised(pixels: Pixels, preprocess: Preprocess): Float32Array {
  switch (preprocess.normalisation) {
    case "standard":
      return standard(pixels, preprocess);
    case "gcn":
      return globalContrast(pixels, CIFAR);
    case "gcn-zca":
      return whitened(globalContrast(pixels, CIFAR), pixels, preprocess.zca!);
    case "lcn":
      return localContrast(globalContrast(pixels, SVHN), pixels);
  }
}

/** (x / 255 - mean) / std; each step in single precision. */
function standard({ channels, data }: Pixels, { mean, std }: Preprocess): Float32Array {
  const tables = mean.map((centre, channel) =>
    Float32Array.from({ length: 256 }, (_, value) => {
      const less = Math.fround(Math.fround(value / 255) - Math.fround(centre));
      return less / Math.fround(std[channel]);
    }),
  );
  const out = new Float32Array(data.length);
  for (let channel = 0; channel < channels; channel++) {
    const table = tables[channel];
    for (let at = channel; at < data.length; at += channels) {
      out[at] = table[data[at]];
    }
  }
  return out;
}

/** The mean is taken off in whole numbers, so that a picture of one colour becomes exactly zero. */
function globalContrast({ data }: Pixels, how: Contrast): Float32Array {
  const count = data.length;
  let total = 0;
  for (let at = 0; at < count; at++) {
    total += data[at];
  }
  const out = new Float32Array(count);
  let squares = 0;
  for (let at = 0; at < count; at++) {
    out[at] = Math.fround(count * data[at] - total) / count;
    squares += out[at] ** 2;
  }
  if (how.variance) {
    squares /= Math.max(count - 1, 1);
  }
  const divisor = Math.sqrt(squares + how.bias) / how.scale;
  if (divisor >= MIN_DIVISOR) {
    for (let at = 0; at < count; at++) {
      out[at] /= divisor;
    }
  }
  return out;
}

/** (x - mean) @ matrix; its values are numbered channel by channel, those here place by place. */
function whitened(x: Float32Array, { channels }: Pixels, { mean, matrix }: Zca): Float32Array {
  const count = x.length;
  const places = count / channels;
  const sums = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    const value = x[(row % places) * channels + Math.floor(row / places)] - mean[row];
    const start = row * count;
    for (let column = 0; column < count; column++) {
      sums[column] += value * matrix[start + column];
    }
  }
  return x.map((_, at) => sums[(at % channels) * places + Math.floor(at / channels)]);
}

/** Each place less its window's Gaussian mean, divided by the window's root mean square; each channel by itself. */
function localContrast(x: Float32Array, pixels: Pixels): Float32Array {
  const { channels } = pixels;
  const centre = blurred(x, pixels);
  const divisors = blurred(
    x.map((value) => value * value),
    pixels,
  ).map(Math.sqrt);
  const usual = new Float64Array(channels);
  divisors.forEach((divisor, at) => {
    usual[at % channels] += divisor / (x.length / channels);
  });
  return x.map((value, at) => (value - centre[at]) / Math.max(divisors[at], usual[at % channels], THRESHOLD));
}

/** The weights of one side of the Gaussian window; they sum to 1. */
function gaussian(): number[] {
  const half = (WINDOW - 1) / 2;
  const weights = Array.from({ length: WINDOW }, (_, n) => Math.exp(-((n - half) ** 2) / (2 * SIGMA ** 2)));
  const sum = weights.reduce((total, weight) => total + weight);
  return weights.map((weight) => weight / sum);
}

/** The Gaussian mean of each place's window, zeros beyond the border: down and then across. */
function blurred(x: Float32Array, { height, width, channels }: Pixels): Float32Array {
  const weights = gaussian();
  const half = (WINDOW - 1) / 2;
  const line = width * channels;
  const along = (from: Float32Array, step: number, place: (at: number) => number, side: number): Float32Array =>
    from.map((_, at) => {
      let sum = 0;
      weights.forEach((weight, n) => {
        const other = place(at) + n - half;
        sum += other >= 0 && other < side ? weight * from[at + (n - half) * step] : 0;
      });
      return sum;
    });
  const down = along(x, line, (at) => Math.floor(at / line), height);
  return along(down, channels, (at) => Math.floor(at / channels) % width, width);
}
