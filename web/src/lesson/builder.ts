/**
 * Chapter 8: a network of one's own, what each layer costs, and the file that `nin train --network` takes.
 *
 * The counts are those of nin.network.anatomy for one picture; multiply-adds are MACs, memory is float32.
 */
import { type NetworkConfig, convolvedSide, networkFrom, pooledSide } from "../net/config";
import { type Shape, shapesOf } from "../net/fold";

/** One mlpconv layer as the reader builds it: a k x k layer and so many 1x1 layers after it, all of one width. */
export interface Plan {
  kernel: number;
  channels: number;
  /** 1x1 layers after the k x k one. In the last mlpconv layer the last of them makes the class maps. */
  pointwise: number;
  stride: number;
  pool: "max" | "avg" | null;
}

export interface Design {
  blocks: readonly Plan[];
  /** Side of the pictures in pixels, and the classes to be told apart: known from the data, here for the price only. */
  side: number;
  classes: number;
}

export const KERNELS = [1, 3, 5, 7, 11] as const;
export const STRIDES = [1, 2, 4] as const;
export const WIDTHS = [8, 16, 24, 32, 48, 64, 96, 128, 160, 176, 192, 256, 320, 384] as const;
export const SIDES = [28, 32, 48, 64, 96, 128, 224] as const;
export const MOST_BLOCKS = 8;
export const MOST_POINTWISE = 3;
const COLOURS = 3; // channels of the pictures
const FLOAT32 = 4; // bytes

/** The network that `nin train` uses where nothing else is asked for. Source: SHAPES of nin.network. */
export function firstDesign(): Design {
  const widths = [48, 96, 160, 176, 176];
  const blocks = widths.map((channels, at) => ({
    kernel: at === 0 ? 5 : 3,
    channels,
    pointwise: at === widths.length - 1 ? 2 : 1,
    stride: 1,
    pool: at < 2 ? ("max" as const) : null,
  }));
  return { blocks, side: 32, classes: 10 };
}

/** A design that can be: its last mlpconv layer ends in the class maps, with no pooling after it. */
export function mended(design: Design): Design {
  const last = design.blocks.length - 1;
  const blocks = design.blocks.map((block, at) =>
    at === last ? { ...block, pointwise: Math.max(1, block.pointwise), pool: null } : block,
  );
  return { ...design, blocks };
}

/** One mlpconv layer in the words of NINConfig; settings that hold anyway are left out. */
function tableOf(block: Plan, last: string | number | null): Record<string, unknown> {
  const widths: (string | number)[] = new Array<number>(1 + block.pointwise).fill(block.channels);
  if (last !== null) widths[widths.length - 1] = last;
  return {
    channels: widths,
    kernel_size: block.kernel,
    ...(block.stride === 1 ? {} : { stride: block.stride }),
    ...(block.pool === null ? {} : { pool: block.pool }),
  };
}

/** The network as NINConfig has it. */
export function configOf(design: Design): NetworkConfig {
  const { blocks, classes } = design;
  const tables = blocks.map((block, at) => tableOf(block, at === blocks.length - 1 ? classes : null));
  return networkFrom({ name: "mine", blocks: tables, num_classes: classes, in_channels: COLOURS, norm: "batch" });
}

export interface Price {
  parameters: number;
  macs: number;
  /** Of its maps, and of those after its pooling, in bytes. */
  memory: number;
}

/** What one mlpconv layer costs and sees. */
export interface Stage extends Price {
  /** Side of its maps before pooling, and after. */
  side: number;
  pooled: number;
  /** Side of what one of its values sees after its pooling, and the distance of two neighbours, in pixels. */
  field: number;
  jump: number;
}

export interface Costs extends Price {
  stages: readonly Stage[];
  /** Of a place of the class maps. */
  field: number;
  jump: number;
  /** Number of the mlpconv layer, from 0, at which no place of a map is left; null where the network fits. */
  empty: number | null;
}

/** Trained numbers of one convolution: without a bias where normalisation, two numbers a map, comes after it. */
function parametersOf(shape: Shape, final: boolean): number {
  const weights = (shape.channels * shape.inputs * shape.kernel ** 2) / shape.groups;
  return weights + (final ? 1 : 2) * shape.channels;
}

