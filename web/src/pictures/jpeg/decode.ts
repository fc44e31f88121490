/**
 * JPEG decoded as nin.data.images does it: shrunk to 1/2, 1/4 or 1/8 while it is decoded where its short side is much
 * longer than the network's, colours and enlarging as in libjpeg. A browser's own decoder shrinks nothing, and what it
 * gives differs from browser to browser. Source: libjpeg 6b and libjpeg-turbo, jdsample.c, jdcolor.c; Pillow's `draft`.
 */
import { Refusal, type Picture } from "../../net/types";
import { OtherKind, readJpeg, type Component, type Frame, type Jpeg, type Shrink } from "./frame";
import type { Side } from "./transform";

const MOST_PIXELS = 25e6; // nin.data.images.LIMITS, of a picture as it is decoded
const MOST_SHRUNK = 200e6; // nin.data.images.LIMITS, in the header of one that is shrunk
const SHARES = [8, 4, 2, 1] as const;

/** Pillow's choice: the smallest version whose sides are at least 2 * near; a picture held whole is not shrunk. */
export function shareFor(width: number, height: number, near: number): 1 | 2 | 4 | 8 {
  const scale = Math.min(Math.floor(width / (2 * near)), Math.floor(height / (2 * near)));
  return SHARES.find((share) => scale >= share) ?? 1;
}

function shrinkFor(near: number): Shrink {
  return ({ width, height }, buffered) => {
    const share = shareFor(width, height, near);
    const pixels = Math.ceil(width / share) * Math.ceil(height / share);
    if (pixels > MOST_PIXELS || width * height > (buffered ? MOST_PIXELS : MOST_SHRUNK)) {
      throw new Refusal("picture-too-large");
    }
    return (8 / share) as Side;
  };
}

/** Samples of a component as there are in the picture, in rows of `stride`. */
interface Plane {
  samples: Uint8Array;
  stride: number;
  width: number;
  height: number;
}

function planeOf({ maxH, maxV, width, height }: Frame, one: Component): Plane {
  return {
    samples: one.plane,
    stride: one.blocksAcross * one.side,
    width: Math.ceil((width * one.h * one.side) / (8 * maxH)),
    height: Math.ceil((height * one.v * one.side) / (8 * maxV)),
  };
}

/** Twice as wide: three quarters of the nearer sample, a quarter of the other (h2v1_fancy_upsample). */
function wider({ samples, stride, width, height }: Plane): Plane {
  const out = new Uint8Array(2 * width * height);
  for (let y = 0; y < height; y++) {
    const from = y * stride;
    const to = 2 * width * y;
    for (let x = 0; x < width; x++) {
      const value = samples[from + x]!;
      out[to + 2 * x] = x ? (3 * value + samples[from + x - 1]! + 1) >> 2 : value;
      out[to + 2 * x + 1] = x < width - 1 ? (3 * value + samples[from + x + 1]! + 2) >> 2 : value;
    }
  }
  return { samples: out, stride: 2 * width, width: 2 * width, height };
}

/** Row that has a quarter's share in a row of the enlarged plane: the one above, or the one below. */
function otherRow(y: number, height: number): number {
  const row = y >> 1;
  return y & 1 ? Math.min(height - 1, row + 1) : Math.max(0, row - 1);
}

/** Twice as high (h1v2_fancy_upsample). */
function higher({ samples, stride, width, height }: Plane): Plane {
  const out = new Uint8Array(2 * width * height);
  for (let y = 0; y < 2 * height; y++) {
    const near = (y >> 1) * stride;
    const far = otherRow(y, height) * stride;
    const bias = y & 1 ? 2 : 1;
    for (let x = 0; x < width; x++) out[y * width + x] = (3 * samples[near + x]! + samples[far + x]! + bias) >> 2;
  }
  return { samples: out, stride: width, width, height: 2 * height };
}

/** Twice as wide and high (h2v2_fancy_upsample). */
function larger({ samples, stride, width, height }: Plane): Plane {
  const out = new Uint8Array(4 * width * height);
  const sums = new Int32Array(width);
  for (let y = 0; y < 2 * height; y++) {
    const near = (y >> 1) * stride;
    const far = otherRow(y, height) * stride;
    const to = 2 * width * y;
    for (let x = 0; x < width; x++) sums[x] = 3 * samples[near + x]! + samples[far + x]!;
    for (let x = 0; x < width; x++) {
      const sum = sums[x]!;
      out[to + 2 * x] = x ? (3 * sum + sums[x - 1]! + 8) >> 4 : (4 * sum + 8) >> 4;
      out[to + 2 * x + 1] = x < width - 1 ? (3 * sum + sums[x + 1]! + 7) >> 4 : (4 * sum + 7) >> 4;
    }
  }
  return { samples: out, stride: 2 * width, width: 2 * width, height: 2 * height };
}

