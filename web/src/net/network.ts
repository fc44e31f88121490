/**
 * A network in memory: a picture in, every map of every layer there until the next one.
 *
 * Legend: (H, W) sides of the picture, (h, w) of a map, C channels. Maps lie channels-last, `step` numbers a place.
 */

import { convolvedSide, pooledSide } from "./config";
import type { Convolution } from "./fold";
import type { Kernel } from "./kernel";
import { type Packing, pack, packedAt, packedSizes, packingOf } from "./packed";
import type { Size } from "./preprocess";
import type { Layer } from "./types";

const WORD = 4; // bytes of a number

/** Maps in memory: where they begin (bytes), their sides, channels, and numbers from a place to the next. */
export interface Maps {
  at: number;
  sides: Size;
  channels: number;
  step: number;
}

/** What one layer needs for pictures of one size. */
interface Stage {
  /** What it reads, and the same with zeros around it where it reads those. */
  read: Maps;
  bordered: Maps | null;
  made: Maps;
  /** Where each window begins: see the kernel's `convolve`. */
  windows: number;
  pooled: Maps | null;
}

interface Held {
  layer: Convolution;
  packing: Packing;
  weights: number;
  bias: number;
}

/** Hands out memory in order. */
class Ground {
  constructor(private end: number) {}

  take(numbers: number): number {
    const at = this.end;
    this.end += Math.ceil(numbers / 4) * 4 * WORD;
    return at;
  }

  get size(): number {
    return this.end;
  }
}

export class Network {
  private readonly held: Held[] = [];
  private readonly weightsEnd: number;
  private picture: Maps = { at: 0, sides: [0, 0], channels: 0, step: 0 };
  private stages: Stage[] = [];

  /** Throws Refusal "too-large" where the weights need too much memory. */
  constructor(
    private readonly kernel: Kernel,
    private readonly chain: readonly Convolution[],
    private readonly channels: number,
  ) {
    const ground = new Ground(0);
    let step = channels;
    for (const layer of chain) {
      const packing = packingOf(layer, step);
      const [weights, bias] = packedSizes(layer, packing);
      this.held.push({ layer, packing, weights: ground.take(weights), bias: ground.take(bias) });
      step = packing.step;
    }
    this.weightsEnd = ground.size;
    kernel.reserve(ground.size);
    kernel.floats.fill(0, 0, ground.size / WORD);
    for (const { layer, packing, weights, bias } of this.held) {
      const [count, biases] = packedSizes(layer, packing);
      pack(layer, packing, this.numbers(weights, count), this.numbers(bias, biases));
    }
  }

  /** Runs the network on a picture (H, W, C). Throws Refusal "too-large" before memory is asked for. */
  run(picture: Float32Array, size: Size): void {
    if (String(size) !== String(this.picture.sides)) {
      this.layOut(size);
    }
    this.kernel.floats.set(picture, this.picture.at / WORD);
    this.stages.forEach((stage, index) => this.runLayer(this.held[index], stage));
  }

  /** Sides of a layer's maps for pictures of this size. */
  sides(size: Size): Size[] {
    let sides = size;
    return this.chain.map((layer) => {
      const made = layer.depth === 0 ? both(sides, (side) => convolvedSide(side, layer)) : sides;
      const { pool } = layer;
      sides = pool === null ? made : both(made, (side) => pooledSide(side, pool));
      return made;
    });
  }

  /** The maps of a layer after its activation. */
  maps(index: number): Maps {
    return this.stages[index].made;
  }

  /** What a layer reads. */
  inputs(index: number): Maps {
    return this.stages[index].read;
  }

  /** One value of maps; zero outside of them. */
  value({ at, sides: [height, width], step }: Maps, channel: number, y: number, x: number): number {
    const inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? this.kernel.floats[at / WORD + (y * width + x) * step + channel] : 0;
  }

  /** One map (h, w). */
  map({ at, sides: [height, width], step }: Maps, channel: number): Float32Array {
    const { floats } = this.kernel;
    const values = new Float32Array(height * width);
    let from = at / WORD + channel;
    for (let place = 0; place < values.length; place++) {
      values[place] = floats[from];
      from += step;
    }
    return values;
  }

  /** The memory in which maps lie, from their first number on. */
  view({ at, sides: [height, width], step }: Maps): Float32Array {
    return this.numbers(at, height * width * step);
  }

  /** The weight that joins an input (a number within the group) at a place of the window to a unit of a layer. */
  weight(index: number, unit: number, row: number, column: number, input: number): number {
    const { layer, packing, weights } = this.held[index];
    return this.kernel.floats[weights / WORD + packedAt(layer, packing, unit, row, column, input)];
  }

  bias(index: number, unit: number): number {
    return this.chain[index].bias[unit];
  }

  private numbers(at: number, count: number): Float32Array {
    return this.kernel.floats.subarray(at / WORD, at / WORD + count);
  }

