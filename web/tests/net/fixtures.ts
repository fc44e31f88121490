/** What tests/explorer/fixtures.py wrote where NIN_FIXTURES says: models, pictures, Python's answers. */

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { type Tensor, openTensors } from "../../src/net/safetensors";
import type { ModelFiles, Picture } from "../../src/net/types";

export const FOLDER = process.env.NIN_FIXTURES ?? "";

export interface Fixture {
  name: string;
  files: ModelFiles;
  /** Code of the refusal that every picture meets; null for none. */
  refused: string | null;
  parameters: number;
  layers: { field: number; jump: number; macs: number; sides: [number, number] }[];
  pictures: { size: [number, number]; picture: Picture; answers: ReadonlyMap<string, Tensor> }[];
}

export function filesOf(folder: string): ModelFiles {
  return new Map(readdirSync(folder).map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));
}

/** Grey, RGB or RGBA of a file as the page decodes it. */
export function decoded({ shape: [height, width, channels], bytes }: Tensor): Picture {
  const data = new Uint8ClampedArray(4 * height * width).fill(255);
  for (let place = 0; place < height * width; place++) {
    const from = bytes.subarray(place * channels, (place + 1) * channels);
    data.set(channels === 1 ? [from[0], from[0], from[0]] : from, 4 * place);
  }
  return { height, width, data };
}

export function numbers({ dtype, bytes }: Tensor): Float32Array {
  if (dtype !== "F32") {
    throw new Error(`${dtype} is not F32`);
  }
  return new Float32Array(bytes.slice().buffer);
}

interface Entry {
  folder: string;
  /** Path of the model folder. */
  model: string;
  refused: string | null;
  parameters: number;
  layers: Fixture["layers"];
  pictures: { name: string; size: [number, number] }[];
}

function fixture(name: string, entry: Entry): Fixture {
  const folder = join(FOLDER, entry.folder);
  const tensors = openTensors(new Uint8Array(readFileSync(join(folder, "answers.safetensors"))), "answers.safetensors");
  const pictures = entry.pictures.map(({ name: own, size }) => {
    const prefix = `${own}.`;
    const answers = [...tensors]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, tensor]): [string, Tensor] => [key.slice(prefix.length), tensor]);
    return { size, picture: decoded(tensors.get(own)!), answers: new Map(answers) };
  });
  return { ...entry, name, files: filesOf(entry.model), pictures };
}

/** All of them; none where there is no folder. */
export function fixtures(): Fixture[] {
  if (!FOLDER || !existsSync(join(FOLDER, "cases.json"))) {
    return [];
  }
  const index = JSON.parse(readFileSync(join(FOLDER, "cases.json"), "utf8")) as Record<string, Entry>;
  return Object.entries(index).map(([name, entry]) => fixture(name, entry));
}
