/**
 * What the page teaches against what Python and scikit-learn find, and its model folders, which Python reads afterwards
 * (tests/explorer/test_taught_in_node.py).
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { openTensors } from "../../src/net/safetensors";
import * as likeness from "../../src/teach/likeness";
import * as model from "../../src/teach/model";
import * as taught from "../../src/teach/taught";
import * as trunk from "../../src/teach/trunk";
import { folderNames, picturePath, zipOf } from "../../src/teach/zip";
import { expectLearnt, expectModel } from "./compared";
import { TEACHING, hostileNames, modelCases, regressionCases } from "./python_fixtures";

const teaching = { ...likeness, ...model, ...taught, ...trunk };
const regressions = regressionCases();
const models = modelCases();

describe.skipIf(regressions.length === 0)("the page learns what Python and scikit-learn learn", () => {
  test.each(regressions)("$name", (told) => expectLearnt(teaching, told));

  test("some are never unknown, some for both reasons", () => {
    const kinds = regressions.map((told) => `${Number(told.unknown_below > 0)}${Number("unknown_beyond" in told)}`);
    expect(new Set(kinds)).toEqual(new Set(["00", "11"]));
  });
});

describe.skipIf(models.length === 0)("a trunk is Python's, and what is taught on it is a model", () => {
  test.each(models)("$name", (told) => {
    const { files, answers } = expectModel(teaching, told);
    const zip = zipOf([...files].map(([file, data]) => [`${told.name}/${file}`, data]));
    writeFileSync(join(handedOver(), `${told.name}.zip`), zip);
    const said = answers.map(({ probabilities, unknown }) => ({ probabilities: [...probabilities], unknown }));
    writeFileSync(join(handedOver(), `${told.name}.json`), JSON.stringify(said));
  });

  test("weights stay as they were stored", () => {
    const told = models.find(({ name }) => name === "mirrored")!;
    const features = Float32Array.from({ length: 2 * told.width }, (_, n) => n % 5);
    const found = teaching.teach(features, Int32Array.of(0, 1), 2);
    const about = { pictures: [1, 1], language: "en" } as const;
    const cut = teaching.cutTrunk(told.files, told.name);
    const files = teaching.folderWith(cut, found.head, teaching.toldOf(cut, found, ["a", "b"], about));
    const [stored, before] = [files, told.files].map((each) => openTensors(each.get("model.safetensors")!, "x"));
    const kept = [...stored].filter(([name]) => before.has(name));
    expect(kept.length).toBe(stored.size - 2);
    kept.forEach(([name, tensor]) => expect(tensor).toEqual(before.get(name)));
    expect(new Set(kept.map(([, { dtype }]) => dtype))).toEqual(new Set(["F16", "I64"]));
  });

  test("pictures in folders of hostile names, and of those of parts of the data, go to Python, too", () => {
    const picture = new Uint8Array(readFileSync(join(TEACHING, "picture.png")));
    for (const [zip, names] of Object.entries({ pictures: hostileNames(), parts: ["train", "test"] })) {
      const files = folderNames(names).map((name): [string, Uint8Array] => [picturePath(name, 1), picture]);
      writeFileSync(join(handedOver(), `${zip}.zip`), zipOf(files));
    }
  });
});

/** The folder of what Python reads afterwards. */
function handedOver(): string {
  const folder = join(TEACHING, "taught");
  mkdirSync(folder, { recursive: true });
  return folder;
}
