/** A perceptron slid over a picture is the first mlpconv layer: of a shipped model, and of layers of every kind. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { LocalEngine } from "../../src/net/engine";
import type { Convolution } from "../../src/net/fold";
import { Kernel } from "../../src/net/kernel";
import { Network } from "../../src/net/network";
import { perceptron, slidAt, slidEverywhere } from "../../src/net/slide";
import { type ModelFiles, type Picture, Refusal } from "../../src/net/types";

const WEIGHTS = join(import.meta.dirname, "..", "..", "..", "src", "nin", "weights");

function shipped(name: string): ModelFiles {
  const folder = join(WEIGHTS, name);
  expect(existsSync(folder)).toBe(true);
  return new Map(readdirSync(folder).map((file) => [file, new Uint8Array(readFileSync(join(folder, file)))]));
}

const picture: Picture = {
  width: 40,
  height: 30,
  data: new Uint8ClampedArray(4 * 1200).map((_, n) => (n % 4 === 3 ? 255 : (n * n * 31) % 256)),
};

function layer(shape: Partial<Convolution>): Convolution {
  const whole = { block: 0, depth: 0, kernel: 1, stride: 1, padding: 0, groups: 1, inputs: 4, channels: 6 };
  const all = { ...whole, activation: "relu" as const, pool: null, ...shape };
  const count = (all.channels * all.inputs * all.kernel ** 2) / all.groups;
  return {
    ...all,
    weight: Float32Array.from({ length: count }, (_, n) => Math.sin(7 * n + all.channels) / 2),
    bias: Float32Array.from({ length: all.channels }, (_, n) => Math.cos(3 * n)),
  };
}

describe.each(["nin-mnist", "nin-cifar10"])("%s", (name) => {
  const engine = new LocalEngine();

  test("says the same at every place both ways, and the window is what its place reads", () => {
    const model = engine.open(shipped(name));
    const { sides } = engine.run({ picture });
    const [height, width] = sides[0];
    for (const [y, x] of [[0, 0], [height - 1, width - 1], [7, 12]] as const) {
      const slid = engine.slid(y, x);
      const place = engine.place(0, y, x);
      expect(slid.window).toEqual(place.patch);
      expect(slid.windowSize).toEqual(place.patchSize);
      slid.layers.forEach(({ convolved, slid: own }, depth) => {
        expect(convolved).toEqual(place.values[depth].values);
        convolved.forEach((value, unit) => expect(own[unit]).toBeCloseTo(value, 4));
      });
      expect(slid.difference).toBeGreaterThan(0); // single against double precision: not the same numbers copied
      expect(slid.difference).toBeLessThan(1e-4);
    }
    const all = engine.slidEverywhere();
    expect(all.places).toBe(height * width);
    expect(all.difference).toBeLessThan(1e-4);
    expect(all.difference).toBeGreaterThanOrEqual(0);
    expect(all.slid).toBeGreaterThan(all.convolved);
    expect(engine.map(0, 0).values.length).toBe(height * width); // the maps of the last run are still there
    expect(() => engine.slid(height, 0)).toThrow(Refusal);
    expect(model.layers[0].block).toBe(0);
  });
});

test("layers of every kind: groups, stride, padding, activations, a chain that goes on", () => {
  const pool = { kind: "max", size: 2, stride: 2, padding: 0, ceil: false } as const;
  for (const activation of ["relu", "gelu", "silu", "identity"] as const) {
    for (const [kernel, stride, padding, groups] of [[3, 1, 1, 1], [3, 2, 0, 2], [5, 2, 3, 1], [1, 1, 0, 2]] as const) {
      const chain = [
        layer({ kernel, stride, padding, groups, activation }),
        layer({ depth: 1, inputs: 6, channels: 5, activation, pool }),
        layer({ block: 1, inputs: 5, channels: 3, kernel: 3, padding: 1 }),
      ];
      const size = [11, 9] as const;
      const input = Float32Array.from({ length: 11 * 9 * 4 }, (_, n) => Math.cos(n * n));
      const network = new Network(new Kernel(), chain, 4);
      network.run(input, size);
      const [height, width] = network.maps(0).sides;
      const found = slidAt(network, chain, input, size, height - 1, width - 1);
      expect(found.layers.length).toBe(2);
      expect(found.difference).toBeLessThan(1e-5);
      expect(slidEverywhere(network, new Kernel(), chain, input, size).difference).toBeLessThan(1e-5);
    }
  }
});

test("a perceptron by hand", () => {
  const hidden = layer({ inputs: 2, channels: 2 });
  hidden.weight.set([1, 2, -1, 0]);
  hidden.bias.set([0.5, 0]);
  const out = layer({ depth: 1, inputs: 2, channels: 1 });
  out.weight.set([3, 4]);
  out.bias.set([-1]);
  const [first, second] = perceptron([hidden, out], [2, 3]);
  expect([...first]).toEqual([8.5, 0]);
  expect([...second]).toEqual([24.5]);
});

test("a weight that differs is a difference that is seen", () => {
  const chain = [layer({ kernel: 3, padding: 1 })];
  const input = Float32Array.from({ length: 25 * 4 }, (_, n) => Math.sin(n));
  const network = new Network(new Kernel(), chain, 4);
  network.run(input, [5, 5]);
  const weight = chain[0].weight.map((value, n) => (n === 9 ? value + 0.5 : value));
  const other = [{ ...chain[0], weight }];
  expect(slidAt(network, other, input, [5, 5], 2, 2).difference).toBeGreaterThan(0.01);
});
