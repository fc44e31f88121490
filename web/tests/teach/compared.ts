/** Compares what the page teaches with Python's and scikit-learn's; each throws where they do not agree. */

import { expect } from "vitest";

import { LocalEngine } from "../../src/net/engine";
import { Likeness } from "../../src/net/likeness";
import type { Answer, ModelFiles } from "../../src/net/types";
import { type ModelCase, type RegressionCase, labelsOf, numbersOf } from "./python_fixtures";

const WEIGHTS = 1e-3; // of the largest
const FEATURES = 1e-5; // of the largest
const DISTANCES = 2e-3; // of the largest: both sides keep directions as halves
export const NAMES = ["red", "초록, \u202e'x'", 'blue/.. "y"'];

/** What is compared: src/teach, or the same with a planted fault. */
export type Teaching = typeof import("../../src/teach/taught") &
  typeof import("../../src/teach/trunk") &
  typeof import("../../src/teach/model") &
  typeof import("../../src/teach/likeness");
type Taught = ReturnType<Teaching["teach"]>;

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
}

/** Largest difference, as a share of the largest value. */
function off(found: ArrayLike<number>, expected: Float64Array): number {
  expect(found.length).toBe(expected.length);
  return largest(expected.map((value, n) => value - found[n])) / largest(expected);
}

function expectHead({ weight, bias }: Taught["head"], expected: { weight: Float64Array; bias: Float64Array }): void {
  expect(off(weight, expected.weight)).toBeLessThan(WEIGHTS);
  const scale = Math.max(largest(expected.bias), largest(expected.weight));
  bias.forEach((value, k) => expect(Math.abs(value - expected.bias[k]) / scale).toBeLessThan(WEIGHTS));
}

type Told = Pick<RegressionCase, "temperature" | "unknown_below" | "unknown_beyond" | "confusion">;

function expectTold(taught: Taught, told: Told): void {
  expect(taught.estimate?.confusion).toEqual(told.confusion);
  expect(Math.abs(taught.temperature / told.temperature - 1)).toBeLessThan(1e-3);
  expect(Math.abs(taught.unknownBelow - told.unknown_below)).toBeLessThan(1e-3);
  if (told.unknown_beyond === undefined) {
    expect([taught.unknownBeyond, taught.likeness]).toEqual([null, null]);
  } else {
    expect(Math.abs(taught.unknownBeyond! / told.unknown_beyond - 1)).toBeLessThan(DISTANCES);
  }
}

/** Weights, folds, thresholds and distances on features that are given. */
export function expectLearnt({ teach, tensorsOf }: Teaching, told: RegressionCase): void {
  const { tensors, classes } = told;
  const features = Float32Array.from(numbersOf(tensors.get("features")));
  const labels = labelsOf(tensors);
  const taught = teach(features, labels, classes);
  for (const prefix of ["", "scikit."]) {
    const [weight, bias] = ["weight", "bias"].map((name) => numbersOf(tensors.get(prefix + name)));
    expectHead(taught.head, { weight, bias });
  }
  expectTold(taught, told);
  if (taught.likeness) {
    const { width } = taught;
    const measure = Likeness.from(tensorsOf(taught.likeness), classes, width);
    const found = Array.from(labels, (_, n) => measure.distance(features.subarray(n * width, (n + 1) * width)));
    expect(off(found, numbersOf(tensors.get("distances")))).toBeLessThan(DISTANCES);
  }
}

/** A trunk's features and maps, what is taught on them, and the model that it makes: its files and answers. */
export function expectModel(teaching: Teaching, told: ModelCase): { files: ModelFiles; answers: readonly Answer[] } {
  const { teach, classMaps, logitsOf, cutTrunk, passing, folderWith, toldOf } = teaching;
  const trunk = cutTrunk(told.files, told.name, told.cut ?? undefined, told.size ?? undefined);
  const engine = new LocalEngine();
  engine.open(passing(trunk));
  const seen = told.pictures.map((picture) => engine.run({ picture }));
  const { width } = told;
  expect(trunk.width).toBe(width);
  const features = Float32Array.from(seen.flatMap(({ logits }) => [...logits]));
  expect(off(features, numbersOf(told.tensors.get("features")))).toBeLessThan(FEATURES);
  const maps = [0, 1].flatMap((n) => [...seen[n].classMaps]);
  expect(off(maps, numbersOf(told.tensors.get("maps")))).toBeLessThan(FEATURES);

  const taught = teach(features, labelsOf(told.tensors), told.counts.length);
  const [weight, bias] = ["weight", "bias"].map((name) => numbersOf(told.tensors.get(name)));
  expectHead(taught.head, { weight, bias });
  expectTold(taught, told);

  const names = NAMES.slice(0, told.counts.length);
  const about = { pictures: told.counts, language: "ko" } as const;
  const files = folderWith(trunk, taught.head, toldOf(trunk, taught, names, about));
  expect(engine.open(files).classes).toEqual(names);
  const answers = told.pictures.map((picture) => engine.run({ picture }));
  answers.forEach((answer, n) => {
    const straight = logitsOf(taught.head, seen[n].logits);
    const here = Float64Array.from(classMaps(taught.head, seen[n].classMaps, width));
    expect(off(answer.classMaps, here)).toBeLessThan(1e-4);
    const places = here.length / straight.length;
    const size = Math.max(1, largest(straight));
    straight.forEach((logit, k) => {
      const mean = here.subarray(k * places, (k + 1) * places).reduce((sum, value) => sum + value / places, 0);
      expect(Math.abs(mean - logit)).toBeLessThan(1e-5 * size);
      expect(Math.abs(answer.logits[k] - logit)).toBeLessThan(1e-4 * size);
    });
  });
  return { files, answers };
}
