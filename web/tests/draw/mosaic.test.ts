import { describe, expect, test } from "vitest";
import type { View } from "../../src/app/view.svelte";
import { blocksOf, columnsFor, cornerOf, mosaicsFor, strongest, tileAt } from "../../src/draw/mosaic";
import type { Painted } from "../../src/net/types";
import { smallModel } from "./small";

function painted(maps: number, h: number, w: number): Painted {
  const columns = columnsFor(maps);
  const rows = Math.ceil(maps / columns);
  return {
    layer: 0,
    width: columns * (w + 1) - 1,
    height: rows * (h + 1) - 1,
    tile: [h, w],
    columns,
    data: new Uint8ClampedArray(),
    order: Int32Array.from({ length: maps }, (_, at) => at),
    means: Float32Array.from({ length: maps }, (_, at) => -Math.abs(at - 3)),
    peaks: new Float32Array(maps),
  };
}

test("as many tiles beside as below each other", () => {
  for (let maps = 1; maps <= 1000; maps++) {
    const columns = columnsFor(maps);
    expect(columns * columns).toBeGreaterThanOrEqual(maps);
    expect((columns - 1) * (columns - 1)).toBeLessThan(maps);
  }
});

describe.each([
  [1, 8, 8],
  [5, 3, 7],
  [192, 8, 8],
])("%d maps of %d x %d", (maps, h, w) => {
  const drawn = painted(maps, h, w);

  test("every pixel belongs to the tile that lies there, the line between to none", () => {
    const wrong: [number, number][] = [];
    for (let row = 0; row < drawn.height; row++) {
      for (let column = 0; column < drawn.width; column++) {
        const found = tileAt(drawn, (column + 0.5) / drawn.width, (row + 0.5) / drawn.height);
        const tile = Math.floor(row / (h + 1)) * drawn.columns + Math.floor(column / (w + 1));
        const isBetween = row % (h + 1) === h || column % (w + 1) === w || tile >= maps;
        const { left, top } = cornerOf(drawn, tile);
        const there = [tile, row - top, column - left];
        const here = found && [found.tile, Math.floor(found.y * h), Math.floor(found.x * w)];
        const isCorner = top % (h + 1) === 0 && left % (w + 1) === 0;
        const isRight = isBetween ? found === null : isCorner && String(here) === String(there);
        if (!isRight) wrong.push([row, column]);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("points beside it belong to no tile", () => {
    for (const [across, down] of [[-0.01, 0.5], [0.5, -0.01], [1.01, 0.5], [0.5, 1.01]]) {
      expect(tileAt(drawn, across, down)).toBe(null);
    }
  });
});

test("the strongest is the map with the largest mean, also below zero", () => {
  expect(strongest(painted(9, 2, 2))).toBe(3);
});

test("the river draws all layers but the class maps, in order", () => {
  const model = smallModel();
  const view = { model, theme: "light", layer: null, order: "strength" } as unknown as View;
  expect(mosaicsFor(view).map(({ layer }) => layer)).toEqual([0, 1, 2]);
  expect(new Set(mosaicsFor(view).map(({ order }) => order))).toEqual(new Set(["number"]));
  expect(blocksOf(model).map((layers) => layers.map(({ index }) => index))).toEqual([[0, 1], [2]]);
});

test("only the opened mlpconv layer is in order of strength", () => {
  const view = { model: smallModel(), theme: "dark", layer: 1, order: "strength" } as unknown as View;
  expect(mosaicsFor(view).map(({ order }) => order)).toEqual(["strength", "strength", "number"]);
});
