/**
 * Weights as the kernel reads them: eight channels of the result side by side.
 *
 * For each group, each block of eight channels of its result: for each number of a window in the order in which it
 * lies in memory (rows, columns, channels) eight weights, zeros where there is no eighth channel.
 */

import type { Convolution } from "./fold";

const LANES = 8;

/** Sizes of a convolution in memory, in numbers (not bytes). */
export interface Packing {
  /** From a place to the next, of what is read and of what is made. */
  readStep: number;
  step: number;
  /** Blocks of eight channels, of one group. */
  blocks: number;
  /** Runs in a row of a window, and numbers of a run: one run where the channels of a group are all channels. */
  runs: number;
  length: number;
}

const eights = (count: number): number => Math.ceil(count / LANES) * LANES;

/** How a convolution lies in memory when what it reads has `readStep` numbers a place. */
export function packingOf({ kernel, groups, inputs, channels }: Convolution, readStep: number): Packing {
  const own = channels / groups;
  const whole = groups === 1 && kernel > 1;
  return {
    readStep,
    step: eights(channels - own + eights(own)), // the last group's last block fits
    blocks: eights(own) / LANES,
    runs: whole ? 1 : kernel,
    length: whole ? kernel * readStep : inputs / groups,
  };
}

/** Numbers of the packed weights and of the biases of all groups. */
export function packedSizes({ kernel, groups }: Convolution, { blocks, runs, length }: Packing): [number, number] {
  const all = groups * blocks * LANES;
  return [all * kernel * runs * length, all];
}

/** Where in the packed weights that one lies which joins a channel of the result to an input of its group. */
export function packedAt(
  layer: Convolution,
  { readStep, blocks, runs, length }: Packing,
  channel: number,
  row: number,
  column: number,
  input: number,
): number {
  const own = layer.channels / layer.groups;
  const group = Math.floor(channel / own);
  const within = channel % own;
  const block = group * blocks + Math.floor(within / LANES);
  const across = runs === 1 ? column * readStep + input : column * length + input;
  return ((block * layer.kernel + row) * runs * length + across) * LANES + (within % LANES);
}

/** Writes weights and biases of a convolution to where they belong in memory; everything there is zero before. */
export function pack(layer: Convolution, packing: Packing, weights: Float32Array, bias: Float32Array): void {
  const { kernel, groups, inputs, channels } = layer;
  const own = channels / groups;
  const read = inputs / groups;
  for (let channel = 0; channel < channels; channel++) {
    const group = Math.floor(channel / own);
    bias[group * packing.blocks * LANES + (channel % own)] = layer.bias[channel];
    for (let row = 0; row < kernel; row++) {
      for (let column = 0; column < kernel; column++) {
        let to = packedAt(layer, packing, channel, row, column, 0);
        let from = (channel * read * kernel + row) * kernel + column;
        for (let input = 0; input < read; input++) {
          weights[to] = layer.weight[from];
          to += LANES;
          from += kernel * kernel;
        }
      }
    }
  }
}
