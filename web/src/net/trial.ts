/** What a chain of convolutions costs here: run with arbitrary weights, since time does not depend on their values. */

import type { Convolution, Shape } from "./fold";
import { type Kernel, MOST_BYTES, tooLarge } from "./kernel";
import { Network } from "./network";
import type { Size } from "./preprocess";
import type { Trial } from "./types";

const LONG_ENOUGH = 120; // milliseconds after which no further run is begun; ours
const MOST_RUNS = 20;
const POOL = 4099; // arbitrary numbers in all, a prime, so that no two filters are alike

/** Numbers in -1..1 that look random and are the same every time: Lehmer's generator, Park and Miller 1988. */
function arbitrary(count: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (2 * state) / 2_147_483_647 - 1;
  });
}

/** Weights that keep values of one size from layer to layer: uniform, with the variance 2 / fan in of He et al. 2015. */
function weighed(shape: Shape, pool: Float32Array): Convolution {
  const fan = (shape.inputs / shape.groups) * shape.kernel ** 2;
  const bound = Math.sqrt(6 / fan);
  const weight = new Float32Array(weightsOf(shape));
  for (let at = 0; at < weight.length; at++) weight[at] = bound * pool[at % POOL];
  return { ...shape, weight, bias: new Float32Array(shape.channels) };
}

const weightsOf = ({ channels, inputs, groups, kernel }: Shape): number => (channels * inputs * kernel ** 2) / groups;

/** The fastest of several runs on a picture of (H, W), and the sides of its maps. Throws Refusal "too-large". */
export function trial(kernel: Kernel, shapes: readonly Shape[], size: Size): Trial {
  const channels = shapes[0].inputs;
  const values = size[0] * size[1] * channels;
  const bytes = 8 * shapes.reduce((sum, shape) => sum + weightsOf(shape), values); // here, and once more in the kernel
  if (bytes > MOST_BYTES) throw tooLarge(bytes);
  const pool = arbitrary(POOL);
  const network = new Network(
    kernel,
    shapes.map((shape) => weighed(shape, pool)),
    channels,
  );
  const picture = Float32Array.from({ length: values }, (_, at) => pool[at % POOL]);
  network.run(picture, size); // lays out memory
  let best = Infinity;
  let spent = 0;
  for (let runs = 0; runs < MOST_RUNS && spent < LONG_ENOUGH; runs++) {
    const start = performance.now();
    network.run(picture, size);
    const took = performance.now() - start;
    best = Math.min(best, took);
    spent += took;
  }
  return { milliseconds: best, sides: network.sides(size) };
}
