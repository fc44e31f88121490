/** Trunks and taught models of a network that can be counted by hand, opened by the page's engine. */

import { expect, test } from "vitest";

import { LocalEngine } from "../../src/net/engine";
import { openFolder } from "../../src/net/folder";
import { openTensors } from "../../src/net/safetensors";
import { type ModelFiles, type Picture, Refusal } from "../../src/net/types";
import { type About, toldOf } from "../../src/teach/model";
import { type Taught, classMaps, logitsOf, teach } from "../../src/teach/taught";
import { halfBits, singles, tensorFile } from "../../src/teach/tensor_file";
import { type Trunk, cutTrunk, folderWith, passing } from "../../src/teach/trunk";
import { NETWORK, smallModel } from "../net/small_model";

const picture: Picture = {
  width: 11,
  height: 10,
  data: new Uint8ClampedArray(440).map((_, n) => (n % 4 === 3 ? 255 : (n * n * 31) % 256)),
};
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
  return "nothing";
}

function modelFolder(trunk: Trunk, taught: Taught, names: readonly string[], about: About): ModelFiles {
  return folderWith(trunk, taught.head, toldOf(trunk, taught, names, about));
}

function taughtOn(width: number, counts: readonly number[]): Taught {
  const labels = Int32Array.from(counts.flatMap((count, k) => new Array<number>(count).fill(k)));
  const features = Float32Array.from({ length: labels.length * width }, (_, at) => {
    const n = Math.floor(at / width);
    return 3 * labels[n] + (((at * 7919) % 13) / 13) * 4;
  });
  return teach(features, labels, counts.length);
}

test.each([
  ["its first mlpconv layer, without the pooling behind it", undefined, 3, 0, false],
  ["all but its last 1x1 layer", 2, 2, 1, false],
  ["the first, both views", 1, 3, 0, true],
])("a trunk passes on %s", (_, cut, width, layer, mirror) => {
  const files = smallModel({ network: { ...NETWORK, mirror } });
  const trunk = cutTrunk(files, "small", cut);
  expect([trunk.id, trunk.cut, trunk.layers, trunk.width]).toEqual(["small", cut ?? 1, 2, width]);
  expect([trunk.size, trunk.channels, trunk.mirror]).toEqual([[9, 8], 1, mirror]);
  const engine = new LocalEngine();
  engine.open(files);
  engine.run({ picture });
  const straight = Array.from({ length: width }, (_, unit) => engine.map(layer, unit).values);
  engine.run({ picture: { ...picture, data: turned(picture) } });
  const other = Array.from({ length: width }, (_, unit) => engine.map(layer, unit).values);
  engine.open(passing(trunk));
  const { logits, classMaps: maps, mapSize } = engine.run({ picture });
  const places = mapSize[0] * mapSize[1];
  straight.forEach((own, f) => {
    const expected = own.map((value, at) => {
      const column = at % mapSize[1];
      return mirror ? (value + other[f][at - column + mapSize[1] - 1 - column]) / 2 : value;
    });
    const found = maps.subarray(f * places, (f + 1) * places);
    found.forEach((value, at) => expect(value).toBeCloseTo(expected[at], 4));
    expect(logits[f]).toBeCloseTo(found.reduce((sum, value) => sum + value / places, 0), 4);
  });
});

function turned({ width, data }: Picture): Uint8ClampedArray {
  return data.map((_, at) => {
    const column = Math.floor(at / 4) % width;
    return data[at + 4 * (width - 1 - 2 * column)];
  });
}

test("what a trunk cannot be is refused as opening refuses", () => {
  const files = smallModel();
  expect(refusal(() => cutTrunk(files, "small", 3))).toBe('absent {"what":"cut","found":"3","count":2}');
  expect(refusal(() => cutTrunk(files, "small", 0))).toMatch(/^absent/);
  expect(refusal(() => cutTrunk(files, "small", 1.5))).toMatch(/^absent/);
  expect(refusal(() => cutTrunk(files, "small", 1, 7))).toBe('size {"found":"7","least":8,"most":4096}');
  expect(refusal(() => cutTrunk(files, "small", 1, 4097))).toMatch(/^size/);
  expect(refusal(() => cutTrunk(new Map(), "small"))).toBe("no-config {}");
  const changed = new Map(files).set("model.safetensors", files.get("model.safetensors")!.map((byte) => byte ^ 1));
  expect(refusal(() => cutTrunk(changed, "small"))).toBe('changed {"file":"model.safetensors"}');
  expect(cutTrunk(files, "small", 1, 33).size).toEqual([33, 33]);
});

test("a model for deep pictures becomes a trunk for those of the browser", () => {
  const trunk = cutTrunk(smallModel({ preprocess: { value_range: [168, 560] } }), "deep");
  const engine = new LocalEngine();
  engine.open(passing(trunk));
  expect(engine.run({ picture }).logits.length).toBe(3);
});

