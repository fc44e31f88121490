/**
 * What the engine in the worker and the rest of the page say to each other.
 *
 * Legend: K classes, C channels, (H, W) sides of what the network sees, (h, w) sides of a map. Maps are planar here:
 * values of one map lie together, row after row. All numbers are float32 unless it is said otherwise.
 */

import type { Told } from "../teach/folder_of";
import type { Head, Taught } from "../teach/taught";
import type { OpenTrunk } from "../teach/trunk";
import type { Shape } from "./fold";

/** The files of a model folder by their name in it: config.json, model.safetensors, labels.txt, ... */
export type ModelFiles = ReadonlyMap<string, Uint8Array>;

/** One reason why something is refused, in words that `words/*.json` hold under `refusal.<code>`. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly values: Readonly<Record<string, string | number>> = {},
  ) {
    super(`${code} ${JSON.stringify(values)}`);
    this.name = "Refusal";
  }
}

/** One convolution of the chain: the k x k filters of an mlpconv layer, or one of its 1x1 layers. */
export interface Layer {
  /** Place in the chain, from 0: how every other call names it. */
  index: number;
  /** Number of its mlpconv layer, from 0. */
  block: number;
  /** Number within the mlpconv layer: 0 is the k x k filters, 1 the first 1x1 layer. */
  depth: number;
  kernel: number;
  stride: number;
  padding: number;
  groups: number;
  inputs: number;
  /** Maps it makes. */
  channels: number;
  /** What follows it; null for none. */
  activation: "relu" | "gelu" | "silu" | null;
  /** Numbers that were learnt: weights and biases (normalisation folded in). */
  weights: number;
  /** The pooling after it, if it ends its mlpconv layer. */
  pool: { kind: "max" | "avg"; size: number; stride: number } | null;
  /** Side of what one of its values sees, in pixels of the network's picture, and the distance of two neighbours. */
  field: number;
  jump: number;
}

/** A model that is open. */
export interface Model {
  name: string;
  classes: readonly string[];
  /** Size (H, W) it was trained at, 1, 3 or 4 channels. */
  size: readonly [number, number];
  channels: 1 | 3 | 4;
  fit: "stretch" | "pad" | "crop";
  normalisation: "standard" | "gcn" | "gcn-zca" | "lcn";
  /** The only sizes it takes if whitening binds it to one; else null: any size of at least `least`. */
  fixed: boolean;
  least: number;
  mirror: boolean;
  layers: readonly Layer[];
  parameters: number;
  /** Probability under which the answer is "unknown", and distance beyond which it is; null: the model has none. */
  unknownBelow: number | null;
  unknownBeyond: number | null;
  /** What config.json says of its test: null where it says nothing. */
  accuracy: { value: number; low: number; high: number; n: number; split: string } | null;
  licence: string | null;
  data: string | null;
}

/** A decoded picture of any size: RGBA, 8 bits, colours not multiplied by alpha. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8ClampedArray;
}

/** A square of the mean colour over what the network sees, in its pixels. */
export interface Cover {
  y: number;
  x: number;
  side: number;
}

/** How a layer's maps are drawn: `ramp` is 256 RGBA colours from zero to strongest. */
export interface Mosaic {
  layer: number;
  columns: number;
  ramp: Uint8ClampedArray;
  /** "number": as they are numbered; "strength": largest mean first. */
  order: "number" | "strength";
  /** Strongest ink: of each map by itself, or of the whole layer. */
  scale: "map" | "layer";
}

/** A drawn mosaic: tiles of (h, w) pixels with one pixel of paper between; `order` says which map each tile shows. */
export interface Painted {
  layer: number;
  width: number;
  height: number;
  tile: readonly [number, number];
  columns: number;
  data: Uint8ClampedArray;
  order: Int32Array;
  /** Of each map, by its number: mean and largest value. */
  means: Float32Array;
  peaks: Float32Array;
}

export interface Question {
  /** Once asked about, its `data` must not change: another picture is another object. */
  picture: Picture;
  /** Size (H, W) to look at; the model's own by default. */
  size?: readonly [number, number];
  cover?: Cover | null;
  mosaics?: readonly Mosaic[];
}

export interface Answer {
  size: readonly [number, number];
  /** What the network saw: RGBA of (H, W), cover and all. */
  seen: Uint8ClampedArray;
  logits: Float32Array;
  probabilities: Float32Array;
  /** (K, h, w), and (h, w); their means are the logits. With mirror: the mean of both views. */
  classMaps: Float32Array;
  mapSize: readonly [number, number];
  /** Class of the largest logit. */
  top: number;
  /** null: the top class; "unsure": its probability is too low; "foreign": the picture is too unlike the training's. */
  unknown: "unsure" | "foreign" | null;
  distance: number | null;
  /** Sides of each layer's maps for this picture, and multiply-adds of one view. */
  sides: readonly (readonly [number, number])[];
  macs: readonly number[];
  painted: readonly Painted[];
  /** Time of the whole answer in the worker, in milliseconds. */
  milliseconds: number;
}

