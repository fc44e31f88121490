/** Looks into the network of the last run: one place of an mlpconv layer, one unit's sum, one filter. */

import type { Convolution } from "./fold";
import { type Network, described, firstPixel } from "./network";
import { type Place, type Products, Refusal } from "./types";

type Chain = readonly Convolution[];

/** A whole number from 0 to below `count`; Refusal "absent", which says what was asked for. */
export function expectIndex(what: string, value: number, count: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= count) {
    throw new Refusal("absent", { what, found: String(value), count });
  }
}

function expectPlace(network: Network, index: number, y: number, x: number): void {
  const [height, width] = network.maps(index).sides;
  expectIndex("y", y, height);
  expectIndex("x", x, width);
}

/** What the window of a layer reads at one of its places: (k, k, C) of the channels from `first` on. */
function window(
  network: Network,
  layer: Convolution,
  index: number,
  y: number,
  x: number,
  first: number,
  count: number,
): Float32Array {
  const { kernel, stride, padding } = layer;
  const inputs = network.inputs(index);
  const values = new Float32Array(kernel * kernel * count);
  let at = 0;
  for (let row = 0; row < kernel; row++) {
    for (let column = 0; column < kernel; column++) {
      for (let input = 0; input < count; input++) {
        values[at++] = network.value(inputs, first + input, y * stride - padding + row, x * stride - padding + column);
      }
    }
  }
  return values;
}

export function placeOf(network: Network, chain: Chain, block: number, y: number, x: number): Place {
  const first = chain.findIndex((layer) => layer.block === block);
  expectIndex("block", first < 0 ? -1 : block, block + 1);
  expectPlace(network, first, y, x);
  const layer = chain[first];
  const { field, jump } = described(chain)[first];
  const top = firstPixel(chain, first) + y * jump;
  const left = firstPixel(chain, first) + x * jump;
  return {
    block,
    y,
    x,
    field: { top, left, bottom: top + field, right: left + field },
    patch: window(network, layer, first, y, x, 0, layer.inputs),
    patchSize: [layer.kernel, layer.kernel, layer.inputs],
    values: chain
      .map((each, index) => ({ each, index }))
      .filter(({ each }) => each.block === block)
      .map(({ each, index }) => ({
        layer: index,
        values: Float32Array.from({ length: each.channels }, (_, unit) =>
          network.value(network.maps(index), unit, y, x),
        ),
      })),
  };
}

export function productsOf(
  network: Network,
  chain: Chain,
  index: number,
  unit: number,
  y: number,
  x: number,
): Products {
  expectIndex("layer", index, chain.length);
  const layer = chain[index];
  expectIndex("unit", unit, layer.channels);
  expectPlace(network, index, y, x);
  const { kernel, groups, inputs, channels } = layer;
  const read = inputs / groups;
  const first = Math.floor(unit / (channels / groups)) * read;
  const values = window(network, layer, index, y, x, first, read);
  const { values: weights } = filterOf(network, chain, index, unit);
  const sum = values.reduce((total, value, n) => total + value * weights[n], 0);
  const bias = network.bias(index, unit);
  return {
    layer: index,
    unit,
    inputs: Int32Array.from(values, (_, n) => first + (n % read)),
    rows: Int32Array.from(values, (_, n) => Math.floor(n / (read * kernel))),
    columns: Int32Array.from(values, (_, n) => Math.floor(n / read) % kernel),
    values,
    weights,
    products: values.map((value, n) => value * weights[n]),
    sum,
    bias,
    before: sum + bias,
    after: network.value(network.maps(index), unit, y, x),
  };
}

export function filterOf(
  network: Network,
  chain: Chain,
  index: number,
  unit: number,
): { size: readonly [number, number, number]; values: Float32Array } {
  expectIndex("layer", index, chain.length);
  const { kernel, groups, inputs, channels } = chain[index];
  expectIndex("unit", unit, channels);
  const read = inputs / groups;
  const values = Float32Array.from({ length: kernel * kernel * read }, (_, n) =>
    network.weight(index, unit, Math.floor(n / (read * kernel)), Math.floor(n / read) % kernel, n % read),
  );
  return { size: [kernel, kernel, read], values };
}
