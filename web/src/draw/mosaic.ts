/** Which maps are drawn and how they lie: all maps of a layer as one picture, a tile a map, nearly square. */
import type { View } from "../app/view.svelte";
import type { Layer, Model, Mosaic, Painted } from "../net/types";
import { top } from "../net/largest";
import { ink } from "./ramps";

/** Tiles in a row, so that as many stand beside as below each other. */
export function columnsFor(maps: number): number {
  return Math.max(1, Math.ceil(Math.sqrt(maps)));
}

/** Whether its maps are the class maps: the last 1x1 layer of all, which the answers show. */
export function isClassMaps(model: Model, layer: Layer): boolean {
  return layer.index === model.layers.length - 1;
}

/** The layers of each mlpconv layer whose maps the river shows, in order. */
export function blocksOf(model: Model): Layer[][] {
  const blocks: Layer[][] = [];
  for (const layer of model.layers) {
    const block = (blocks[layer.block] ??= []);
    if (!isClassMaps(model, layer)) block.push(layer);
  }
  return blocks;
}

/** What every run draws: the maps of every layer but the class maps; those of the opened card in its order. */
export function mosaicsFor(view: View): Mosaic[] {
  const model = view.model;
  if (!model) return [];
  const ramp = ink(view.theme);
  const open = view.layer === null ? null : model.layers[view.layer]?.block;
  return blocksOf(model)
    .flat()
    .map((layer) => ({
      layer: layer.index,
      columns: columnsFor(layer.channels),
      ramp,
      order: layer.block === open ? view.order : "number",
      scale: "layer",
    }));
}

/** The tile at a point of a mosaic, in shares 0..1 of it, and the point in shares of the tile; null between tiles. */
export function tileAt(painted: Painted, across: number, down: number): { tile: number; y: number; x: number } | null {
  const [h, w] = painted.tile;
  const left = across * painted.width;
  const top = down * painted.height;
  const column = Math.floor(left / (w + 1));
  const row = Math.floor(top / (h + 1));
  const x = (left - column * (w + 1)) / w;
  const y = (top - row * (h + 1)) / h;
  const tile = row * painted.columns + column;
  if (left < 0 || top < 0 || x > 1 || y > 1 || column >= painted.columns || tile >= painted.order.length) return null;
  return { tile, y, x };
}

/** Upper left corner of a tile, in pixels of the mosaic. */
export function cornerOf(painted: Painted, tile: number): { left: number; top: number } {
  const [h, w] = painted.tile;
  const column = tile % painted.columns;
  return { left: column * (w + 1), top: ((tile - column) / painted.columns) * (h + 1) };
}

/** The map with the largest mean. */
export function strongest(painted: Painted): number {
  return top(painted.means);
}
