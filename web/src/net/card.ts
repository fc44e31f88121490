/** How far answers can be trusted, and how well a model did: nin.bundle.card's twin. */

import { isTable, shown } from "./json";
import { type Model, Refusal } from "./types";

/** probabilities = softmax(logits / temperature); "unknown" under a probability or beyond a distance. */
export interface Calibration {
  temperature: number;
  unknownBelow: number;
  unknownBeyond: number | null;
}

export type Metrics = NonNullable<Model["accuracy"]>;

const LIMITS = { temperature: [1e-6, 1e6], unknown_below: [0, 1], unknown_beyond: [0, 1e9] } as const;

export function calibrationFrom(value: unknown): Calibration {
  if (!isTable(value)) {
    throw new Refusal("calibration", { part: "calibration", found: shown(value) });
  }
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(LIMITS, name)) {
      throw new Refusal("calibration", { part: shown(name), found: shown(value[name]) });
    }
  }
  const number = (name: keyof typeof LIMITS, usual: number): number => {
    const found = Object.hasOwn(value, name) ? value[name] : usual;
    const [low, high] = LIMITS[name];
    if (typeof found !== "number" || !(found >= low && found <= high)) {
      throw new Refusal("calibration", { part: name, found: shown(found) });
    }
    return found;
  };
  return {
    temperature: number("temperature", 1),
    unknownBelow: number("unknown_below", 0),
    unknownBeyond: (value.unknown_beyond ?? null) === null ? null : number("unknown_beyond", 0),
  };
}

/** Why the answer is "unknown", if it is: a picture unlike the training's counts before a low probability. */
export function unknown(
  calibration: Calibration,
  probability: number,
  distance: number | null,
): "unsure" | "foreign" | null {
  if (calibration.unknownBeyond !== null && distance !== null && !(distance <= calibration.unknownBeyond)) {
    return "foreign";
  }
  return probability < calibration.unknownBelow ? "unsure" : null;
}

/** What config.json says of the model's test; null where it says nothing that can be shown. */
export function metricsFrom(value: unknown): Metrics | null {
  if (!isTable(value)) {
    return null;
  }
  const share = (found: unknown): found is number => typeof found === "number" && found >= 0 && found <= 1;
  const { accuracy, interval, n, split } = value;
  if (!share(accuracy) || !Array.isArray(interval) || interval.length !== 2 || !interval.every(share)) {
    return null;
  }
  if (!Number.isSafeInteger(n)) {
    return null;
  }
  const [low, high] = interval as [number, number];
  return { value: accuracy, low, high, n: n as number, split: typeof split === "string" ? split : "test" };
}
