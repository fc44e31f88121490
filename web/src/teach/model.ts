/** What is told of a taught model, so that nin and the page open it like any other: nin.teaching.taught_folder's twin. */

import type { Language } from "../app/sentences";
import { neutral } from "../app/names";
import type { Table } from "../net/json";
import { Refusal } from "../net/types";
import { cardOf } from "./card";
import { type Told, licenceOf } from "./folder_of";
import { measured } from "./measured";
import type { Taught } from "./taught";
import { type TrunkFacts, networkOf } from "./trunk";

const TOLD = ["data", "note", "license"]; // of the trunk's own origin

export interface About {
  /** How many pictures each class was taught from. */
  readonly pictures: readonly number[];
  /** Of README.md. */
  readonly language: Language;
}

/** What its folder says. names: one for each class, all different. Throws Refusal "classes" for other names. */
export function toldOf(trunk: TrunkFacts, taught: Taught, names: readonly string[], about: About): Told {
  const { classes, temperature, unknownBelow, unknownBeyond, likeness, estimate } = taught;
  const distinct = new Set(names.map(neutral));
  if (names.length !== classes || distinct.size !== classes || distinct.has("")) {
    throw new Refusal("classes", { found: distinct.size, expected: classes });
  }
  const results = estimate && measured(estimate, names);
  const told: Omit<Told, "card"> = {
    network: networkOf(trunk, classes),
    classes: names,
    preprocess: trunk.preprocess,
    calibration: {
      temperature,
      unknown_below: unknownBelow,
      ...(unknownBeyond === null ? {} : { unknown_beyond: unknownBeyond }),
    },
    metrics: results ? { ...results } : {},
    provenance: provenanceOf(trunk, about),
    likeness,
  };
  return { ...told, card: cardOf(told, results, trunk, about.language) };
}

/** What was taught on what: the trunk, what it had seen, and the pictures, which are not in the folder. */
function provenanceOf({ id, cut, weights, provenance }: TrunkFacts, { pictures }: About): Table {
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