test("a taught model is opened like any other, and is the head on the trunk's maps", () => {
  const ours = { provenance: { license: "MIT", data: "spots" } };
  const trunk = cutTrunk(smallModel({ ours }), "small", undefined, 12);
  const taught = taughtOn(3, [12, 11, 9]);
  const names = ["고양이", "a|b <i>", "z\u202e\n# not a heading"];
  const files = modelFolder(trunk, taught, names, { pictures: [12, 11, 9], language: "en" });
  expect([...files.keys()].sort()).toEqual(
    ["README.md", "config.json", "labels.txt", "likeness.safetensors", "model.safetensors"],
  );
  const folder = openFolder(files);
  expect(folder.licence).toBe("MIT");
  expect(folder.preprocess.size).toEqual([12, 12]);
  expect(folder.metrics).toMatchObject({ value: taught.estimate!.right / 32, n: 32, split: "left-out" });
  const { temperature, unknownBelow, unknownBeyond } = taught;
  expect(folder.calibration).toEqual({ temperature, unknownBelow, unknownBeyond });
  const engine = new LocalEngine();
  engine.open(passing(trunk));
  const seen = engine.run({ picture });
  const model = engine.open(files);
  expect(model.classes).toEqual(names);
  const answer = engine.run({ picture });
  const expected = classMaps(taught.head, seen.classMaps, 3);
  answer.classMaps.forEach((value, at) => expect(value).toBeCloseTo(expected[at], 3));
  logitsOf(taught.head, seen.logits).forEach((logit, k) => expect(answer.logits[k]).toBeCloseTo(logit, 4));
  expect(answer.distance).not.toBeNull();
  expect(text(files.get("labels.txt"))).toBe("고양이\na|b <i>\nz\\u202e\\n# not a heading\n");
  const card = text(files.get("README.md"));
  expect(card).toContain("고양이, a\\|b \\<i\\>, z\\\\u202e\\\\n# not a heading.");
  expect(card).toContain('license: "mit"');
  expect(card).toContain("mlpconv layer 1 of small");
  expect(card).toContain("| a\\|b \\<i\\> | 11 |");
  expect(card).not.toMatch(/readme\.|\{\w+\}|undefined|NaN/);
});

test("a few pictures make a model that says that it was not measured, in the reader's language", () => {
  const trunk = cutTrunk(smallModel(), "small");
  const files = modelFolder(trunk, taughtOn(3, [2, 9]), ["a", "b"], { pictures: [2, 9], language: "ko" });
  const { metrics, calibration, likeness } = openFolder(files);
  expect([metrics, calibration.unknownBelow, likeness]).toEqual([null, 0, null]);
  const card = text(files.get("README.md"));
  expect(card).toContain("측정하지 않았습니다");
  expect(card).not.toMatch(/readme\.|\{\w+\}|undefined|NaN/);
});

test("names that are missing, alike or too many are refused", () => {
  const trunk = cutTrunk(smallModel(), "small");
  const taught = taughtOn(3, [3, 3]);
  const save = (...names: string[]): string =>
    refusal(() => modelFolder(trunk, taught, names, { pictures: [3, 3], language: "en" }));
  expect(save("a", "b")).toBe("nothing");
  expect(save("a", "a")).toBe('classes {"found":1,"expected":2}');
  expect(save("a", "")).toMatch(/^classes/);
  expect(save("a", "b", "c")).toMatch(/^classes/);
});

test("tensors are written as they are read, whatever their order, aligned to eight bytes", () => {
  const one = singles([1, -2, 0.5], [3]);
  const other = { dtype: "F16", shape: [1], bytes: new Uint8Array([0x00, 0x3c]) };
  const counter = { dtype: "I64", shape: [], bytes: new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]) };
  const data = tensorFile(new Map<string, typeof one>([["b", other], ["a", one], ["n", counter]]), { format: "pt" });
  const again = tensorFile(new Map<string, typeof one>([["n", counter], ["a", one], ["b", other]]), { format: "pt" });
  expect(again).toEqual(data);
  const start = 8 + Number(new DataView(data.buffer).getBigUint64(0, true));
  expect(start % 8).toBe(0);
  const found = openTensors(data, "x");
  expect([...found.keys()]).toEqual(["n", "a", "b"]); // the largest numbers first, so that each is aligned
  expect(found.get("a")).toEqual(one);
  expect(found.get("b")).toEqual(other);
  expect(text(data.subarray(8, start))).toMatch(/^\{"__metadata__":\{"sha256":"[0-9a-f]{64}","format":"pt"\}/);
});

test("halves are the nearest, ties to even", () => {
  const cases: [number, number][] = [
    [0, 0],
    [1, 0x3c00],
    [-2, 0xc000],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [1 + 2 ** -11 + 2 ** -20, 0x3c01],
    [2 ** -24, 0x0001],
    [2 ** -14, 0x0400],
    [2047.5 * 2 ** -11, 0x3c00],
    [65504, 0x7bff],
  ];
  cases.forEach(([value, bits]) => expect(halfBits(value)).toBe(bits));
});
