/**
 * The convolutions of a network with all that can be folded into their weights: nin.engine.graph's `_folded`.
 *
 * Batch normalisation, and the factor by which classic dropout scales the next layer's input, in double precision.
 */

import type { Activation, NetworkConfig, Pool } from "./config";
import type { Folder } from "./folder";
import { shown } from "./json";
import { Refusal } from "./types";

const NORM_EPSILON = 1e-5; // of torch's BatchNorm2d

/** One convolution of the chain, but for its weights. */
export interface Shape {
  block: number;
  depth: number;
  kernel: number;
  stride: number;
  padding: number;
  groups: number;
  inputs: number;
  channels: number;
  activation: Activation;
  /** The pooling after it, if it ends its mlpconv layer. */
  pool: Pool | null;
}

/** weight: (C', C / groups, k, k), bias: (C',). */
export interface Convolution extends Shape {
  weight: Float32Array;
  bias: Float32Array;
}

type Weights = Pick<Folder, "weights" | "shapes">;

/** The chain that a network is, without weights. */
export function shapesOf(config: NetworkConfig): Shape[] {
  let inputs = config.channels;
  return config.blocks.flatMap((block, number) =>
    block.channels.map((channels, depth): Shape => {
      const final = number === config.blocks.length - 1 && depth === block.channels.length - 1;
      const { kernel, stride, padding, groups } = depth === 0 ? block : { kernel: 1, stride: 1, padding: 0, groups: 1 };
      const activation = config.lastActivation || !final ? config.activation : "identity";
      const pool = depth === block.channels.length - 1 ? block.pool : null;
      const shape = { block: number, depth, kernel, stride, padding, groups, inputs, channels, activation, pool };
      inputs = channels;
      return shape;
    }),
  );
}

/** The chain of a network with these weights. Throws Refusal "weights" where one is missing or has another shape. */
export function folded(config: NetworkConfig, weights: Weights): Convolution[] {
  const shapes = shapesOf(config);
  const factors = config.blocks.map((block) => (config.classicDropout ? 1 - block.dropout : 1));
  return shapes.map((shape, index) => {
    const { block, depth } = shape;
    const final = index === shapes.length - 1;
    const place = `blocks.${block}.${depth ? `pointwise.${depth - 1}` : "spatial"}`;
    const norm = config.norm && (config.lastNorm || !final) ? `blocks.${block}.norms.${depth}` : null;
    const factor = depth === 0 && block > 0 ? factors[block - 1] : 1;
    const size = [shape.channels, shape.inputs / shape.groups, shape.kernel, shape.kernel];
    return { ...shape, ...foldedWeights(weights, place, norm, factor, size) };
  });
}

function named({ weights, shapes }: Weights, name: string, shape: readonly number[]): Float32Array {
  const found = weights.get(name);
  if (found === undefined || String(shapes.get(name)) !== String(shape)) {
    throw new Refusal("weights", { name: shown(name), found: found === undefined ? "-" : String(shapes.get(name)) });
  }
  return found;
}

function foldedWeights(
  weights: Weights,
  place: string,
  norm: string | null,
  factor: number,
  shape: readonly number[],
): Pick<Convolution, "weight" | "bias"> {
  const [channels] = shape;
  const plain = named(weights, `${place}.weight`, shape);
  const size = plain.length / channels;
  const shift = weights.weights.has(`${place}.bias`) ? named(weights, `${place}.bias`, [channels]) : null;
  const part = (name: string): Float32Array | null =>
    norm === null ? null : named(weights, `${norm}.${name}`, [channels]);
  const [gains, shifts, means, variances] = ["weight", "bias", "running_mean", "running_var"].map(part);
  const weight = new Float32Array(plain.length);
  const bias = new Float32Array(channels);
  for (let channel = 0; channel < channels; channel++) {
    const gain = gains && variances ? gains[channel] / Math.sqrt(variances[channel] + NORM_EPSILON) : 1;
    const before = shift ? shift[channel] : 0;
    bias[channel] = means && shifts ? (before - means[channel]) * gain + shifts[channel] : before;
    for (let n = channel * size; n < (channel + 1) * size; n++) {
      weight[n] = plain[n] * factor * gain;
    }
  }
  return { weight, bias };
}
