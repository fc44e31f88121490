/** Chapter 8: prices beside the engine's own chain, beside sums by hand and beside what nin counts of its networks. */

import { expect, test } from "vitest";

import {
  BUDGET,
  configOf,
  costsOf,
  type Design,
  fileOf,
  firstDesign,
  mended,
  type Plan,
} from "../../src/lesson/builder";
import { folded, shapesOf } from "../../src/net/fold";
import { Kernel } from "../../src/net/kernel";
import { described, Network } from "../../src/net/network";

const plain: Plan = { kernel: 3, channels: 16, pointwise: 1, stride: 1, pool: null };

/** Many designs: every kernel, step, pooling and number of 1x1 layers occurs. */
function designs(): Design[] {
  const found: Design[] = [firstDesign()];
  for (let seed = 1; seed <= 40; seed++) {
    const pick = <T>(from: readonly T[], salt: number): T => from[(seed * 31 + salt * 17) % from.length];
    const blocks = Array.from({ length: 1 + (seed % 4) }, (_, at) => ({
      kernel: pick([1, 3, 5, 7, 11], at),
      channels: pick([8, 16, 24, 48], at + 2),
      pointwise: pick([0, 1, 2, 3], at + 3),
      stride: pick([1, 1, 2, 4], at + 5),
      pool: pick(["max", "avg", null] as const, at + 7),
    }));
    found.push(mended({ blocks, side: pick([28, 32, 48, 96], 11), classes: pick([2, 10, 37], 13) }));
  }
  return found;
}

/** Weights of the right shapes: what is counted is the model folder's tensors, statistics left out. */
function tensors(design: Design): { weights: Map<string, Float32Array>; shapes: Map<string, number[]>; learnt: number } {
  const weights = new Map<string, Float32Array>();
  const shapes = new Map<string, number[]>();
  let learnt = 0;
  const put = (name: string, shape: number[], isLearnt = true) => {
    const size = shape.reduce((product, side) => product * side, 1);
    weights.set(name, new Float32Array(size).fill(1));
    shapes.set(name, shape);
    if (isLearnt) learnt += size;
  };
  const chain = shapesOf(configOf(design));
  chain.forEach(({ block, depth, channels, inputs, kernel }, at) => {
    const place = `blocks.${block}.${depth ? `pointwise.${depth - 1}` : "spatial"}`;
    put(`${place}.weight`, [channels, inputs, kernel, kernel]);
    if (at === chain.length - 1) {
      put(`${place}.bias`, [channels]);
      return;
    }
    for (const part of ["weight", "bias"]) put(`blocks.${block}.norms.${depth}.${part}`, [channels]);
    for (const part of ["running_mean", "running_var"]) put(`blocks.${block}.norms.${depth}.${part}`, [channels], false);
  });
  return { weights, shapes, learnt };
}

test("parameters are the tensors of a model folder", () => {
  for (const design of designs()) {
    const { learnt, ...made } = tensors(design);
    expect(() => folded(configOf(design), made)).not.toThrow(); // every tensor is there and has its shape
    expect(costsOf(design).parameters).toBe(learnt);
  }
});

test("sides, multiply-adds, receptive fields and steps are those of the engine's chain", () => {
  const kernel = new Kernel();
  for (const design of designs()) {
    const costs = costsOf(design);
    const chain = folded(configOf(design), tensors(design));
    const layers = described(chain);
    if (costs.empty !== null) continue;
    const sides = new Network(kernel, chain, 3).sides([design.side, design.side]);
    const macs = chain.reduce((sum, layer, at) => sum + layer.weight.length * sides[at][0] * sides[at][1], 0);
    expect(costs.macs).toBe(macs);
    costs.stages.forEach((stage, block) => {
      const own = layers.filter((layer) => layer.block === block);
      expect(stage.side).toBe(sides[own[0].index][0]);
      const after = layers.find((layer) => layer.block === block + 1);
      if (!after) expect([stage.field, stage.jump]).toEqual([own[0].field, own[0].jump]);
      else expect([stage.field + (after.kernel - 1) * stage.jump]).toEqual([after.field]);
    });
    expect([costs.field, costs.jump]).toEqual([layers.at(-1)!.field, layers.at(-1)!.jump]);
  }
});

test("memory is four bytes for every value of every map, pooled maps and means too", () => {
  const design = mended({
    blocks: [
      { ...plain, pool: "max" },
      { ...plain, channels: 8, pointwise: 2 },
    ],
    side: 32,
    classes: 10,
  });
  const first = 2 * 16 * 32 * 32 + 16 * 16 * 16;
  const second = 8 * 16 * 16 + 8 * 16 * 16 + 10 * 16 * 16;
  expect(costsOf(design).memory).toBe(4 * (first + second + 10));
  expect(costsOf(design).stages.map(({ side, pooled }) => [side, pooled])).toEqual([
    [32, 16],
    [16, 16],
  ]);
});

test("the design to begin with is nin's own network, within the author's budget", () => {
  const { parameters, macs } = costsOf(firstDesign());
  expect(parameters).toBeLessThanOrEqual(BUDGET.parameters);
  expect(macs).toBeLessThan(BUDGET.macs);
});

test("where pooling leaves nothing, the mlpconv layer is named", () => {
  const pooled = { ...plain, stride: 4, pool: "max" as const };
  const design = mended({ blocks: [pooled, pooled, pooled, pooled, plain], side: 28, classes: 10 });
  const { empty, stages } = costsOf(design);
  expect(empty).toBe(stages.findIndex(({ pooled: side }) => side < 1));
});

test("a last mlpconv layer ends in the class maps whatever it was before", () => {
  const [last] = mended({ blocks: [{ ...plain, pointwise: 0, pool: "avg" }], side: 32, classes: 5 }).blocks;
  expect([last.pointwise, last.pool]).toEqual([1, null]);
});

test("the file says what was built, and leaves the number of classes to the data", () => {
  const design = mended({
    blocks: [
      { kernel: 5, channels: 48, pointwise: 1, stride: 2, pool: "avg" },
      { ...plain, pointwise: 2 },
    ],
    side: 64,
    classes: 7,
  });
  const lines = fileOf(design).split("\n");
  expect(lines).toContain("  - {channels: [48, 48], kernel_size: 5, stride: 2, pool: avg}");
  expect(lines).toContain("  - {channels: [16, 16, classes], kernel_size: 3}");
  expect(fileOf(design)).not.toContain("7");
});
