/** Compares an engine with Python's answers: one line a difference, none where they agree. */

import type { LocalEngine } from "../../src/net/engine";
import { type Answer, type Model, Refusal } from "../../src/net/types";
import { type Fixture, decoded, numbers } from "./fixtures";

const MAPS = 1e-5; // of the layer's largest value
const PROBABILITIES = 1e-5;
const DISTANCES = 1e-4; // of the distance

type Report = (what: string) => void;

function compareNumbers(
  found: Float32Array,
  expected: Float32Array,
  tolerance: number,
  what: string,
  report: Report,
): void {
  if (found.length !== expected.length) {
    report(`${what}: ${found.length} values, expected ${expected.length}`);
    return;
  }
  let worst = 0;
  for (let n = 0; n < found.length; n++) {
    const off = Math.abs(found[n] - expected[n]);
    worst = off <= worst ? worst : off; // what is no number is the worst
  }
  if (!(worst <= tolerance)) {
    report(`${what}: off by ${worst}, allowed ${tolerance}`);
  }
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
}

function compareGeometry(model: Model, fixture: Fixture, report: Report): void {
  if (model.parameters !== fixture.parameters) {
    report(`${model.parameters} parameters, expected ${fixture.parameters}`);
  }
  const described = model.layers.map(({ field, jump }) => ({ field, jump }));
  const expected = fixture.layers.map(({ field, jump }) => ({ field, jump }));
  if (JSON.stringify(described) !== JSON.stringify(expected)) {
    report(`fields and jumps are ${JSON.stringify(described)}, expected ${JSON.stringify(expected)}`);
  }
}

function compareAnswer(
  engine: LocalEngine,
  answer: Answer,
  picture: Fixture["pictures"][number],
  report: Report,
): void {
  const { answers } = picture;
  const expected = (name: string): Float32Array => numbers(answers.get(name)!);
  const seen = decoded(answers.get("resized")!).data;
  const wrong = answer.seen.reduce((count, value, n) => count + Number(value !== seen[n]), 0);
  if (wrong > 0 || answer.seen.length !== seen.length) {
    report(`${wrong} bytes of what the network saw differ`);
  }
  for (const [name, tensor] of answers) {
    if (name.startsWith("layer.")) {
      const values = numbers(tensor);
      const places = tensor.shape[1] * tensor.shape[2];
      const found = new Float32Array(values.length);
      for (let unit = 0; unit < tensor.shape[0]; unit++) {
        found.set(engine.map(Number(name.slice(6)), unit).values, unit * places);
      }
      compareNumbers(found, values, MAPS * largest(values), name, report);
    }
  }
  const maps = expected("class_maps");
  compareNumbers(answer.classMaps, maps, MAPS * largest(maps), "class maps", report);
  const logits = expected("logits");
  compareNumbers(answer.logits, logits, MAPS * largest(maps), "logits", report);
  compareNumbers(answer.probabilities, expected("probabilities"), PROBABILITIES, "probabilities", report);
  if (answers.has("distance")) {
    const distance = expected("distance");
    const found = Float32Array.of(answer.distance ?? NaN);
    compareNumbers(found, distance, DISTANCES * largest(distance), "distance", report);
  }
  if (answers.has("unknown")) {
    const [unknown, unlike] = answers.get("unknown")!.bytes;
    const rule = unlike ? "foreign" : unknown ? "unsure" : null;
    if (answer.unknown !== rule) {
      report(`unknown is ${answer.unknown}, expected ${rule}`);
    }
  }
}

/** All differences of an engine from Python on one fixture. */
export function differences(engine: LocalEngine, fixture: Fixture): string[] {
  const found: string[] = [];
  const model = engine.open(fixture.files);
  compareGeometry(model, fixture, (what) => found.push(`${fixture.name}: ${what}`));
  fixture.pictures.forEach((picture, number) => {
    const report: Report = (what) => found.push(`${fixture.name}, picture ${number}: ${what}`);
    try {
      const answer = engine.run({ picture: picture.picture, size: picture.size });
      if (fixture.refused !== null) {
        report(`was answered, expected the refusal ${fixture.refused}`);
        return;
      }
      compareAnswer(engine, answer, picture, report);
      if (String(picture.size) === String(model.size)) {
        const macs = fixture.layers.map((layer) => layer.macs);
        const sides = fixture.layers.map((layer) => layer.sides);
        if (String(answer.macs) !== String(macs) || String(answer.sides) !== String(sides)) {
          report(`sides are ${String(answer.sides)}, expected ${String(sides)}`);
        }
      }
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== fixture.refused) {
        report(String(error));
      }
    }
  });
  return found;
}