/** One mlpconv layer, whose first layer reads maps of that side, in a network that has seen so much before it. */
function stageOf(layers: readonly Shape[], read: number, before: Pick<Stage, "field" | "jump">, last: boolean): Stage {
  const [first] = layers;
  const side = convolvedSide(read, first);
  const places = Math.max(0, side) ** 2;
  const pool = layers[layers.length - 1].pool;
  const pooled = pool && side > 0 ? pooledSide(side, pool) : side;
  const stage: Stage = {
    side,
    pooled,
    field: before.field + (first.kernel - 1) * before.jump,
    jump: before.jump * first.stride,
    parameters: 0,
    macs: 0,
    memory: 0,
  };
  layers.forEach((shape, depth) => {
    stage.parameters += parametersOf(shape, last && depth === layers.length - 1);
    stage.macs += ((shape.channels * shape.inputs * shape.kernel ** 2) / shape.groups) * places;
    stage.memory += FLOAT32 * shape.channels * places;
  });
  if (pool) {
    stage.field += (pool.size - 1) * stage.jump;
    stage.jump *= pool.stride;
    stage.memory += FLOAT32 * layers[layers.length - 1].channels * Math.max(0, pooled) ** 2;
  }
  return stage;
}

/** What a design costs, mlpconv layer by mlpconv layer, and in all; the means of the class maps count as memory. */
export function costsOf(design: Design): Costs {
  const shapes = shapesOf(configOf(design));
  const stages: Stage[] = [];
  let read = design.side;
  let seen = { field: 1, jump: 1 };
  design.blocks.forEach((_, block) => {
    const layers = shapes.filter((shape) => shape.block === block);
    const stage = stageOf(layers, read, seen, block === design.blocks.length - 1);
    stages.push(stage);
    read = stage.pooled;
    seen = stage;
  });
  const sum = (part: keyof Price) => stages.reduce((total, stage) => total + stage[part], 0);
  const empty = stages.findIndex((stage) => stage.pooled < 1);
  return {
    stages,
    parameters: sum("parameters"),
    macs: sum("macs"),
    memory: sum("memory") + FLOAT32 * design.classes,
    field: seen.field,
    jump: seen.jump,
    empty: empty < 0 ? null : empty,
  };
}

/** What the author's CIFAR-10 network takes at 32 x 32, the budget of the chapter. Source: nin.network.author_networks. */
export const BUDGET = { parameters: 966_986, macs: 222_486_528 } as const;

/** The file for `nin train --network`: the number of classes comes from the data. */
export function fileOf(design: Design): string {
  const { blocks } = design;
  const lines = blocks.map((block, at) => {
    const table = tableOf(block, at === blocks.length - 1 ? "classes" : null);
    const values = Object.entries(table).map(
      ([name, value]) => `${name}: ${Array.isArray(value) ? `[${value.join(", ")}]` : String(value)}`,
    );
    return `  - {${values.join(", ")}}`;
  });
  return ["norm: batch", "blocks:", ...lines, ""].join("\n");
}

export const FILE = "my-network.yaml";

/** The command that trains it on a folder of pictures. */
export function commandOf(design: Design): string {
  return `nin train photos --network ${FILE} --size ${design.side}`;
}

/** With another mlpconv layer before the last, like the one before that. */
export function longer(design: Design): Design {
  const { blocks } = design;
  const at = blocks.length - 1;
  const like = blocks[Math.max(0, at - 1)];
  const added = { ...like, kernel: Math.min(3, like.kernel), stride: 1, pool: null, pointwise: 1 };
  return { ...design, blocks: [...blocks.slice(0, at), added, ...blocks.slice(at)] };
}

export function without(design: Design, block: number): Design {
  return mended({ ...design, blocks: design.blocks.filter((_, at) => at !== block) });
}

export function changed(design: Design, block: number, change: Partial<Plan>): Design {
  return mended({ ...design, blocks: design.blocks.map((one, at) => (at === block ? { ...one, ...change } : one)) });
}
