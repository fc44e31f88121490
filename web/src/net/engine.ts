/**
 * A model that is open and the maps of its last run: everything that the worker does, without the worker.
 *
 * Legend: K classes, F features, C channels, (H, W) sides of what the network sees, (h, w) of the last maps.
 */

import { unknown } from "./card";
import { type Pixels, toRgba } from "./channels";
import { componentsOf } from "./components";
import { leastSide } from "./config";
import { type Convolution, type Shape, folded } from "./fold";
import { type Digests, type Folder, openFolder } from "./folder";
import { expectIndex, filterOf, placeOf, productsOf } from "./inside";
import { Kernel } from "./kernel";
import { Network, described } from "./network";
import { normalised } from "./normalise";
import { painted } from "./paint";
import { LARGEST_SIDE, type Size, expectEightBits, meanColour } from "./preprocess";
import { resized } from "./resize";
import { slidAt, slidEverywhere } from "./slide";
import { softmax } from "./softmax";
import { trailOf } from "./trail";
import { trial } from "./trial";
import * as types from "./types";

const { Refusal } = types;

/** What one or two views of a picture give. */
interface Views {
  classMaps: Float32Array;
  features: Float32Array;
}

interface Opened {
  folder: Folder;
  chain: readonly Convolution[];
  network: Network;
  model: types.Model;
}

export class LocalEngine {
  private opened: Opened | null = null;
  /** What the last run was of, and whether its maps are still in memory. */
  private last: { input: Float32Array; size: Size; fresh: boolean } | null = null;
  /** The last picture at the network's size, so that a cover that moves does not resize it again. */
  private seen: { picture: types.Picture; pixels: Pixels } | null = null;

  /** Runs what is only tried out. */
  private bench: Kernel | null = null;

  constructor(private readonly kernel = new Kernel()) {}

  /** Opens a model in place of the one before, which stays open where this one is refused. */
  open(files: types.ModelFiles, digests?: Digests): types.Model {
    const folder = openFolder(files, digests);
    const chain = folded(folder.network, folder);
    const before = this.opened;
    this.last = null;
    this.seen = null;
    this.opened = null;
    try {
      const network = new Network(this.kernel, chain, folder.network.channels);
      this.opened = { folder, chain, network, model: modelOf(folder, chain) };
      return this.opened.model;
    } catch (error) {
      if (before) {
        const network = new Network(this.kernel, before.chain, before.folder.network.channels);
        this.opened = { ...before, network };
      }
      throw error;
    }
  }

  run(question: types.Question): types.Answer {
    const start = performance.now();
    const { folder, chain, network, model } = this.model();
    const size = this.expectSize(question.size ?? model.size);
    const pixels = covered(this.resized(question.picture, size), meanColour(folder.preprocess), question.cover ?? null);
    const input = normalised(pixels, folder.preprocess);
    const { classMaps, features } = this.views(input, size);
    this.last = { input, size, fresh: true };
    const sides = network.sides(size);
    const said = this.answered(classMaps, features);
    return {
      size,
      seen: toRgba(pixels.data, pixels.channels),
      ...said,
      classMaps,
      mapSize: sides[sides.length - 1],
      sides,
      macs: chain.map((layer, index) => layer.weight.length * sides[index][0] * sides[index][1]),
      painted: this.paint(question.mosaics ?? []),
      milliseconds: performance.now() - start,
    };
  }

  paint(mosaics: readonly types.Mosaic[]): types.Painted[] {
    const { chain } = this.model();
    return mosaics.map((mosaic) => {
      expectIndex("layer", mosaic.layer, chain.length);
      const network = this.withMaps();
      const maps = network.maps(mosaic.layer);
      return painted(network.view(maps), maps, mosaic);
    });
  }

  map(layer: number, unit: number): { size: Size; values: Float32Array } {
    const { chain } = this.model();
    expectIndex("layer", layer, chain.length);
    expectIndex("unit", unit, chain[layer].channels);
    const network = this.withMaps();
    const maps = network.maps(layer);
    return { size: maps.sides, values: network.map(maps, unit) };
  }

  place(block: number, y: number, x: number): types.Place {
    return placeOf(this.withMaps(), this.model().chain, block, y, x);
  }

  products(layer: number, unit: number, y: number, x: number): types.Products {
    return productsOf(this.withMaps(), this.model().chain, layer, unit, y, x);
  }

