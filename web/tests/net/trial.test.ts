/** A chain tried out with arbitrary weights: its sides are those of a model, and its time follows its work. */

import { expect, test } from "vitest";

import { networkFrom } from "../../src/net/config";
import { LocalEngine } from "../../src/net/engine";
import { shapesOf } from "../../src/net/fold";
import { Kernel } from "../../src/net/kernel";
import { Network } from "../../src/net/network";
import { trial } from "../../src/net/trial";
import { type Picture, Refusal } from "../../src/net/types";
import { NETWORK, smallModel } from "./small_model";

const shapes = shapesOf(networkFrom(NETWORK));

function wide(channels: number): Record<string, unknown> {
  return { ...NETWORK, blocks: [{ channels: [channels, channels, 2], kernel_size: 3 }] };
}

test("its maps have the sides that the model's own have, and the model that is open is left alone", () => {
  const engine = new LocalEngine();
  engine.open(smallModel());
  const picture: Picture = { width: 8, height: 9, data: new Uint8ClampedArray(4 * 72).map((_, n) => (n * 37) % 256) };
  const before = engine.run({ picture });
  const map = engine.map(1, 0);
  expect(engine.trial(shapes, [9, 8]).sides).toEqual(before.sides);
  expect(engine.map(1, 0)).toEqual(map);
  expect(engine.run({ picture }).logits).toEqual(before.logits);
});

test("sixteen times the multiply-adds take several times as long", () => {
  const engine = new LocalEngine();
  const [small, large] = [32, 128].map((channels) =>
    engine.trial(shapesOf(networkFrom(wide(channels))), [48, 48]).milliseconds,
  );
  expect(small).toBeGreaterThan(0);
  expect(large / small).toBeGreaterThan(4);
});

test("its values neither die nor grow from layer to layer, so that the work is that of a network that is used", () => {
  const kernel = new Kernel();
  const runs: Network[] = [];
  const run = Network.prototype.run;
  Network.prototype.run = function (this: Network, ...given) {
    if (!runs.includes(this)) runs.push(this);
    run.apply(this, given);
  };
  try {
    const blocks = Array.from({ length: 6 }, () => ({ channels: [24, 24], kernel_size: 3 }));
    const deep = { ...NETWORK, blocks: [...blocks, { channels: [24, 2], kernel_size: 3 }] };
    trial(kernel, shapesOf(networkFrom(deep)), [16, 16]);
  } finally {
    Network.prototype.run = run;
  }
  const last = runs[0].view(runs[0].maps(11)); // before the class maps
  const size = Math.sqrt(last.reduce((sum, value) => sum + value * value, 0) / last.length);
  expect(size).toBeGreaterThan(0.05);
  expect(size).toBeLessThan(20);
});

test("a chain that needs more memory than a page gets is refused before anything is made", () => {
  const many = shapesOf(networkFrom(wide(16_384)));
  const start = performance.now();
  expect(() => new LocalEngine().trial(many, [16, 16])).toThrow(Refusal);
  expect(() => new LocalEngine().trial(shapes, [16_384, 16_384])).toThrow(Refusal);
  expect(performance.now() - start).toBeLessThan(1000);
});
