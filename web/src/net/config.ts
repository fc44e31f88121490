/** What decides a network, validated, and the sizes of maps that follow from it: nin.network.config's twin. */

import { type Table, isTable, shown } from "./json";
import { Refusal } from "./types";

export type Activation = "relu" | "gelu" | "silu" | "identity";

/** One mlpconv layer and what follows it. `channels`: widths of the k x k layer and of each 1x1. */
export interface Block {
  channels: readonly number[];
  kernel: number;
  stride: number;
  padding: number;
  groups: number;
  pool: Pool | null;
  dropout: number;
}

export interface Pool {
  kind: "max" | "avg";
  size: number;
  stride: number;
  padding: number;
  ceil: boolean;
}

export interface NetworkConfig {
  name: string;
  blocks: readonly Block[];
  classes: number;
  channels: number;
  /** Number of maps that the last 1x1 layer reads. */
  features: number;
  norm: boolean;
  activation: Activation;
  lastActivation: boolean;
  lastNorm: boolean;
  classicDropout: boolean;
  mirror: boolean;
}

const ACTIVATIONS = ["relu", "gelu", "silu", "identity"] as const;
const LEAST_SIDE = 8; // pixels: MIN_SIDE of Python
const MOST = 2 ** 24; // of any whole number here
const MOST_BLOCKS = 1_000; // ours
/** What a block may say, and what holds where it says nothing. */
const BLOCK = {
  channels: undefined,
  kernel_size: undefined,
  stride: 1,
  padding: null,
  groups: 1,
  pool: null,
  pool_size: 3,
  pool_stride: 2,
  pool_padding: 0,
  pool_ceil: true,
  dropout: 0,
  init_std: null,
};
const NETWORK = {
  name: undefined,
  blocks: undefined,
  num_classes: undefined,
  in_channels: 3,
  norm: null,
  activation: "relu",
  last_activation: false,
  last_norm: false,
  dropout_kind: "inverted",
  init: "kaiming",
  mirror: false,
};

const refused = (part: string, found: unknown): Refusal =>
  new Refusal("network", { part: shown(part), found: shown(found) });

/** Settings with what holds where one is not given; Refusal for one that is unknown or missing. */
function settings<Name extends string>(
  value: unknown,
  known: Record<Name, unknown>,
  what: string,
): Record<Name, unknown> {
  if (!isTable(value)) {
    throw refused(what, value);
  }
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(known, name));
  if (unknown !== undefined) {
    throw refused(`${what}.${unknown}`, value[unknown]);
  }
  const given = Object.entries<unknown>(known).map(([name, usual]) => {
    const found = Object.hasOwn(value, name) ? (value as Table)[name] : usual;
    if (found === undefined) {
      throw refused(`${what}.${name}`, null);
    }
    return [name, found];
  });
  return Object.fromEntries(given) as Record<Name, unknown>;
}

function whole(part: string, value: unknown, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > MOST) {
    throw refused(part, value);
  }
  return value as number;
}

function truth(part: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw refused(part, value);
  }
  return value;
}

function oneOf<Choice>(part: string, value: unknown, choices: readonly Choice[]): Choice {
  if (!choices.includes(value as Choice)) {
    throw refused(part, value);
  }
  return value as Choice;
}

function blockFrom(value: unknown, number: number): Block {
  const what = `blocks.${number}`;
  const given = settings(value, BLOCK, what);
  const count = (name: keyof typeof BLOCK, least: number): number => whole(`${what}.${name}`, given[name], least);
  if (!Array.isArray(given.channels) || given.channels.length === 0) {
    throw refused(`${what}.channels`, given.channels);
  }
  const kernel = count("kernel_size", 1);
  const kind = oneOf(`${what}.pool`, given.pool, [null, "max", "avg"] as const);
  const pool = {
    size: count("pool_size", 1),
    stride: count("pool_stride", 1),
    padding: count("pool_padding", 0),
    ceil: truth(`${what}.pool_ceil`, given.pool_ceil),
  };
  if (2 * pool.padding > pool.size) {
    throw refused(`${what}.pool_padding`, pool.padding);
  }
  const { dropout } = given;
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) {
    throw refused(`${what}.dropout`, dropout);
  }
  return {
    channels: given.channels.map((width) => whole(`${what}.channels`, width, 1)),
    kernel,
    stride: count("stride", 1),
    padding: given.padding === null ? Math.floor(kernel / 2) : count("padding", 0),
    groups: count("groups", 1),
    pool: kind === null ? null : { kind, ...pool },
    dropout,
  };
}

