/**
 * A trained network cut after one of its mlpconv layers, and what becomes of it with new classes: nin.teaching.trunk's
 * twin.
 *
 * Legend: F features, which are means of F maps, K classes.
 */

import { type Block, leastSide, networkFrom } from "../net/config";
import { openFolder } from "../net/folder";
import { type Table, isTable, parsed } from "../net/json";
import { type Channels, LARGEST_SIDE, type Size } from "../net/preprocess";
import { openTensors } from "../net/safetensors";
import { type Model, type ModelFiles, Refusal } from "../net/types";
import { type Told, folderOf } from "./folder_of";
import type { Head } from "./regression";
import { type Tensors, singles } from "./tensor_file";

/** What is known of a trunk beside its weights, which stay with the engine. */
export interface TrunkFacts {
  /** What its model is called. */
  readonly id: string;
  readonly cut: number;
  /** How many mlpconv layers the model has. */
  readonly layers: number;
  /** F. */
  readonly width: number;
  /** (H, W) of what it sees. */
  readonly size: Size;
  readonly channels: Channels;
  readonly mirror: boolean;
  /** What config.json says of the network, the preprocessing and the model's origin. */
  readonly network: Table;
  readonly preprocess: Table;
  readonly provenance: Table;
  /** SHA-256 of the model's weights. */
  readonly weights: string;
}

/** A model's mlpconv layers 1 to `cut`, for pictures of a size. */
export interface Trunk extends TrunkFacts {
  /** The weights up to the cut, as they are stored. */
  readonly tensors: Tensors;
  /** preprocess.safetensors of a model that whitens. */
  readonly fitted: Uint8Array | null;
}

/** A trunk that is open, and the model as which it is. */
export interface OpenTrunk {
  trunk: TrunkFacts;
  model: Model;
}

const WEIGHTS = "model.safetensors";
const FITTED = "preprocess.safetensors";

/**
 * The trunk of a model's files; by default cut one mlpconv layer before the last, at the model's own size. Throws
 * Refusal as opening does, "absent" for a cut that the model does not have, "fixed" and "size" for another size.
 */
export function cutTrunk(files: ModelFiles, id: string, cut?: number, size?: number): Trunk {
  const folder = openFolder(files);
  const ours = (parsed(files.get("config.json")!) as { nin: Record<string, Table> }).nin;
  const layers = folder.network.blocks.length;
  const last = cut ?? Math.max(1, layers - 1);
  if (!Number.isInteger(last) || last < 1 || last > layers) {
    throw new Refusal("absent", { what: "cut", found: String(last), count: layers });
  }
  const { zca } = folder.preprocess;
  const own = folder.preprocess.size;
  const sides: Size = size === undefined ? own : [size, size];
  if (zca !== null && String(sides) !== String(own)) {
    throw new Refusal("fixed", { height: own[0], width: own[1] });
  }
  const block = folder.network.blocks[last - 1];
  const width = last === layers ? folder.network.features : block.channels.at(-1)!;
  const trunk = {
    id,
    cut: last,
    layers,
    width,
    size: sides,
    channels: folder.preprocess.channels,
    mirror: folder.network.mirror,
    network: ours.network,
    preprocess: preprocessOf(ours.preprocess, sides),
    provenance: isTable(ours.provenance) ? ours.provenance : {},
    weights: String(ours.files[WEIGHTS]),
    tensors: tensorsUpTo(openTensors(files.get(WEIGHTS)!, WEIGHTS), last, last === layers ? block : null),
    fitted: zca === null ? null : files.get(FITTED)!,
  };
  const least = leastSide(networkFrom(networkOf(trunk, width)));
  if (sides.some((side) => !Number.isInteger(side) || side < least || side > LARGEST_SIDE)) {
    throw new Refusal("size", { found: String(size), least, most: LARGEST_SIDE });
  }
  return trunk;
}

/** For pictures of a browser, which have 8 bits: a range of deeper values, that the model knew, is left out. */
function preprocessOf(table: Table, [height, width]: Size): Table {
  const { value_range: _, ...rest } = table;
  return { ...rest, size: [height, width] };
}

/** Those of the blocks up to the cut, but for the head in which `last`, the network's last block, ends. */
function tensorsUpTo(tensors: Tensors, cut: number, last: Block | null): Tensors {
  const depth = last ? last.channels.length : 0;
  const head = last ? [`pointwise.${depth - 2}.`, `norms.${depth - 1}.`] : [];
  const stays = (name: string): boolean => {
    const [, block] = name.split(".");
    return Number(block) < cut && !head.some((part) => name.startsWith(`blocks.${cut - 1}.${part}`));
  };
  return new Map([...tensors].filter(([name]) => stays(name)));
}

/** The network for so many classes: after the cut one 1x1 layer, no activation, and global average pooling. */
export function networkOf({ network, cut, layers }: Pick<Trunk, "network" | "cut" | "layers">, classes: number): Table {
  const blocks = (network.blocks as Table[]).slice(0, cut).map((block) => ({ ...block, init_std: null }));
  const last: Table = blocks[cut - 1];
  const channels = last.channels as number[];
  const widths = cut === layers ? channels.slice(0, -1) : channels;
  return {
    ...network,
    blocks: [...blocks.slice(0, -1), { ...last, channels: [...widths, classes], pool: null, dropout: 0 }],
    num_classes: classes,
    init: network.init === "normal" ? "kaiming" : (network.init ?? "kaiming"),
    last_activation: false,
    last_norm: false,
  };
}

/** The weights of that network by name: the trunk's as they are stored, the head's in single precision. */
export function weightsOf(trunk: Trunk, { weight, bias }: Head): Tensors {
  const blocks = networkOf(trunk, bias.length).blocks as { channels: number[] }[];
  const place = `blocks.${trunk.cut - 1}.pointwise.${blocks[trunk.cut - 1].channels.length - 2}`;
  return new Map([
    ...trunk.tensors,
    [`${place}.weight`, singles(weight, [bias.length, trunk.width, 1, 1])],
    [`${place}.bias`, singles(bias, [bias.length])],
  ]);
}

/**
 * A model folder whose class maps are the trunk's maps: its last 1x1 layer passes every one on. Its logits are the mean
 * features; of a network that also looks at the mirror image both are means of the two views.
 */
export function passing(trunk: Trunk): ModelFiles {
  const { width } = trunk;
  const weight = new Float64Array(width * width);
  for (let f = 0; f < width; f++) weight[f * width + f] = 1;
  return folderWith(trunk, { weight, bias: new Float64Array(width) }, {
    network: networkOf(trunk, width),
    classes: Array.from({ length: width }, (_, f) => String(f)),
    preprocess: trunk.preprocess,
    calibration: { temperature: 1, unknown_below: 0 },
    metrics: {},
    provenance: trunk.provenance,
    likeness: null,
    card: "",
  });
}

/** The files of the model that a head makes of a trunk, with what is told of it. */
export function folderWith(trunk: Trunk, head: Head, told: Told): ModelFiles {
  return folderOf({ ...told, weights: weightsOf(trunk, head), fitted: trunk.fitted });
}
