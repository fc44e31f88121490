/** Chapter 7: what lies on the board, and where each class finds its own, by a slow second way. */

import { expect, test } from "vitest";

import {
  boardSize,
  chosen,
  fullyConnected,
  inside,
  laid,
  landing,
  onlyTop,
  paperFor,
  placeOf,
  shownClasses,
  type Tile,
  tileSize,
} from "../../src/lesson/board";
import { LocalEngine } from "../../src/net/engine";
import type { Answer } from "../../src/net/types";
import { smallModel } from "../net/small_model";

function tile(id: number, y: number, x: number, size: readonly [number, number], shade: number, top = 0): Tile {
  const data = new Uint8ClampedArray(4 * size[0] * size[1]).map((_, at) => (at % 4 === 3 ? 255 : shade));
  return { id, data, size, y, x, top };
}

const pixel = (data: Uint8ClampedArray, width: number, y: number, x: number) => [
  ...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4),
];

test("pictures lie where they were put, the later over the earlier, and paper is everywhere else", () => {
  const tiles = [tile(1, 2, 3, [4, 5], 10), tile(2, 4, 6, [4, 5], 200)];
  const board = laid(tiles, [12, 16], "grey");
  for (let y = 0; y < 12; y++) {
    for (let x = 0; x < 16; x++) {
      const first = y >= 2 && y < 6 && x >= 3 && x < 8;
      const second = y >= 4 && y < 8 && x >= 6 && x < 11;
      const shade = second ? 200 : first ? 10 : 119;
      expect(pixel(board.data, 16, y, x)).toEqual([shade, shade, shade, 255]);
    }
  }
});

test("a picture never leaves the board, and the first ones lie on it", () => {
  const size = [32, 20] as const;
  const [height, width] = boardSize(size);
  expect([height, width]).toEqual([64, 60]);
  for (const [y, x] of [
    [-9, -9],
    [999, 999],
    [13.4, 7.6],
  ]) {
    const at = inside(y, x, size);
    expect(at.y >= 0 && at.y + 32 <= height && at.x >= 0 && at.x + 20 <= width).toBe(true);
  }
  expect(inside(13.4, 7.6, size)).toEqual({ y: 13, x: 8 });
  for (let number = 0; number < 6; number++) {
    const at = placeOf(number, size);
    expect(inside(at.y, at.x, size)).toEqual(at);
  }
  expect(tileSize({ size: [32, 32] })).toEqual([32, 32]);
  expect(tileSize({ size: [512, 256] })).toEqual([128, 64]);
});

test("the paper is that of the pictures' edges", () => {
  expect(paperFor([tile(1, 0, 0, [8, 8], 3), tile(2, 0, 0, [8, 8], 20)])).toBe("black");
  expect(paperFor([tile(1, 0, 0, [8, 8], 250)])).toBe("white");
  const ringed = tile(1, 0, 0, [8, 8], 0);
  ringed.data.fill(128, 0, 4 * 8);
  ringed.data.fill(255, 4 * 56);
  expect(paperFor([ringed])).toBe("grey");
  expect(paperFor([])).toBe("grey");
});

test("the strongest place is the largest value, and it knows the picture under it", () => {
  const engine = new LocalEngine();
  engine.open(smallModel());
  const tiles = [tile(1, 1, 2, [9, 8], 240), tile(2, 7, 9, [9, 8], 30)];
  const picture = laid(tiles, [18, 24], "grey");
  const answer = engine.run({ picture, size: [18, 24] })!;
  const [h, w] = answer.mapSize;
  for (const index of [0, 1]) {
    const found = landing(answer, index, tiles);
    const map = Array.from({ length: h * w }, (_, at) => answer.classMaps[index * h * w + at]);
    expect(found.value).toBe(Math.max(...map));
    expect(map[found.y * w + found.x]).toBe(found.value);
    const [y, x] = [((found.y + 0.5) * 18) / h, ((found.x + 0.5) * 24) / w];
    const over = tiles.filter((one) => y >= one.y && y < one.y + 9 && x >= one.x && x < one.x + 8);
    expect(found.tile).toBe(over.length ? tiles.indexOf(over[over.length - 1]) : -1);
  }
});

test("whose peak is where", () => {
  const classMaps = new Float32Array(2 * 4 * 6).fill(-1);
  classMaps[0 * 24 + 1 * 6 + 5] = 3; // class 0: row 1, column 5
  classMaps[1 * 24 + 3 * 6 + 0] = 2; // class 1: row 3, column 0
  const answer = { classMaps, mapSize: [4, 6], size: [64, 96], logits: Float32Array.of(0.5, 0.9) } as unknown as Answer;
  const tiles = [tile(1, 0, 64, [32, 32], 9), tile(2, 0, 60, [32, 32], 9)];
  expect(landing(answer, 0, tiles)).toEqual({ y: 1, x: 5, value: 3, tile: 1 - 0 });
  expect(landing(answer, 0, tiles.slice(0, 1)).tile).toBe(0);
  expect(landing(answer, 1, tiles).tile).toBe(-1);
});

test("maps of the pictures' classes come first, then the largest means", () => {
  const answer = { logits: Float32Array.of(0.1, 0.9, 0.3, 0.7) } as unknown as Answer;
  const tiles = [tile(1, 0, 0, [2, 2], 0, 2), tile(2, 0, 0, [2, 2], 0, 2)];
  expect(shownClasses(answer, tiles, 3)).toEqual([2, 1, 3]);
  expect(shownClasses(answer, [], 2)).toEqual([1, 3]);
  expect(shownClasses(answer, tiles, 9)).toEqual([2, 1, 3, 0]);
});

test("only a tenth of a map's places stays, the largest", () => {
  const map = Float32Array.from({ length: 40 }, (_, at) => ((at * 17) % 40) - 20);
  const kept = onlyTop(map, 0.1);
  expect([...kept].filter((value) => value !== 0).sort((a, b) => a - b)).toEqual([16, 17, 18, 19]);
  map.forEach((value, at) => expect(kept[at]).toBe(value >= 16 ? value : 0));
});

test("a fully connected head wants the values of the size it was made for", () => {
  const model = new LocalEngine().open(smallModel());
  expect(fullyConnected(model, [5, 4], [9, 12])).toEqual({ expected: 2 * 20, given: 2 * 108 });
});

test("the examples to begin with are of different classes where there are some, and never one twice", () => {
  const labels = ["a", "a", "b", "b", "c", "c", "a", "b", "c"];
  const numbers = chosen(labels, 3);
  expect(new Set(numbers.map((at) => labels[at])).size).toBe(3);
  expect(chosen(["a", "a", "a"], 3).sort()).toEqual([0, 1, 2]);
  expect(chosen([null, null], 2).sort()).toEqual([0, 1]);
  expect(chosen(["a", "a", "a", "b"], 2).map((at) => ["a", "a", "a", "b"][at]).sort()).toEqual(["a", "b"]);
  expect(chosen([], 0)).toEqual([]);
});
