/** Which folders are opened, and what is said of the others. */

import { expect, test } from "vitest";

import { LocalEngine } from "../../src/net/engine";
import { Refusal } from "../../src/net/types";
import { NETWORK, type Parts, WEIGHTS, sealed, smallModel } from "./small_model";

const engine = new LocalEngine();

function refusal(files: ReadonlyMap<string, Uint8Array>): string {
  try {
    engine.open(files);
  } catch (error) {
    if (error instanceof Refusal) {
      return error.message;
    }
    throw error;
  }
  return "opened";
}

test("a folder as nin writes it is opened", () => {
  const model = engine.open(smallModel());
  expect(model.classes).toEqual(["no", "yes"]);
  expect(model.parameters).toBe(27 + 3 + 54 + 2 + 4 + 2);
  expect(model.layers.map(({ weights }) => weights)).toEqual([30, 56, 6]);
  expect(model.layers.map(({ field, jump }) => [field, jump])).toEqual([
    [3, 1],
    [8, 2],
    [8, 2],
  ]);
  expect(model.least).toBe(8);
  expect([model.unknownBelow, model.unknownBeyond, model.accuracy, model.licence]).toEqual([null, null, null, null]);
});

test("what config.json says of its test, licence and data is handed on", () => {
  const metrics = { accuracy: 0.9, interval: [0.8, 0.95], n: 50, split: "validation" };
  const model = engine.open(smallModel({ ours: { metrics, provenance: { license: "MIT", data: "mine" } } }));
  expect(model.accuracy).toEqual({ value: 0.9, low: 0.8, high: 0.95, n: 50, split: "validation" });
  expect([model.licence, model.data]).toEqual(["MIT", "mine"]);
});

test("files that are missing, changed or foreign", () => {
  const without = (name: string): Map<string, Uint8Array> => {
    const files = smallModel();
    files.delete(name);
    return files;
  };
  const turned = (name: string, at: number): Map<string, Uint8Array> => {
    const files = smallModel();
    files.get(name)![at] ^= 1;
    return files;
  };
  expect(refusal(new Map())).toBe("no-config {}");
  expect(refusal(without("config.json"))).toBe("no-config {}");
  expect(refusal(without("model.safetensors"))).toBe('missing {"file":"model.safetensors"}');
  expect(refusal(without("README.md"))).toBe("opened"); // for people
  expect(refusal(turned("README.md", 2))).toBe('changed {"file":"README.md"}');
  expect(refusal(turned("model.safetensors", 700))).toBe('changed {"file":"model.safetensors"}');
  const config = smallModel().get("config.json")!;
  const inName = new TextDecoder().decode(config).indexOf("small");
  expect(refusal(turned("config.json", inName))).toBe('changed {"file":"config.json"}');
  expect(refusal(new Map([["config.json", new TextEncoder().encode('{"a": 1}')]]))).toBe("not-ours {}");
  expect(refusal(new Map([["config.json", config.slice(0, -1)]]))).toBe('changed {"file":"config.json"}');
  expect(refusal(new Map([["config.json", config.slice(0, 90)]]))).toBe("not-ours {}");
  expect(refusal(new Map([["config.json", sealed({ nin: { format: 2 } })]]))).toBe('too-new {"found":"2","reads":1}');
});

const first = (change: Record<string, unknown>): Parts => ({
  network: { blocks: [{ ...(NETWORK.blocks as object[])[0], ...change }, (NETWORK.blocks as object[])[1]] },
});

test.each<[string, Parts, string]>([
  ["a setting of later", first({ dilation: 2 }), 'network {"part":"blocks.0.dilation","found":"2"}'],
  ["no kernel", first({ kernel_size: undefined }), 'network {"part":"blocks.0.kernel_size","found":"null"}'],
  ["a broken kernel", first({ kernel_size: 2.5 }), 'network {"part":"blocks.0.kernel_size","found":"2.5"}'],
  ["no widths", first({ channels: [] }), 'network {"part":"blocks.0.channels","found":"[]"}'],
  ["another pool", first({ pool: "median" }), 'network {"part":"blocks.0.pool","found":"median"}'],
  ["too much padding", first({ pool_padding: 2 }), 'network {"part":"blocks.0.pool_padding","found":"2"}'],
  ["groups that do not divide", first({ groups: 2 }), 'network {"part":"blocks.0.groups","found":"2"}'],
  ["another activation", { network: { activation: "mish" } }, 'network {"part":"activation","found":"mish"}'],
  [
    "a property of every object",
    { network: { activation: "constructor" } },
    'network {"part":"activation","found":"constructor"}',
  ],
  ["another head", { network: { head: "fc" } }, 'network {"part":"network.head","found":"fc"}'],
  ["no blocks", { network: { blocks: [] } }, 'network {"part":"blocks","found":"[]"}'],
  [
    "mirror and an activation",
    { network: { mirror: true, last_activation: true } },
    'network {"part":"mirror","found":"true"}',
  ],
  ["other channels than its pictures", { network: { in_channels: 3 } }, 'network {"part":"in_channels","found":"3"}'],
  ["one class name too few", { config: { label_names: ["no"] } }, 'classes {"found":1,"expected":2}'],
  ["a name twice", { config: { label_names: ["no", "no"] } }, 'classes {"found":2,"expected":2}'],
  ["another fit", { preprocess: { fit: "fill" } }, 'preprocess {"part":"fit","found":"fill"}'],
  ["a side of nothing", { preprocess: { size: [0, 8] } }, 'preprocess {"part":"size","found":"[0,8]"}'],
  [
    "whitening without its matrix",
    { preprocess: { normalisation: "gcn-zca" } },
    'preprocess {"part":"zca","found":"undefined"}',
  ],
  ["a temperature of nothing", { calibration: { temperature: 0 } }, 'calibration {"part":"temperature","found":"0"}'],
  ["likeness without its file", { calibration: { unknown_beyond: 3 } }, 'missing {"file":"likeness.safetensors"}'],
  [
    "a file that nin does not write",
    { ours: { files: { "model.safetensors": "", "labels.txt": "", "README.md": "", "run.sh": "" } } },
    'changed {"file":"model.safetensors"}',
  ],
])("%s", (_, parts, expected) => {
  expect(refusal(smallModel(parts))).toBe(expected);
});

test("weights that are missing, of another shape or no numbers", () => {
  const bias = "blocks.0.spatial.bias";
  const { "blocks.0.spatial.weight": weight, ...rest } = WEIGHTS;
  expect(refusal(smallModel({ weights: rest }))).toBe('weights {"name":"blocks.0.spatial.weight","found":"-"}');
  const narrow = { ...WEIGHTS, "blocks.0.spatial.weight": { shape: [27, 1, 1, 1], values: weight.values } };
  expect(refusal(smallModel({ weights: narrow }))).toBe(
    'weights {"name":"blocks.0.spatial.weight","found":"27,1,1,1"}',
  );
  const none = { ...WEIGHTS, [bias]: { shape: [3], values: [1, NaN, 2] } };
  expect(refusal(smallModel({ weights: none }))).toBe(`not-finite {"name":"${bias}"}`);
});

test("a model that is refused leaves the one before open, with its weights", () => {
  const picture = { width: 8, height: 9, data: new Uint8ClampedArray(4 * 72).map((_, n) => (n * 31) % 256) };
  engine.open(smallModel());
  const before = engine.run({ picture });
  expect(refusal(smallModel({ network: { activation: "mish" } }))).not.toBe("opened");
  expect(engine.run({ picture }).logits).toEqual(before.logits);
});
