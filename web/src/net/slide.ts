/**
 * The first mlpconv layer as its name says: one small network (a multilayer perceptron) asked at every place of the
 * picture, one window after the other; beside it the same layer as the engine has it, a convolution and 1x1 layers.
 *
 * Legend: C channels, k side of a window, (H, W) sides of the picture, (h, w) of the maps.
 */

import type { Convolution } from "./fold";
import { expectIndex } from "./inside";
import type { Kernel } from "./kernel";
import { Network } from "./network";
import type { Size } from "./preprocess";
import type { Slid, SlidEverywhere } from "./types";

const RUNS = 3; // of which the fastest counts

/** The layers of the first mlpconv layer, without what follows them. */
function firstOf(chain: readonly Convolution[]): Convolution[] {
  return chain.filter(({ block }) => block === chain[0].block).map((layer) => ({ ...layer, pool: null }));
}

/** Source: the error function of Abramowitz and Stegun 1964, 7.1.26, to 1.5e-7. */
function belowNormal(x: number): number {
  const size = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * size);
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = 0.5 * sum * Math.exp(-size * size);
  return x > 0 ? 1 - tail : tail;
}

const ACTIVATIONS: Readonly<Record<Convolution["activation"], (x: number) => number>> = {
  identity: (x) => x,
  relu: (x) => (x > 0 ? x : 0),
  gelu: (x) => x * belowNormal(x),
  silu: (x) => x / (1 + Math.exp(-x)),
};

/** What every layer of a perceptron says of a window (k, k, C): plain sums in double precision, no kernel. */
export function perceptron(layers: readonly Convolution[], window: ArrayLike<number>): Float64Array[] {
  let read = window;
  return layers.map(({ kernel, groups, inputs, channels, activation, weight, bias }) => {
    const own = inputs / groups;
    const active = ACTIVATIONS[activation];
    const values = new Float64Array(channels);
    let at = 0; // weights lie (C', C / groups, k, k)
    for (let unit = 0; unit < channels; unit++) {
      const first = Math.floor(unit / (channels / groups)) * own;
      let sum = bias[unit];
      for (let input = 0; input < own; input++) {
        for (let place = 0; place < kernel * kernel; place++) {
          sum += weight[at++] * read[place * inputs + first + input];
        }
      }
      values[unit] = active(sum);
    }
    read = values;
    return values;
  });
}

/** What the window reads at one place (y, x) of the maps: (k, k, C), zeros outside of the picture (H, W, C). */
function windowAt(input: Float32Array, [height, width]: Size, layer: Convolution, y: number, x: number): Float32Array {
  const { kernel, stride, padding, inputs } = layer;
  const window = new Float32Array(kernel * kernel * inputs);
  for (let down = 0; down < kernel; down++) {
    for (let across = 0; across < kernel; across++) {
      const row = y * stride - padding + down;
      const column = x * stride - padding + across;
      if (row < 0 || column < 0 || row >= height || column >= width) continue;
      const from = (row * width + column) * inputs;
      window.set(input.subarray(from, from + inputs), (down * kernel + across) * inputs);
    }
  }
  return window;
}

/** Both ways at one place. `network` holds the maps of the picture (H, W, C). */
export function slidAt(
  network: Network,
  chain: readonly Convolution[],
  input: Float32Array,
  size: Size,
  y: number,
  x: number,
): Slid {
  const layers = firstOf(chain);
  const { kernel, inputs } = layers[0];
  const [height, width] = network.maps(0).sides;
  expectIndex("y", y, height);
  expectIndex("x", x, width);
  const window = windowAt(input, size, layers[0], y, x);
  const found = perceptron(layers, window).map((values, index) => ({
    layer: index,
    slid: Float32Array.from(values),
    convolved: values.map((_, unit) => network.value(network.maps(index), unit, y, x)),
    exact: values,
  }));
  const difference = Math.max(...found.map(({ exact, convolved }) => apart(exact, convolved)));
  return {
    window,
    windowSize: [kernel, kernel, inputs],
    layers: found.map(({ layer, slid, convolved }) => ({ layer, slid, convolved: Float32Array.from(convolved) })),
    difference,
  };
}

function apart(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let most = 0;
  for (let index = 0; index < one.length; index++) most = Math.max(most, Math.abs(one[index] - other[index]));
  return most;
}

/**
 * Both ways at every place, and how long each takes with the same kernel: window after window, and all at once. The
 * difference is that of plain sums from the maps. `bench`: memory in which nothing lies that is needed again.
 */
export function slidEverywhere(
  network: Network,
  bench: Kernel,
  chain: readonly Convolution[],
  input: Float32Array,
  size: Size,
): SlidEverywhere {
  const layers = firstOf(chain);
  const last = layers.length - 1;
  const [height, width] = network.maps(last).sides;
  const windows: Float32Array[] = [];
  let difference = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const window = windowAt(input, size, layers[0], y, x);
      windows.push(window);
      const values = perceptron(layers, window)[last];
      for (let unit = 0; unit < values.length; unit++) {
        difference = Math.max(difference, Math.abs(values[unit] - network.value(network.maps(last), unit, y, x)));
      }
    }
  }
  const { kernel, inputs } = layers[0];
  const one = new Network(bench, [{ ...layers[0], stride: 1, padding: 0 }, ...layers.slice(1)], inputs);
  const slid = fastest(() => windows.forEach((window) => one.run(window, [kernel, kernel])));
  const all = new Network(bench, layers, inputs);
  const convolved = fastest(() => all.run(input, size));
  return { places: height * width, difference, slid, convolved };
}

function fastest(work: () => void): number {
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}
