/** A taught model as a folder that nin and the page open like any other: nin.teaching.record's twin. */

import type { Language } from "../app/sentences";
import { neutral } from "../app/names";
import type { Table } from "../net/json";
import { type ModelFiles, Refusal } from "../net/types";
import { cardOf } from "./card";
import { type Parts, folderOf, licenceOf } from "./folder_of";
import { measured } from "./measured";
import type { Taught } from "./taught";
import { type Trunk, networkOf, weightsOf } from "./trunk";

const TOLD = ["data", "note", "license"]; // of the trunk's own origin

export interface About {
  /** How many pictures each class was taught from. */
  readonly pictures: readonly number[];
  /** Of README.md. */
  readonly language: Language;
}

/**
 * The files of the folder. names: one for each class, all different. Throws Refusal "classes" for other names.
 */
export function modelFolder(trunk: Trunk, taught: Taught, names: readonly string[], about: About): ModelFiles {
  const { head, classes, temperature, unknownBelow, unknownBeyond, likeness, estimate } = taught;
  const distinct = new Set(names.map(neutral));
  if (names.length !== classes || distinct.size !== classes || distinct.has("")) {
    throw new Refusal("classes", { found: distinct.size, expected: classes });
  }
  const results = estimate && measured(estimate, names);
  const parts: Omit<Parts, "card"> = {
    network: networkOf(trunk, classes),
    weights: weightsOf(trunk, head),
    classes: names,
    preprocess: trunk.preprocess,
    fitted: trunk.fitted,
    calibration: {
      temperature,
      unknown_below: unknownBelow,
      ...(unknownBeyond === null ? {} : { unknown_beyond: unknownBeyond }),
    },
    metrics: results ? { ...results } : {},
    provenance: provenanceOf(trunk, about),
    likeness,
  };
  return folderOf({ ...parts, card: cardOf(parts, results, trunk, about.language) });
}

/** What was taught on what: the trunk, what it had seen, and the pictures, which are not in the folder. */
function provenanceOf({ id, cut, weights, provenance }: Trunk, { pictures }: About): Table {
  const told = TOLD.filter((name) => Object.hasOwn(provenance, name)).map((name) => [name, provenance[name]]);
  return {
    license: typeof provenance.license === "string" ? provenance.license : licenceOf({}),
    data: "pictures given in the page of nin explore",
    pictures: pictures.reduce((sum, count) => sum + count, 0),
    "pictures of each class": pictures,
    taught: "one 1x1 layer on the maps of a trained network, by softmax regression",
    trunk: { model: id, "mlpconv layers": cut, weights, ...Object.fromEntries<unknown>(told as [string, unknown][]) },
  };
}
