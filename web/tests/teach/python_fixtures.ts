/** What tests/explorer/teaching_fixtures.py wrote below NIN_FIXTURES: features, labels, pictures, Python's answers. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { type Tensor, openTensors } from "../../src/net/safetensors";
import type { ModelFiles, Picture } from "../../src/net/types";
import { FOLDER, decoded, filesOf } from "../net/fixtures";

export const TEACHING = join(FOLDER, "teaching");

/** What Python found. */
interface Found {
  temperature: number;
  unknown_below: number;
  unknown_beyond?: number;
  confusion?: number[][];
}

export interface RegressionCase extends Found {
  name: string;
  classes: number;
  tensors: ReadonlyMap<string, Tensor>;
}

export interface ModelCase extends Found {
  name: string;
  files: ModelFiles;
  cut: number | null;
  size: number | null;
  counts: number[];
  width: number;
  tensors: ReadonlyMap<string, Tensor>;
  pictures: Picture[];
}

/** Single or double precision. */
export function numbersOf(tensor: Tensor | undefined): Float64Array {
  const { dtype, bytes } = tensor!;
  const buffer = bytes.slice().buffer;
  return dtype === "F64" ? new Float64Array(buffer) : Float64Array.from(new Float32Array(buffer));
}

export function labelsOf(tensors: ReadonlyMap<string, Tensor>): Int32Array {
  return new Int32Array(tensors.get("labels")!.bytes.slice().buffer);
}

interface Index {
  regressions: Record<string, Found & { classes: number }>;
  models: Record<string, Omit<ModelCase, "name" | "files" | "tensors" | "pictures"> & { model: string }>;
  /** Names that people give to classes, or should not. */
  hostile: string[];
}

const tensorsIn = (file: string): Map<string, Tensor> => {
  const path = join(TEACHING, `${file}.safetensors`);
  return openTensors(new Uint8Array(readFileSync(path)), file);
};

function index(): Index {
  const path = join(TEACHING, "index.json");
  const none = { regressions: {}, models: {}, hostile: [] };
  return FOLDER && existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Index) : none;
}

export const hostileNames = (): string[] => index().hostile;

export function regressionCases(): RegressionCase[] {
  const { regressions } = index();
  if (!Object.keys(regressions).length) return [];
  const all = tensorsIn("regressions");
  return Object.entries(regressions).map(([name, found]) => {
    const own = [...all].filter(([key]) => key.startsWith(`${name}.`));
    return { name, ...found, tensors: new Map(own.map(([key, tensor]) => [key.slice(name.length + 1), tensor])) };
  });
}

export function modelCases(): ModelCase[] {
  return Object.entries(index().models).map(([name, { model, ...found }]) => {
    const tensors = tensorsIn(name);
    const count = found.counts.reduce((sum, each) => sum + each, 0);
    const pictures = Array.from({ length: count }, (_, number) => decoded(tensors.get(`picture.${number}`)!));
    return { name, ...found, files: filesOf(model), tensors, pictures };
  });
}