  follow(spot: types.Spot, wanted: types.Unit | null): types.Trail {
    return trailOf(this, this.model().chain, spot, wanted);
  }

  filter(layer: number, unit: number): { size: readonly [number, number, number]; values: Float32Array } {
    const { network, chain } = this.model();
    return filterOf(network, chain, layer, unit);
  }

  slid(y: number, x: number): types.Slid {
    const { network, input, size } = this.lastRun();
    return slidAt(network, this.model().chain, input, size, y, x);
  }

  slidEverywhere(): types.SlidEverywhere {
    const { network, input, size } = this.lastRun();
    return slidEverywhere(network, this.benchKernel(), this.model().chain, input, size);
  }

  components(layer: number): types.Components {
    const { chain } = this.model();
    expectIndex("layer", layer, chain.length);
    const network = this.withMaps();
    const maps = network.maps(layer);
    return componentsOf(
      Array.from({ length: maps.channels }, (_, unit) => network.map(maps, unit)),
      maps.sides,
    );
  }

  /** Largest difference of a probability from Python's for one picture of check.json; the last run's maps stay. */
  check(picture: types.CheckFile["pictures"][number]): number {
    const { folder, model } = this.model();
    const given = decoded(picture, model.classes.length);
    const pixels = resized(given, folder.preprocess, model.size);
    expectEightBits(folder.preprocess);
    const { classMaps, features } = this.views(normalised(pixels, folder.preprocess), model.size);
    const { probabilities } = this.answered(classMaps, features);
    return picture.probabilities.reduce((most, value, k) => Math.max(most, Math.abs(value - probabilities[k])), 0);
  }

  /** What a chain costs, in a memory of its own. */
  trial(shapes: readonly Shape[], size: Size): types.Trial {
    return trial(this.benchKernel(), shapes, size);
  }

  private benchKernel(): Kernel {
    this.bench ??= new Kernel();
    return this.bench;
  }

  private model(): Opened {
    if (this.opened === null) {
      throw new Refusal("no-model");
    }
    return this.opened;
  }

  /** The network with the maps of the last run in memory, where another picture was answered since. */
  private withMaps(): Network {
    const { network } = this.model();
    if (this.last === null) {
      throw new Refusal("no-picture");
    }
    if (!this.last.fresh) {
      network.run(this.last.input, this.last.size);
      this.last.fresh = true;
    }
    return network;
  }

  /** The network with its maps, and what it was run on. */
  private lastRun(): { network: Network; input: Float32Array; size: Size } {
    const network = this.withMaps();
    const { input, size } = this.last!;
    return { network, input, size };
  }

  private expectSize(size: Size): Size {
    const { model } = this.model();
    if (model.fixed && String(size) !== String(model.size)) {
      throw new Refusal("fixed", { height: model.size[0], width: model.size[1] });
    }
    for (const side of size) {
      if (!Number.isInteger(side) || side < model.least || side > LARGEST_SIDE) {
        throw new Refusal("size", { found: String(side), least: model.least, most: LARGEST_SIDE });
      }
    }
    return [size[0], size[1]];
  }

  private resized(picture: types.Picture, size: Size): Pixels {
    const { folder } = this.model();
    expectEightBits(folder.preprocess);
    const { width, height, data } = picture;
    if (!(width >= 1 && height >= 1 && data.length === 4 * width * height)) {
      throw new Refusal("no-picture");
    }
    const held = this.seen;
    if (held === null || held.picture !== picture || String([held.pixels.height, held.pixels.width]) !== String(size)) {
      this.seen = { picture, pixels: resized(picture, folder.preprocess, size) };
    }
    return this.seen!.pixels;
  }

  /** Class maps (K, h, w) and mean features (F,): with mirror the means of both views, the second turned back. */
  private views(input: Float32Array, size: Size): Views {
    const { folder, network } = this.model();
    if (this.last) {
      this.last.fresh = false;
    }
    const mirrored = folder.network.mirror
      ? this.view(network, turned(input, size, folder.network.channels), size)
      : null;
    const straight = this.view(network, input, size); // second: its maps stay in memory
    if (mirrored === null) {
      return straight;
    }
    const width = network.sides(size).at(-1)![1];
    return {
      classMaps: straight.classMaps.map((value, at) => {
        const column = at % width;
        return (value + mirrored.classMaps[at - column + (width - 1 - column)]) / 2;
      }),
      features: straight.features.map((value, f) => (value + mirrored.features[f]) / 2),
    };
  }

