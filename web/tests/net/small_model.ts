/** A model folder made here, without Python: a network with weights that can be counted by hand. */

import { createHash } from "node:crypto";

import type { ModelFiles } from "../../src/net/types";

type Table = Record<string, unknown>;
export type Tensors = Readonly<Record<string, { shape: number[]; values: number[] }>>;

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export function safetensors(tensors: Tensors): Uint8Array {
  let end = 0;
  const header: Table = {};
  const bytes: Uint8Array[] = [];
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const own = new Uint8Array(Float32Array.from(values).buffer);
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + own.length] };
    end += own.length;
    bytes.push(own);
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return new Uint8Array(Buffer.concat([length, text, ...bytes]));
}

/** config.json as nin writes it: its last member is the digest of the file with 64 zeros in its place. */
export function sealed(config: Table): Uint8Array {
  const blank = "0".repeat(64);
  const text = `${JSON.stringify({ ...config, sha256: blank }, null, 2)}\n`;
  const own = digest(new TextEncoder().encode(text));
  return new TextEncoder().encode(`${text.slice(0, -68)}${own}"\n}\n`);
}

export const NETWORK: Table = {
  name: "small",
  num_classes: 2,
  in_channels: 1,
  blocks: [
    { channels: [3], kernel_size: 3, pool: "max", pool_size: 2, pool_stride: 2 },
    { channels: [2, 2], kernel_size: 3 },
  ],
};

export const WEIGHTS: Tensors = {
  "blocks.0.spatial.weight": { shape: [3, 1, 3, 3], values: Array.from({ length: 27 }, (_, n) => ((n * 7) % 5) - 2) },
  "blocks.0.spatial.bias": { shape: [3], values: [0.5, -1, 2] },
  "blocks.1.spatial.weight": { shape: [2, 3, 3, 3], values: Array.from({ length: 54 }, (_, n) => ((n * 3) % 7) - 3) },
  "blocks.1.spatial.bias": { shape: [2], values: [1, 0] },
  "blocks.1.pointwise.0.weight": { shape: [2, 2, 1, 1], values: [0.25, -0.5, 1, 2] },
  "blocks.1.pointwise.0.bias": { shape: [2], values: [0, 1] },
};

export interface Parts {
  network?: Table;
  preprocess?: Table;
  calibration?: Table;
  ours?: Table;
  config?: Table;
  weights?: Tensors;
}

/** The files of a model folder; `parts` replace what it would have. */
export function smallModel(parts: Parts = {}): Map<string, Uint8Array> & ModelFiles {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const files = new Map([
    ["model.safetensors", safetensors(parts.weights ?? WEIGHTS)],
    ["labels.txt", text("no\nyes\n")],
    ["README.md", text("# small\n")],
  ]);
  const nin = {
    format: 1,
    network: { ...NETWORK, ...parts.network },
    preprocess: { size: [9, 8], channels: 1, fit: "stretch", mean: [0.5], std: [0.25], ...parts.preprocess },
    calibration: { temperature: 10, unknown_below: 0, ...parts.calibration },
    metrics: {},
    provenance: {},
    files: Object.fromEntries([...files].map(([name, bytes]) => [name, digest(bytes)])),
    ...parts.ours,
  };
  files.set("config.json", sealed({ label_names: ["no", "yes"], num_classes: 2, nin, ...parts.config }));
  return files;
}
