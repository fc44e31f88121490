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

/** One convolution of the chain. weight: (C', C / groups, k, k), bias: (C',). */
export interface Convolution {
  block: number;
  depth: number;
  kernel: number;
  stride: number;
  padding: number;
  groups: number;
  inputs: number;
  channels: number;
  activation: Activation;
  weight: Float32Array;
  bias: Float32Array;
  /** The pooling after it, if it ends its mlpconv layer. */
  pool: Pool | null;
}

type Weights = Pick<Folder, "weights" | "shapes">;

/** The chain of a network with these weights. Throws Refusal "weights" where one is missing or has another shape. */
export function folded(config: NetworkConfig, weights: Weights): Convolution[] {
  const chain: Convolution[] = [];
  let inputs = config.channels;
  let factor = 1;
  config.blocks.forEach((block, number) => {
    const last = number === config.blocks.length - 1;
    block.channels.forEach((channels, depth) => {
      const final = last && depth === block.channels.length - 1;
      const place = `blocks.${number}.${depth ? `pointwise.${depth - 1}` : "spatial"}`;
      const norm = config.norm && (config.lastNorm || !final) ? `blocks.${number}.norms.${depth}` : null;
      const own = depth === 0 ? block : { kernel: 1, stride: 1, padding: 0, groups: 1 };
      const shape = [channels, inputs / own.groups, own.kernel, own.kernel];
      chain.push({
        block: number,
        depth,
        kernel: own.kernel,
        stride: own.stride,
        padding: own.padding,
        groups: own.groups,
        inputs,
        channels,
        activation: config.lastActivation || !final ? config.activation : "identity",
        ...foldedWeights(weights, place, norm, factor, shape),
        pool: depth === block.channels.length - 1 ? block.pool : null,
      });
      inputs = channels;
      factor = 1;
    });
    factor = config.classicDropout ? 1 - block.dropout : 1;
  });
  return chain;
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
