/**
 * What the page teaches against what Python and scikit-learn find, and its model folders, which Python reads afterwards
 * (tests/explorer/test_taught_in_node.py).
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { LocalEngine } from "../../src/net/engine";
import { Likeness } from "../../src/net/likeness";
import { openTensors } from "../../src/net/safetensors";
import { tensorsOf } from "../../src/teach/likeness";
import { toldOf } from "../../src/teach/model";
import { type Head, type Taught, classMaps, logitsOf, teach } from "../../src/teach/taught";
import { cutTrunk, folderWith, passing } from "../../src/teach/trunk";
import { folderNames, zipOf } from "../../src/teach/zip";
import { TEACHING, hostileNames, labelsOf, modelCases, numbersOf, regressionCases } from "./python_fixtures";

const WEIGHTS = 1e-3; // of the largest
const FEATURES = 1e-5; // of the largest
const NAMES = ["red", "초록, \u202e'x'", "blue/.. \"y\""];

const regressions = regressionCases();
const models = modelCases();

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
}

/** Largest difference, as a share of the largest value. */
function off(found: ArrayLike<number>, expected: Float64Array): number {
  expect(found.length).toBe(expected.length);
  return largest(expected.map((value, n) => value - found[n])) / largest(expected);
}

function expectHead({ weight, bias }: Head, expected: { weight: Float64Array; bias: Float64Array }): void {
  expect(off(weight, expected.weight)).toBeLessThan(WEIGHTS);
  const scale = Math.max(largest(expected.bias), largest(expected.weight));
  bias.forEach((value, k) => expect(Math.abs(value - expected.bias[k]) / scale).toBeLessThan(WEIGHTS));
}

type Told = Pick<(typeof regressions)[number], "temperature" | "unknown_below" | "unknown_beyond" | "confusion">;

function expectTold(taught: Taught, told: Told): void {
  expect(taught.temperature / told.temperature).toBeCloseTo(1, 3);
  expect(Math.abs(taught.unknownBelow - told.unknown_below)).toBeLessThan(1e-3);
  expect(taught.estimate?.confusion).toEqual(told.confusion);
  if (told.unknown_beyond === undefined) {
    expect([taught.unknownBeyond, taught.likeness]).toEqual([null, null]);
  } else {
    expect(taught.unknownBeyond! / told.unknown_beyond).toBeCloseTo(1, 2);
  }
}

describe.skipIf(regressions.length === 0)("the page learns what Python and scikit-learn learn", () => {
  test.each(regressions)("$name", (told) => {
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
      const measure = Likeness.from(tensorsOf(taught.likeness), classes, taught.width);
      const found = Array.from(labels, (_, n) =>
        measure.distance(features.subarray(n * taught.width, (n + 1) * taught.width)),
      );
      expect(off(found, numbersOf(tensors.get("distances")))).toBeLessThan(2e-3);
    }
  });

  test("some are never unknown, some for one reason, some for both", () => {
    const kinds = regressions.map((told) => `${Number(told.unknown_below > 0)}${Number("unknown_beyond" in told)}`);
    expect(new Set(kinds)).toEqual(new Set(["00", "11"]));
  });
});

describe.skipIf(models.length === 0)("a trunk is Python's, and what is taught on it is a model", () => {
  test.each(models)("$name", (told) => {
    const trunk = cutTrunk(told.files, told.name, told.cut ?? undefined, told.size ?? undefined);
    const engine = new LocalEngine();
    engine.open(passing(trunk));
    const answers = told.pictures.map((picture) => engine.run({ picture }));
    const { width } = told;
    expect(trunk.width).toBe(width);
    const features = new Float32Array(answers.length * width);
    answers.forEach(({ logits }, n) => features.set(logits, n * width));
    expect(off(features, numbersOf(told.tensors.get("features")))).toBeLessThan(FEATURES);
    const maps = numbersOf(told.tensors.get("maps"));
    const seen = [0, 1].flatMap((n) => [...answers[n].classMaps]);
    expect(off(seen, maps)).toBeLessThan(FEATURES);

    const taught = teach(features, labelsOf(told.tensors), told.counts.length);
    const [weight, bias] = ["weight", "bias"].map((name) => numbersOf(told.tensors.get(name)));
    expectHead(taught.head, { weight, bias });
    expectTold(taught, told);

    const names = NAMES.slice(0, told.counts.length);
    const files = folderWith(trunk, taught.head, toldOf(trunk, taught, names, { pictures: told.counts, language: "ko" }));
    const model = engine.open(files);
    expect(model.classes).toEqual(names);
    const own = told.pictures.map((picture) => engine.run({ picture }));
    own.forEach((answer, n) => {
      const straight = logitsOf(taught.head, answers[n].logits);
      const here = classMaps(taught.head, answers[n].classMaps, width);
      expect(off(answer.classMaps, Float64Array.from(here))).toBeLessThan(1e-4);
      straight.forEach((logit, k) => {
        const places = here.length / straight.length;
        const mean = here.subarray(k * places, (k + 1) * places).reduce((sum, value) => sum + value / places, 0);
        expect(Math.abs(mean - logit)).toBeLessThan(1e-5 * Math.max(1, largest(straight)));
        expect(Math.abs(answer.logits[k] - logit)).toBeLessThan(1e-4 * Math.max(1, largest(straight)));
      });
    });
    handOver(told.name, files, own);
  });

  test("the digests of the files are there, and weights stay as they were stored", () => {
    const told = models.find(({ name }) => name === "mirrored")!;
    const trunk = cutTrunk(told.files, told.name);
    const taught = { ...teach(Float32Array.from({ length: 2 * told.width }, (_, n) => n % 5), Int32Array.of(0, 1), 2) };
    const files = folderWith(trunk, taught.head, toldOf(trunk, taught, ["a", "b"], { pictures: [1, 1], language: "en" }));
    const stored = openTensors(files.get("model.safetensors")!, "model.safetensors");
    const before = openTensors(told.files.get("model.safetensors")!, "model.safetensors");
    const kept = [...stored].filter(([name]) => before.has(name) && !name.startsWith("blocks.3.pointwise.2"));
    expect(kept.length).toBeGreaterThan(10);
    kept.forEach(([name, tensor]) => expect(tensor).toEqual(before.get(name)));
    expect(new Set(kept.map(([, { dtype }]) => dtype))).toEqual(new Set(["F16", "I64"]));
  });
});

test.skipIf(models.length === 0)("pictures in folders of hostile names go to Python, too", () => {
  const picture = new Uint8Array(readFileSync(join(TEACHING, "picture.png")));
  const folders = folderNames(hostileNames());
  const zip = zipOf(folders.map((name): [string, Uint8Array] => [`pictures/${name}/001.png`, picture]));
  writeFileSync(join(handedOver(), "pictures.zip"), zip);
});

/** The folder of what Python reads afterwards. */
function handedOver(): string {
  const folder = join(TEACHING, "taught");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** The zip of a model folder and the page's answers, for Python. */
function handOver(name: string, files: ReadonlyMap<string, Uint8Array>, answers: readonly Answer[]): void {
  const folder = handedOver();
  const zip = zipOf([...files].map(([file, data]) => [`${name}/${file}`, data]));
  writeFileSync(join(folder, `${name}.zip`), zip);
  const said = answers.map(({ probabilities, unknown, distance }) => ({
    probabilities: [...probabilities],
    unknown,
    distance,
  }));
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(said));
}

type Answer = ReturnType<LocalEngine["run"]>;