  private view(network: Network, input: Float32Array, size: Size): Views {
    const { chain, folder } = this.model();
    network.run(input, size);
    const maps = network.maps(chain.length - 1);
    const places = maps.sides[0] * maps.sides[1];
    const classMaps = new Float32Array(maps.channels * places);
    for (let k = 0; k < maps.channels; k++) {
      classMaps.set(network.map(maps, k), k * places);
    }
    const read = network.inputs(chain.length - 1);
    const features = Float32Array.from({ length: folder.network.features }, (_, f) => meanOf(network.map(read, f)));
    return { classMaps, features };
  }

  /** What class maps (K, h, w) and mean features (F,) say. Throws Refusal "not-finite". */
  private answered(
    classMaps: Float32Array,
    features: Float32Array,
  ): Pick<types.Answer, "logits" | "probabilities" | "top" | "unknown" | "distance"> {
    const { folder, model } = this.model();
    const places = classMaps.length / model.classes.length;
    const logits = Float32Array.from(model.classes, (_, k) => meanOf(classMaps.subarray(k * places, (k + 1) * places)));
    const probabilities = Float32Array.from(softmax(logits, folder.calibration.temperature));
    const distance = folder.likeness?.distance(features) ?? null;
    if (![...logits, ...probabilities, distance ?? 0].every(Number.isFinite)) {
      throw new Refusal("not-finite", { name: "logits" });
    }
    const top = probabilities.reduce((best, value, k) => (value > probabilities[best] ? k : best), 0);
    return { logits, probabilities, top, unknown: unknown(folder.calibration, probabilities[top], distance), distance };
  }
}

function modelOf(folder: Folder, chain: readonly Convolution[]): types.Model {
  const { network, preprocess, calibration } = folder;
  const learnt = [...folder.weights].filter(([name]) => !/\.running_(mean|var)$/.test(name));
  return {
    name: network.name,
    classes: folder.classes,
    size: preprocess.size,
    channels: preprocess.channels,
    fit: preprocess.fit,
    normalisation: preprocess.normalisation,
    fixed: preprocess.zca !== null,
    least: leastSide(network),
    mirror: network.mirror,
    layers: described(chain),
    parameters: learnt.reduce((sum, [, values]) => sum + values.length, 0),
    unknownBelow: calibration.unknownBelow > 0 ? calibration.unknownBelow : null,
    unknownBeyond: calibration.unknownBeyond,
    accuracy: folder.metrics,
    licence: folder.licence,
    data: folder.data,
  };
}

/** Pixels with a square of this colour over them, cut off at the edge. */
function covered(pixels: Pixels, colour: readonly number[], cover: types.Cover | null): Pixels {
  if (cover === null || !(cover.side > 0)) {
    return pixels;
  }
  const { height, width, channels } = pixels;
  const data = pixels.data.slice();
  const [top, left, side] = [cover.y, cover.x, cover.side].map(Math.round);
  for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
    for (let x = Math.max(0, left); x < Math.min(width, left + side); x++) {
      data.set(colour, (y * width + x) * channels);
    }
  }
  return { ...pixels, data };
}

/** (H, W, C) with left and right exchanged. */
function turned(input: Float32Array, [, width]: Size, channels: number): Float32Array {
  const out = new Float32Array(input.length);
  const line = width * channels;
  for (let at = 0; at < input.length; at += channels) {
    const start = at - (at % line);
    const to = start + line - channels - (at - start);
    for (let channel = 0; channel < channels; channel++) {
      out[to + channel] = input[at + channel];
    }
  }
  return out;
}

function meanOf(values: Float32Array): number {
  let sum = 0;
  for (let n = 0; n < values.length; n++) {
    sum += values[n];
  }
  return sum / values.length;
}

/** The picture of one answer of check.json. Throws Refusal "check" for one that makes no sense. */
function decoded(
  { height, width, channels, pixels, probabilities }: types.CheckFile["pictures"][number],
  classes: number,
): types.Picture {
  let text: string;
  try {
    text = atob(pixels);
  } catch {
    throw new Refusal("check");
  }
  const data = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const fits = [1, 3, 4].includes(channels) && height >= 1 && width >= 1 && data.length === height * width * channels;
  if (!fits || probabilities.length !== classes || !probabilities.every(Number.isFinite)) {
    throw new Refusal("check");
  }
  return { width, height, data: toRgba(data, channels) };
}
