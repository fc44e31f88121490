/** A model folder read and verified: nin.bundle.folder's twin. What was verified is what is used. */

import { type Calibration, type Metrics, calibrationFrom, metricsFrom } from "./card";
import { type NetworkConfig, networkFrom } from "./config";
import { type Table, isTable, parsed, shown } from "./json";
import { Likeness } from "./likeness";
import { type Preprocess, preprocessFrom } from "./preprocess";
import { type Tensor, floats, openTensors } from "./safetensors";
import { sha256 } from "./sha256";
import { type ModelFiles, Refusal } from "./types";

const FORMAT = 1;
const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const FITTED = "preprocess.safetensors";
const LIKENESS = "likeness.safetensors";
/** Files that decide what the network answers; labels.txt, README.md and the log are for people. */
const READ = [WEIGHTS, FITTED, LIKENESS];
const ALWAYS = [WEIGHTS, "labels.txt", "README.md"];
const KNOWN = [...ALWAYS, FITTED, LIKENESS, "training.csv", "model.onnx"];
const SEAL = /\n {2}"sha256": "([0-9a-f]{64})"\n\}\n$/;
const SMALL = 16 * 2 ** 20; // bytes of config.json
const LARGE = 2 ** 30; // bytes of any other

/** SHA-256 of files by their name, in hexadecimal digits. */
export type Digests = ReadonlyMap<string, string>;

export interface Folder {
  network: NetworkConfig;
  classes: readonly string[];
  preprocess: Preprocess;
  calibration: Calibration;
  metrics: Metrics | null;
  licence: string | null;
  data: string | null;
  /** Name -> numbers, finite; counters are left out. */
  weights: ReadonlyMap<string, Float32Array>;
  shapes: ReadonlyMap<string, readonly number[]>;
  likeness: Likeness | null;
}

/** SHA-256 of each file but config.json by the browser, in a tenth of our own time; none where it has no such thing. */
export async function digestsOf(files: ModelFiles): Promise<Digests> {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle as SubtleCrypto | undefined;
  if (!subtle) {
    return new Map(); // a page that came by plain http
  }
  const some = [...files].filter(([name, data]) => name !== CONFIG && data.length <= LARGE);
  const found = some.map(async ([name, data]) => {
    const digest = await subtle.digest("SHA-256", data as Uint8Array<ArrayBuffer>);
    return [name, hex(new Uint8Array(digest))] as const;
  });
  return new Map(await Promise.all(found));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The model of a folder's files. `digests`: those that are known already. Throws Refusal for what is missing, changed,
 * damaged, foreign or too new.
 */
export function openFolder(files: ModelFiles, digests: Digests = new Map()): Folder {
  const { config, ours } = sealed(files);
  verify(files, ours, digests);
  const tensors = openTensors(files.get(WEIGHTS)!, WEIGHTS);
  const fitted = listed(ours, FITTED) ? openTensors(files.get(FITTED)!, FITTED) : new Map<string, Tensor>();
  const about = listed(ours, LIKENESS) ? openTensors(files.get(LIKENESS)!, LIKENESS) : new Map<string, Tensor>();
  const network = networkFrom(ours.network);
  const classes = classesFrom(config.label_names, network, config.num_classes);
  const preprocess = preprocessFrom(ours.preprocess, fitted);
  if (network.channels !== preprocess.channels) {
    throw new Refusal("network", { part: "in_channels", found: shown(network.channels) });
  }
  const calibration = calibrationFrom(ours.calibration);
  const provenance = isTable(ours.provenance) ? ours.provenance : {};
  const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);
  return {
    network,
    classes,
    preprocess,
    calibration,
    metrics: metricsFrom(ours.metrics),
    licence: text(provenance.license),
    data: text(provenance.data),
    ...weightsFrom(tensors),
    likeness: likenessFrom(about, calibration, network),
  };
}

/** config.json, which carries its own digest: all of it, and the part that is ours. */
function sealed(files: ModelFiles): { config: Table; ours: Table } {
  const data = files.get(CONFIG);
  if (data === undefined) {
    throw new Refusal("no-config");
  }
  if (data.length > SMALL) {
    throw new Refusal("not-ours");
  }
  const config = parsed(data);
  if (!isTable(config) || !isTable(config.nin)) {
    throw new Refusal("not-ours");
  }
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);
  const seal = SEAL.exec(text);
  if (seal === null) {
    throw new Refusal("changed", { file: CONFIG });
  }
  const blank = new TextEncoder().encode("0".repeat(64));
  const end = '"\n}\n'.length;
  const start = data.length - end - blank.length;
  if (sha256(data.subarray(0, start), blank, data.subarray(data.length - end)) !== seal[1]) {
    throw new Refusal("changed", { file: CONFIG });
  }
  if (config.nin.format !== FORMAT) {
    throw new Refusal("too-new", { found: shown(config.nin.format), reads: FORMAT });
  }
  return { config, ours: config.nin };
}

function listed(ours: Table, name: string): boolean {
  return isTable(ours.files) && Object.hasOwn(ours.files, name);
}

/** Every file that is read, and every other one that is there, must be the one that config.json vouches for. */
function verify(files: ModelFiles, ours: Table, digests: Digests): void {
  const vouched = ours.files;
  if (!isTable(vouched) || ALWAYS.some((name) => !Object.hasOwn(vouched, name))) {
    throw new Refusal("not-ours");
  }
  for (const [name, digest] of Object.entries(vouched)) {
    if (!KNOWN.includes(name)) {
      throw new Refusal("not-ours");
    }
    const data = files.get(name);
    if (data === undefined && READ.includes(name)) {
      throw new Refusal("missing", { file: name });
    }
    if (data !== undefined && (data.length > LARGE || (digests.get(name) ?? sha256(data)) !== digest)) {
      throw new Refusal("changed", { file: name });
    }
  }
}

function classesFrom(names: unknown, network: NetworkConfig, count: unknown): readonly string[] {
  const texts = Array.isArray(names) && names.every((name): name is string => typeof name === "string") ? names : [];
  if (texts.length !== network.classes || count !== texts.length || new Set(texts).size !== texts.length) {
    throw new Refusal("classes", { found: texts.length, expected: network.classes });
  }
  return texts;
}

function weightsFrom(tensors: ReadonlyMap<string, Tensor>): Pick<Folder, "weights" | "shapes"> {
  const weights = new Map<string, Float32Array>();
  const shapes = new Map<string, readonly number[]>();
  for (const [name, tensor] of tensors) {
    if (!name.endsWith(".num_batches_tracked")) {
      weights.set(name, floats(tensor, name));
      shapes.set(name, tensor.shape);
    }
  }
  return { weights, shapes };
}

function likenessFrom(
  tensors: ReadonlyMap<string, Tensor>,
  calibration: Calibration,
  network: NetworkConfig,
): Likeness | null {
  if (tensors.size > 0 !== (calibration.unknownBeyond !== null)) {
    throw new Refusal(tensors.size > 0 ? "not-ours" : "missing", { file: LIKENESS });
  }
  return tensors.size > 0 ? Likeness.from(tensors, network.classes, network.features) : null;
}
