/** The files of a model folder, as nin.bundle.folder's `write_bundle` writes them. */

import { neutral } from "../app/names";
import type { Table } from "../net/json";
import { sha256 } from "../net/sha256";
import type { ModelFiles } from "../net/types";
import { type Likeness, tensorsOf } from "./likeness";
import { type Tensors, tensorFile } from "./tensor_file";

const FORMAT = 1;
const BLANK = "0".repeat(64);
/** timm's words for ours. */
const CROP_MODES: Readonly<Record<string, string>> = { stretch: "squash", pad: "border", crop: "center" };

/** What a model folder says; tables are those of config.json. */
export interface Told {
  network: Table;
  classes: readonly string[];
  preprocess: Table;
  calibration: Table;
  metrics: Table;
  provenance: Table;
  likeness: Likeness | null;
  /** The text of README.md. */
  card: string;
}

/** The same with its weights. */
export interface Parts extends Told {
  weights: Tensors;
  /** preprocess.safetensors, for a model that whitens. */
  fitted: Uint8Array | null;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

export function folderOf(parts: Parts): ModelFiles {
  const files = new Map([
    ["model.safetensors", tensorFile(parts.weights, { format: "pt" })],
    ["labels.txt", bytesOf(parts.classes.map((name) => `${neutral(name)}\n`).join(""))],
    ["README.md", bytesOf(parts.card)],
  ]);
  if (parts.fitted) files.set("preprocess.safetensors", parts.fitted);
  if (parts.likeness) files.set("likeness.safetensors", tensorFile(tensorsOf(parts.likeness)));
  const nin = {
    format: FORMAT,
    network: parts.network,
    preprocess: parts.preprocess,
    calibration: parts.calibration,
    metrics: parts.metrics,
    provenance: parts.provenance,
    files: Object.fromEntries([...files].map(([name, bytes]) => [name, sha256(bytes)])),
  };
  return new Map([["config.json", sealed({ ...forHub(parts), nin })], ...files]);
}

/** What timm and the hub know of config.json. */
function forHub({ network, classes, preprocess, provenance }: Parts): Table {
  const blocks = network.blocks as { channels: number[] }[];
  const { channels } = blocks[blocks.length - 1];
  const { mean, std } = preprocess;
  return {
    architecture: network.name,
    num_classes: classes.length,
    num_features: channels.at(-2),
    global_pool: "avg",
    label_names: classes,
    pretrained_cfg: {
      input_size: [preprocess.channels, ...(preprocess.size as number[])],
      interpolation: "bilinear",
      crop_pct: 1,
      crop_mode: CROP_MODES[String(preprocess.fit)],
      ...((preprocess.normalisation ?? "standard") === "standard" ? { mean, std } : {}),
      classifier: `blocks.${blocks.length - 1}.pointwise.${channels.length - 2}`,
      first_conv: "blocks.0.spatial",
      license: licenceOf(provenance),
    },
  };
}

/** The licence that the provenance names, in small letters: the hub refuses a card with others. */
export function licenceOf({ license }: Table): string {
  return (typeof license === "string" && license ? license : "unknown").toLowerCase();
}

/** JSON whose last member is the SHA-256 of the file with 64 zeros in its place: nin.sealed's `seal_json`. */
function sealed(config: Table): Uint8Array {
  const data = bytesOf(`${JSON.stringify({ ...config, sha256: BLANK }, null, 2)}\n`);
  data.set(bytesOf(sha256(data)), data.length - `${BLANK}"\n}\n`.length);
  return data;
}