/** Every sample so many times across and down (int_upsample). */
function repeated({ samples, stride, width, height }: Plane, across: number, down: number): Plane {
  const out = new Uint8Array(across * down * width * height);
  const wide = across * width;
  for (let y = 0; y < down * height; y++) {
    const from = Math.floor(y / down) * stride;
    for (let x = 0; x < wide; x++) out[y * wide + x] = samples[from + Math.floor(x / across)]!;
  }
  return { samples: out, stride: wide, width: wide, height: down * height };
}

/** A component's samples at the size of the picture; how libjpeg enlarges depends on what it has to enlarge. */
function enlarged(frame: Frame, one: Component, least: Side): Plane {
  const plane = planeOf(frame, one);
  const across = (frame.maxH * least) / (one.h * one.side);
  const down = (frame.maxV * least) / (one.v * one.side);
  if (!Number.isInteger(across) || !Number.isInteger(down)) throw new OtherKind();
  const smooth = least > 1;
  if (across === 1 && down === 1) return plane;
  if (smooth && plane.width > 2 && across === 2 && down === 1) return wider(plane);
  if (smooth && across === 1 && down === 2) return higher(plane);
  if (smooth && plane.width > 2 && across === 2 && down === 2) return larger(plane);
  return repeated(plane, across, down);
}

type Mix = (out: Uint8ClampedArray, at: number, values: readonly number[]) => void;

const FIX = (value: number) => Math.round(value * 65536);
const RED = FIX(1.402);
const GREEN_RED = FIX(0.71414);
const GREEN_BLUE = FIX(0.34414);
const BLUE = FIX(1.772);
const HALF = 32768;

function rgb(out: Uint8ClampedArray, at: number, y: number, cb: number, cr: number): void {
  out[at] = y + ((RED * (cr - 128) + HALF) >> 16);
  out[at + 1] = y + ((-GREEN_BLUE * (cb - 128) + HALF - GREEN_RED * (cr - 128)) >> 16);
  out[at + 2] = y + ((BLUE * (cb - 128) + HALF) >> 16);
}

/** Ink as light, as Pillow's "CMYK;I" and its conversion to RGB have it: 255 of a stored value is no ink. */
function printed(out: Uint8ClampedArray, at: number, black: number): void {
  for (let channel = 0; channel < 3; channel++) {
    const product = (255 - out[at + channel]!) * black + 128;
    out[at + channel] = black - (((product >> 8) + product) >> 8);
  }
}

const MIXES: Readonly<Record<"grey" | "rgb" | "ycc" | "cmyk" | "ycck", Mix>> = {
  grey: (out, at, [value]) => out.fill(value!, at, at + 3),
  rgb: (out, at, [red, green, blue]) => out.set([red!, green!, blue!], at),
  ycc: (out, at, [y, cb, cr]) => rgb(out, at, y!, cb!, cr!),
  cmyk: (out, at, [cyan, magenta, yellow, black]) => {
    out.set([cyan!, magenta!, yellow!], at);
    printed(out, at, black!);
  },
  ycck: (out, at, [y, cb, cr, black]) => {
    rgb(out, at, y!, cb!, cr!);
    for (let channel = 0; channel < 3; channel++) out[at + channel] = 255 - out[at + channel]!;
    printed(out, at, black!);
  },
};

/** Which colours the components are (libjpeg, jdapimin.c). */
function kindOf({ frame, adobe, jfif }: Jpeg): keyof typeof MIXES {
  const ids = String.fromCharCode(...frame.components.map(({ id }) => id));
  if (frame.components.length === 1) return "grey";
  if (frame.components.length === 4) return adobe === 2 ? "ycck" : "cmyk";
  if (jfif) return "ycc";
  if (adobe !== null) return adobe === 0 ? "rgb" : "ycc";
  return ids === "RGB" ? "rgb" : "ycc";
}

/** The picture as the file stores it, at the size that Python decodes it for a network of side `near`. */
export function decodeJpeg(data: Uint8Array, near: number): { picture: Picture; orientation: number } {
  let least: Side = 8;
  const shrink = shrinkFor(near);
  const jpeg = readJpeg(data, (frame, buffered) => (least = shrink(frame, buffered)));
  const { frame } = jpeg;
  const planes = frame.components.map((one) => enlarged(frame, one, least));
  const width = Math.ceil((frame.width * least) / 8);
  const height = Math.ceil((frame.height * least) / 8);
  const out = new Uint8ClampedArray(4 * width * height).fill(255);
  const mix = MIXES[kindOf(jpeg)];
  const values = new Array<number>(planes.length).fill(0);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let number = 0; number < planes.length; number++) {
        const { samples, stride } = planes[number]!;
        values[number] = samples[y * stride + x]!;
      }
      mix(out, 4 * (y * width + x), values);
    }
  }
  return { picture: { width, height, data: out }, orientation: jpeg.orientation };
}
