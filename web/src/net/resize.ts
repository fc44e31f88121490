/**
 * Pillow's antialiased bilinear resizing, bit for bit: whole-number weights of 22 bits, across and then down.
 *
 * Source: Pillow's Resample.c and Convert.c, and `Preprocess.resize` of nin.data.preprocess.
 */

import { type Pixels, toChannels } from "./channels";
import { type Preprocess, type Size, meanColour, roundedToEven } from "./preprocess";
import type { Picture } from "./types";

const BITS = 22; // of a weight: 32 - 8 - 2

/** Where one direction comes from: `length` pixels from `start`. */
interface Box {
  start: number;
  length: number;
}

/** A picture of any size as the network takes it: (H, W, C) of this size. */
export function resized(picture: Picture, preprocess: Preprocess, size: Size): Pixels {
  const pixels = toChannels(picture.data, picture.height, picture.width, preprocess.channels);
  const sides: Size = [pixels.height, pixels.width];
  if (String(sides) === String(size)) {
    return { ...pixels, data: pixels.data.slice() };
  }
  const whole = sides.map((side) => ({ start: 0, length: side }));
  if (preprocess.fit === "stretch") {
    return bilinear(pixels, size, whole);
  }
  const ratios = size.map((side, axis) => side / sides[axis]);
  if (preprocess.fit === "crop") {
    const scale = Math.max(...ratios);
    return bilinear(
      pixels,
      size,
      size.map((side, axis) => cropped(side / scale, sides[axis])),
    );
  }
  const scale = Math.min(...ratios);
  const inner = sides.map((side) => Math.max(1, roundedToEven(side * scale)));
  return padded(bilinear(pixels, [inner[0], inner[1]], whole), size, meanColour(preprocess));
}

/** The middle of a side; Pillow takes its box in single precision. */
function cropped(kept: number, side: number): Box {
  const start = Math.max(0, (side - kept) / 2);
  const from = Math.fround(start);
  const to = Math.fround(Math.min(start + kept, side));
  return { start: from, length: Math.fround(to - from) };
}

/** A picture in the middle of a larger one of this colour. */
function padded(inner: Pixels, [height, width]: Size, colour: readonly number[]): Pixels {
  const { channels } = inner;
  const data = new Uint8Array(height * width * channels);
  for (let n = 0; n < data.length; n++) {
    data[n] = colour[n % channels];
  }
  const top = Math.floor((height - inner.height) / 2);
  const left = Math.floor((width - inner.width) / 2);
  for (let row = 0; row < inner.height; row++) {
    const from = row * inner.width * channels;
    data.set(inner.data.subarray(from, from + inner.width * channels), ((top + row) * width + left) * channels);
  }
  return { height, width, channels, data };
}

/** The boxes, down and across, of a picture as one of this size; alpha weighs colours. */
function bilinear(pixels: Pixels, [height, width]: Size, [down, across]: readonly Box[]): Pixels {
  const alpha = pixels.channels === 4;
  const straight = alpha ? { ...pixels, data: premultiplied(pixels.data) } : pixels;
  const narrow = acrossed(straight, width, weightsOf(across, pixels.width, width));
  const small = downed(narrow, height, weightsOf(down, pixels.height, height));
  return alpha ? { ...small, data: unpremultiplied(small.data) } : small;
}

/** For each place of the result: the first pixel that counts, and the weights from there on. */
type Weights = readonly { first: number; weights: ArrayLike<number> }[];

function weightsOf({ start, length }: Box, side: number, places: number): Weights {
  const scale = length / places;
  const support = Math.max(scale, 1);
  const inverse = 1 / support;
  return Array.from({ length: places }, (_, place) => {
    const centre = start + (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), side);
    const shares: number[] = [];
    let sum = 0;
    for (let pixel = first; pixel < end; pixel++) {
      const share = Math.max(1 - Math.abs((pixel - centre + 0.5) * inverse), 0);
      shares.push(share);
      sum += share;
    }
    const whole = (share: number): number => Math.trunc(0.5 + (sum === 0 ? share : share / sum) * 2 ** BITS);
    return { first, weights: Int32Array.from(shares, whole) };
  });
}

const HALF = 2 ** (BITS - 1);

function acrossed({ height, width, channels, data }: Pixels, places: number, weights: Weights): Pixels {
  const out = new Uint8ClampedArray(height * places * channels);
  for (let row = 0; row < height; row++) {
    for (let place = 0; place < places; place++) {
      const { first, weights: own } = weights[place];
      for (let channel = 0; channel < channels; channel++) {
        let sum = HALF;
        let at = (row * width + first) * channels + channel;
        for (let n = 0; n < own.length; n++) {
          sum += data[at] * own[n];
          at += channels;
        }
        out[(row * places + place) * channels + channel] = sum >> BITS;
      }
    }
  }
  return { height, width: places, channels, data: out };
}

function downed({ width, channels, data }: Pixels, places: number, weights: Weights): Pixels {
  const line = width * channels;
  const out = new Uint8ClampedArray(places * line);
  for (let place = 0; place < places; place++) {
    const { first, weights: own } = weights[place];
    for (let column = 0; column < line; column++) {
      let sum = HALF;
      let at = first * line + column;
      for (let n = 0; n < own.length; n++) {
        sum += data[at] * own[n];
        at += line;
      }
      out[place * line + column] = sum >> BITS;
    }
  }
  return { height: places, width, channels, data: out };
}

/** Colours times alpha, rounded as Pillow's MULDIV255 does. */
function premultiplied(data: Pixels["data"]): Uint8Array {
  const out = Uint8Array.from(data);
  for (let at = 0; at < out.length; at += 4) {
    for (let colour = at; colour < at + 3; colour++) {
      const product = data[colour] * data[at + 3] + 128;
      out[colour] = (product + (product >> 8)) >> 8;
    }
  }
  return out;
}

/** The colours again, cut off; as they are where alpha is 0 or 255. */
function unpremultiplied(data: Pixels["data"]): Uint8Array {
  const out = Uint8Array.from(data);
  for (let at = 0; at < out.length; at += 4) {
    const alpha = data[at + 3];
    if (alpha !== 0 && alpha !== 255) {
      for (let colour = at; colour < at + 3; colour++) {
        out[colour] = Math.min(Math.floor((255 * data[colour]) / alpha), 255);
      }
    }
  }
  return out;
}
