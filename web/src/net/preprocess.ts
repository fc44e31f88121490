/** How a picture of any size becomes what a network takes: nin.data.preprocess's twin, but for the arithmetic. */

import { isTable, shown } from "./json";
import { type Tensor, floats } from "./safetensors";
import { sha256 } from "./sha256";
import { type Model, Refusal } from "./types";

export type Size = readonly [number, number];
export type Channels = Model["channels"];

/** Whitening: flat x (D,) -> (x - mean) @ matrix, matrix (D, D). */
export interface Zca {
  mean: Float32Array;
  matrix: Float32Array;
}

export interface Preprocess {
  /** (H, W), in pixels. */
  size: Size;
  channels: Channels;
  fit: Model["fit"];
  /** One number a channel, in units of 0..1. */
  mean: readonly number[];
  std: readonly number[];
  normalisation: Model["normalisation"];
  zca: Zca | null;
  /** Values of deep pictures that become 0 and 255; null: the full scale. */
  range: readonly [number, number] | null;
}

const FITS = ["stretch", "pad", "crop"] as const;
const NORMALISATIONS = ["standard", "gcn", "gcn-zca", "lcn"] as const;
const NAMES = ["size", "channels", "fit", "mean", "std"];
const MORE = ["normalisation", "zca", "value_range"];
const MOST_VALUES = 8_192; // of a picture to whiten
const FULL = ["0,1", "-1,1", "0,255", "0,65535"]; // ranges that are the ends of a scale

export const LARGEST_SIDE = 4096; // pixels

const refused = (part: string, found: unknown): Refusal => new Refusal("preprocess", { part, found: shown(found) });

function numbers(part: string, value: unknown, count: number, low: number, high: number): number[] {
  const good = (each: unknown): each is number => typeof each === "number" && each >= low && each <= high;
  if (!Array.isArray(value) || value.length !== count || !value.every(good)) {
    throw refused(part, value);
  }
  return value;
}

function oneOf<Choice>(part: string, value: unknown, choices: readonly Choice[]): Choice {
  if (!choices.includes(value as Choice)) {
    throw refused(part, value);
  }
  return value as Choice;
}

/** The preprocessing that config.json describes, with what was fitted. Throws Refusal "preprocess". */
export function preprocessFrom(value: unknown, fitted: ReadonlyMap<string, Tensor>): Preprocess {
  if (!isTable(value)) {
    throw refused("preprocess", value);
  }
  for (const name of [...NAMES.filter((each) => !Object.hasOwn(value, each)), ...Object.keys(value)]) {
    if (![...NAMES, ...MORE].includes(name) || !Object.hasOwn(value, name)) {
      throw refused(shown(name), value[name]);
    }
  }
  const [height, width] = numbers("size", value.size, 2, 1, LARGEST_SIDE);
  if (!Number.isInteger(height) || !Number.isInteger(width)) {
    throw refused("size", value.size);
  }
  const channels = oneOf("channels", value.channels, [1, 3, 4] as const);
  const normalisation = oneOf("normalisation", value.normalisation ?? "standard", NORMALISATIONS);
  const whitens = normalisation === "gcn-zca";
  if (whitens !== Object.hasOwn(value, "zca")) {
    throw refused("zca", value.zca);
  }
  const size: Size = [height, width];
  return {
    size,
    channels,
    fit: oneOf("fit", value.fit, FITS),
    mean: numbers("mean", value.mean, channels, 0, 1),
    std: numbers("std", value.std, channels, 1e-6, 1),
    normalisation,
    zca: whitens ? zcaFrom(value.zca, fitted, channels * height * width) : null,
    range: (value.value_range ?? null) === null ? null : rangeFrom(value.value_range),
  };
}

function rangeFrom(value: unknown): [number, number] {
  const [low, high] = numbers("value_range", value, 2, -Number.MAX_VALUE, Number.MAX_VALUE);
  if (!(low < high)) {
    throw refused("value_range", value);
  }
  return [low, high];
}

function zcaFrom(facts: unknown, fitted: ReadonlyMap<string, Tensor>, count: number): Zca {
  const mean = fitted.get("zca.mean");
  const matrix = fitted.get("zca.matrix");
  if (mean === undefined || matrix === undefined) {
    throw new Refusal("missing", { file: "preprocess.safetensors" });
  }
  const fits = String(mean.shape) === String([count]) && String(matrix.shape) === String([count, count]);
  if (!fits || count > MOST_VALUES || mean.dtype !== "F32" || matrix.dtype !== "F32") {
    throw refused("zca", matrix.shape);
  }
  if (!isTable(facts) || facts.sha256 !== sha256(mean.bytes, matrix.bytes)) {
    throw new Refusal("changed", { file: "preprocess.safetensors" });
  }
  return { mean: floats(mean, "zca.mean"), matrix: floats(matrix, "zca.matrix") };
}

/**
 * Throws Refusal "deep" where the network learned from deep values of a scale of their own, on which the 8 bits of a
 * picture in a browser mean nothing: nin.data.depth's `to_uint8`.
 */
export function expectEightBits({ range }: Preprocess): void {
  if (range !== null && !FULL.includes(String(range))) {
    throw new Refusal("deep", { low: range[0], high: range[1] });
  }
}

/** The mean colour in 0..255, halves rounded to even: what a picture is padded and covered with. */
export function meanColour({ mean }: Preprocess): number[] {
  return mean.map((value) => roundedToEven(value * 255));
}

/** As Python and NumPy round. */
export function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}