/** The network that the table of config.json describes. Throws Refusal "network", which names the part. */
export function networkFrom(value: unknown): NetworkConfig {
  const given = settings(value, NETWORK, "network");
  if (typeof given.name !== "string" || given.name === "") {
    throw refused("name", given.name);
  }
  if (!Array.isArray(given.blocks) || given.blocks.length === 0 || given.blocks.length > MOST_BLOCKS) {
    throw refused("blocks", given.blocks);
  }
  const blocks = given.blocks.map(blockFrom);
  const config = {
    name: given.name,
    blocks,
    classes: whole("num_classes", given.num_classes, 1),
    channels: whole("in_channels", given.in_channels, 1),
    features: blocks[blocks.length - 1].channels.at(-2) ?? 0,
    norm: oneOf("norm", given.norm, [null, "batch"]) === "batch",
    activation: oneOf("activation", given.activation, ACTIVATIONS),
    lastActivation: truth("last_activation", given.last_activation),
    lastNorm: truth("last_norm", given.last_norm),
    classicDropout: oneOf("dropout_kind", given.dropout_kind, ["inverted", "classic"]) === "classic",
    mirror: truth("mirror", given.mirror),
  };
  expectFit(config);
  return config;
}

/** Throws Refusal unless the parts fit each other. */
function expectFit(config: NetworkConfig): void {
  const { blocks } = config;
  const last = blocks[blocks.length - 1];
  if (last.channels.length < 2 || last.pool !== null || last.dropout > 0) {
    throw refused(`blocks.${blocks.length - 1}`, last.pool ?? last.channels);
  }
  if (last.channels.at(-1) !== config.classes) {
    throw refused("num_classes", config.classes);
  }
  if (config.mirror && (config.lastActivation || config.lastNorm)) {
    throw refused("mirror", config.mirror);
  }
  let width = config.channels;
  blocks.forEach((block, number) => {
    if (width % block.groups || block.channels[0] % block.groups) {
      throw refused(`blocks.${number}.groups`, block.groups);
    }
    width = block.channels.at(-1)!;
  });
}

/** Side of a map after a convolution, in places; under 1 where the kernel does not fit. */
export function convolvedSide(side: number, layer: Pick<Block, "kernel" | "stride" | "padding">): number {
  return Math.floor((side + 2 * layer.padding - layer.kernel) / layer.stride) + 1;
}

/** Side of a map after pooling; rounding up, the last window may hang over the edge but must start inside. */
export function pooledSide(side: number, { size, stride, padding, ceil }: Pool): number {
  const span = side + 2 * padding - size;
  if (!ceil) {
    return Math.floor(span / stride) + 1;
  }
  const out = Math.ceil(span / stride) + 1;
  return (out - 1) * stride >= side + padding ? out - 1 : out;
}

/** Side of the last maps for a picture of that side; 0 where something does not fit. */
export function lastSide(side: number, config: NetworkConfig): number {
  let left = side;
  for (const block of config.blocks) {
    left = convolvedSide(left, block);
    if (left >= 1 && block.pool !== null) {
      left = pooledSide(left, block.pool);
    }
    if (left < 1) {
      return 0;
    }
  }
  return left;
}

/** Shortest side of a picture that the network can take, in pixels. */
export function leastSide(config: NetworkConfig): number {
  for (let side = LEAST_SIDE; side < 4096; side++) {
    if (lastSide(side, config) >= 1) {
      return side;
    }
  }
  throw refused("stride", config.name);
}