  /** Decides where everything lies for pictures of this size, and fills the tables of windows. */
  private layOut(size: Size): void {
    const ground = new Ground(this.weightsEnd);
    const place = (sides: Size, channels: number, step: number): Maps => ({
      at: ground.take(sides[0] * sides[1] * step),
      sides,
      channels,
      step,
    });
    const picture = place(size, this.channels, this.channels);
    const sides = this.sides(size);
    let read = picture;
    const stages = this.held.map(({ layer, packing }, index): Stage => {
      const { pool, padding } = layer;
      const around = both(read.sides, (side) => side + 2 * padding);
      const stage = {
        read,
        bordered: padding > 0 ? place(around, read.channels, read.step) : null,
        made: place(sides[index], layer.channels, packing.step),
        windows: ground.take(Math.ceil((sides[index][0] * sides[index][1]) / 4) * 4),
        pooled:
          pool &&
          place(
            both(sides[index], (side) => pooledSide(side, pool)),
            layer.channels,
            packing.step,
          ),
      };
      read = stage.pooled ?? stage.made;
      return stage;
    });
    this.picture = { ...picture, sides: [0, 0] }; // nothing is laid out until there is memory for it
    this.kernel.reserve(ground.size);
    this.kernel.floats.fill(0, this.weightsEnd / WORD, ground.size / WORD);
    this.picture = picture;
    this.stages = stages;
    stages.forEach((stage, index) => this.fillWindows(stage, this.held[index].layer.stride));
  }

  private fillWindows({ read, bordered, made, windows }: Stage, stride: number): void {
    const { words } = this.kernel;
    const from = bordered ?? read;
    const [height, width] = made.sides;
    const count = Math.ceil((height * width) / 4) * 4;
    for (let n = 0; n < count; n++) {
      const place = Math.min(n, height * width - 1);
      const row = Math.floor(place / width) * stride;
      const column = (place % width) * stride;
      words[windows / WORD + n] = (row * from.sides[1] + column) * from.step * WORD;
    }
  }

  private runLayer(held: Held, stage: Stage): void {
    const { layer, packing } = held;
    const { run } = this.kernel;
    const { read, bordered, made, pooled } = stage;
    if (bordered) {
      this.border(read, bordered, layer.padding);
    }
    const from = bordered ?? read;
    const [weights] = packedSizes(layer, packing);
    const relu = layer.activation === "relu";
    const places = made.sides[0] * made.sides[1];
    for (let group = 0; group < layer.groups; group++) {
      run.convolve(
        from.at + ((group * layer.inputs) / layer.groups) * WORD,
        made.at + ((group * layer.channels) / layer.groups) * WORD,
        made.step * WORD,
        stage.windows,
        places,
        held.weights + ((group * weights) / layer.groups) * WORD,
        held.bias + group * packing.blocks * 8 * WORD,
        packing.blocks,
        layer.kernel,
        from.sides[1] * from.step * WORD,
        packing.runs,
        from.step * WORD,
        packing.length,
        relu,
      );
    }
    if (layer.activation === "gelu" || layer.activation === "silu") {
      run[layer.activation](made.at, places * made.step);
    }
    if (pooled && layer.pool) {
      const { kind, size, stride, padding } = layer.pool;
      run.pool(
        made.at,
        pooled.at,
        made.step * WORD,
        ...made.sides,
        ...pooled.sides,
        size,
        stride,
        padding,
        kind === "avg",
      );
    }
  }

  /** Copies maps into the middle of larger ones, whose border is zero and stays so. */
  private border(read: Maps, bordered: Maps, padding: number): void {
    const { floats } = this.kernel;
    const [height, width] = read.sides;
    const line = width * read.step;
    for (let row = 0; row < height; row++) {
      const to = ((row + padding) * bordered.sides[1] + padding) * bordered.step;
      const from = read.at / WORD + row * line;
      floats.copyWithin(bordered.at / WORD + to, from, from + line);
    }
  }
}

function both(sides: Size, change: (side: number) => number): Size {
  return [change(sides[0]), change(sides[1])];
}

/** What the page is told of each layer: field and jump grow as nin.network.walk has them. */
export function described(chain: readonly Convolution[]): Layer[] {
  let field = 1;
  let jump = 1;
  return chain.map((layer, index) => {
    const { pool, activation } = layer;
    field += (layer.kernel - 1) * jump;
    jump *= layer.stride;
    const seen = { field, jump };
    if (pool) {
      field += (pool.size - 1) * jump;
      jump *= pool.stride;
    }
    return {
      index,
      block: layer.block,
      depth: layer.depth,
      kernel: layer.kernel,
      stride: layer.stride,
      padding: layer.padding,
      groups: layer.groups,
      inputs: layer.inputs,
      channels: layer.channels,
      activation: activation === "identity" ? null : activation,
      weights: layer.weight.length + layer.bias.length,
      pool: pool && { kind: pool.kind, size: pool.size, stride: pool.stride },
      ...seen,
    };
  });
}

/** Where on the picture the first value of a layer begins to see: the top (or left) pixel, under 0 outside. */
export function firstPixel(chain: readonly Convolution[], index: number): number {
  let start = 0;
  let jump = 1;
  chain.slice(0, index + 1).forEach((layer, number) => {
    start -= layer.padding * jump;
    jump *= layer.stride;
    if (layer.pool && number < index) {
      start -= layer.pool.padding * jump;
      jump *= layer.pool.stride;
    }
  });
  return start;
}