/** The micro network at one place of one mlpconv layer; places are those of its maps before pooling. */
export interface Place {
  block: number;
  y: number;
  x: number;
  /** What it sees of the picture, in the network's pixels up to before bottom and right; may reach over the edge. */
  field: { top: number; left: number; bottom: number; right: number };
  /** What the k x k filters read: (k, k, C), zeros where it lies outside. */
  patch: Float32Array;
  patchSize: readonly [number, number, number];
  /** For each layer of the block its values at this place, after the activation. */
  values: readonly { layer: number; values: Float32Array }[];
}

/** One unit's sum written out. */
export interface Products {
  layer: number;
  unit: number;
  /** Which input each product belongs to: a number of the layer's inputs, and where in the patch (0, 0 for 1x1). */
  inputs: Int32Array;
  rows: Int32Array;
  columns: Int32Array;
  values: Float32Array;
  weights: Float32Array;
  products: Float32Array;
  /** Sum of all products, in the order of the network; with the bias; after the activation. */
  sum: number;
  bias: number;
  before: number;
  after: number;
}

/** A place of one mlpconv layer. */
export interface Spot {
  block: number;
  y: number;
  x: number;
}

/** A unit of one layer, by its number there. */
export interface Unit {
  layer: number;
  unit: number;
}

/** One unit followed backwards through the micro network at one place. */
export interface Trail {
  place: Place;
  chosen: Unit;
  /** The chosen unit's sum; then that of its largest input in the layer before, and so on to the k x k filters. */
  sums: readonly Products[];
}

/** The first mlpconv layer at one place, both ways: a perceptron on the window there, and read from the maps. */
export interface Slid {
  /** What the window reads: (k, k, C). */
  window: Float32Array;
  windowSize: readonly [number, number, number];
  /** Of each layer of it: what the perceptron says, and what the convolution's maps have there. */
  layers: readonly { layer: number; slid: Float32Array; convolved: Float32Array }[];
  /** Largest difference of the two. */
  difference: number;
}

/** The same at all places: the largest difference, and milliseconds window by window and as convolutions. */
export interface SlidEverywhere {
  places: number;
  difference: number;
  slid: number;
  convolved: number;
}

/** Principal components of a layer's C maps over the places of the last picture, largest first. */
export interface Components {
  size: readonly [number, number];
  /** Shares of the variance, (C,); their sum is 1. */
  shares: Float64Array;
  /** What each component shows: (C, h, w). */
  maps: Float32Array;
  /** The effective number of independent maps. */
  effective: number;
}

export interface Check {
  /** Largest difference of a probability from Python's, over `pictures` pictures. */
  difference: number;
  pictures: number;
}

/** A chain of convolutions run with arbitrary weights: the fastest of several runs, and the sides of each layer's maps. */
export interface Trial {
  milliseconds: number;
  sides: readonly (readonly [number, number])[];
}

/** The engine as the page sees it; each call is answered by the worker. A run replaces the maps of the one before. */
export interface Engine {
  /** Opens a model in place of the one before. Throws Refusal. */
  open(files: ModelFiles): Promise<Model>;
  /** Answers for a picture. Of several that wait only the newest is run; the others resolve to null. Throws Refusal. */
  run(question: Question): Promise<Answer | null>;
  /** The maps of the last run drawn, without a run. */
  paint(mosaics: readonly Mosaic[]): Promise<Painted[]>;
  /** One map of the last run: (h, w). */
  map(layer: number, unit: number): Promise<{ size: readonly [number, number]; values: Float32Array }>;
  /** A place, and the sums behind the unit that is wanted there; its strongest of the last layer if it has no such. */
  follow(spot: Spot, wanted: Unit | null): Promise<Trail>;
  /** Weights of one filter: (k, k, C / groups). */
  filter(layer: number, unit: number): Promise<{ size: readonly [number, number, number]; values: Float32Array }>;
  /** The first mlpconv layer as a network slid over the picture, at one place of its maps, and at all of them. */
  slid(y: number, x: number): Promise<Slid>;
  slidEverywhere(): Promise<SlidEverywhere>;
  components(layer: number): Promise<Components>;
  /** Answers the pictures of check.json and compares with Python's probabilities; the last run's maps stay. */
  check(answers: CheckFile): Promise<Check>;
  /** Runs a chain on a picture of (H, W), beside the model that is open. Throws Refusal "too-large". */
  trial(shapes: readonly Shape[], size: readonly [number, number]): Promise<Trial>;
  /** New classes learnt from mean features (N, F) with labels (N,), beside the model that is open. */
  teach(features: Float32Array, labels: Int32Array, classes: number): Promise<Taught>;
  /** Opens a model's first mlpconv layers in place of the model before: classes are their maps. Throws Refusal. */
  openTrunk(files: ModelFiles, id: string, cut?: number): Promise<OpenTrunk>;
  /** The files of the model that a head makes of the open trunk. */
  taughtFolder(head: Head, told: Told): Promise<ModelFiles>;
  close(): void;
}

/**
 * check.json, format 1, written by nin.explorer.site: Python's answers for small generated pictures. `pixels` is base64
 * of (height, width, channels) uint8 as a file would give them, before resizing.
 */
export interface CheckFile {
  format: 1;
  pictures: {
    height: number;
    width: number;
    channels: 1 | 3 | 4;
    pixels: string;
    logits: number[];
    probabilities: number[];
    distance: number | null;
  }[];
}
