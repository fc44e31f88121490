/** Draws all maps of a layer as one picture: tiles in rows, one pixel of paper between them. */

import type { Maps } from "./network";
import type { Mosaic, Painted } from "./types";

interface Strengths {
  means: Float32Array;
  peaks: Float32Array;
}

/** Mean and largest value of each map; `values` are channels-last. */
function strengths(values: Float32Array, { sides, channels, step }: Maps): Strengths {
  const places = sides[0] * sides[1];
  const sums = new Float64Array(channels);
  const peaks = new Float32Array(channels).fill(-Infinity);
  for (let place = 0; place < places; place++) {
    const start = place * step;
    for (let channel = 0; channel < channels; channel++) {
      const value = values[start + channel];
      sums[channel] += value;
      if (value > peaks[channel]) {
        peaks[channel] = value;
      }
    }
  }
  return { means: Float32Array.from(sums, (sum) => sum / places), peaks };
}

/** The maps' numbers in the order in which they are shown. */
function ordered(means: Float32Array, order: Mosaic["order"]): Int32Array {
  const numbers = Int32Array.from(means, (_, number) => number);
  return order === "number" ? numbers : numbers.sort((one, other) => means[other] - means[one] || one - other);
}

export function painted(values: Float32Array, maps: Maps, mosaic: Mosaic): Painted {
  const { channels, step } = maps;
  const [height, width] = maps.sides;
  const { means, peaks } = strengths(values, maps);
  const order = ordered(means, mosaic.order);
  const columns = Math.max(1, Math.min(mosaic.columns, channels));
  const whole = columns * (width + 1) - 1;
  const rows = Math.ceil(channels / columns);
  const ramp = new Uint32Array(mosaic.ramp.slice().buffer);
  const pixels = new Uint32Array(whole * (rows * (height + 1) - 1)).fill(ramp[0]);
  const strongest = peaks.reduce((largest, peak) => Math.max(largest, peak), 0);
  const scales = peaks.map((peak) => {
    const most = mosaic.scale === "map" ? peak : strongest;
    return most > 0 ? 255 / most : 0;
  });
  // Row by row through all maps: a row of all channels stays in the cache, a map of one does not.
  for (let y = 0; y < height; y++) {
    for (let tile = 0; tile < channels; tile++) {
      const channel = order[tile];
      const scale = scales[channel];
      let at = (Math.floor(tile / columns) * (height + 1) + y) * whole + (tile % columns) * (width + 1);
      let from = y * width * step + channel;
      for (let x = 0; x < width; x++) {
        const value = values[from];
        pixels[at++] = value > 0 ? ramp[(value * scale + 0.5) | 0] : ramp[0];
        from += step;
      }
    }
  }
  return {
    layer: mosaic.layer,
    width: whole,
    height: pixels.length / whole,
    tile: [height, width],
    columns,
    data: new Uint8ClampedArray(pixels.buffer),
    order,
    means,
    peaks,
  };
}
