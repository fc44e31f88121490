/**
 * Chapter 7: pictures on a board that is larger than what the network learned from, and where each class finds its own.
 *
 * (H, W) sides of a picture at the network's size, (h, w) of its class maps; the board and its maps likewise.
 */
import type { Answer, Model, Picture } from "../net/types";

type Size = readonly [number, number];

/** A picture on the board: what the network saw of it (RGBA of (H, W)), where it lies, and the class it is by itself. */
export interface Tile {
  id: number;
  data: Uint8ClampedArray;
  size: Size;
  y: number;
  x: number;
  top: number;
}

const LONGEST = 128; // pixels of a picture on the board: with more, an answer takes too long for a hand that drags
const ROWS = 2; // the board, in pictures
const COLUMNS = 3;
export const PAPERS = { grey: 119, black: 0, white: 255 } as const; // grey: the middle as the eye has it, L* 50
export type Paper = keyof typeof PAPERS;

/** Size (H, W) of the pictures on the board: the network's own. */
export function tileSize({ size }: Pick<Model, "size">): Size {
  const scale = Math.min(1, LONGEST / Math.max(...size));
  return [Math.round(size[0] * scale), Math.round(size[1] * scale)];
}

export function boardSize([height, width]: Size): Size {
  return [ROWS * height, COLUMNS * width];
}

/** Where the first pictures lie: apart from each other, so that each can be pulled. Shares of the room there is. */
const BEGIN: readonly Size[] = [
  [0.12, 0.06],
  [0.85, 0.5],
  [0.2, 0.94],
  [0.95, 0.05],
];

export function placeOf(number: number, tile: Size): { y: number; x: number } {
  const [height, width] = boardSize(tile);
  const [down, across] = BEGIN[number % BEGIN.length] ?? [0, 0];
  return { y: Math.round(down * (height - tile[0])), x: Math.round(across * (width - tile[1])) };
}

/** The nearest place at which a picture lies wholly on the board. */
export function inside(y: number, x: number, tile: Size): { y: number; x: number } {
  const [height, width] = boardSize(tile);
  return {
    y: Math.max(0, Math.min(height - tile[0], Math.round(y))),
    x: Math.max(0, Math.min(width - tile[1], Math.round(x))),
  };
}

/** The board as one picture; later pictures lie over earlier ones. */
export function laid(tiles: readonly Tile[], size: Size, paper: Paper): Picture {
  const [height, width] = size;
  const data = new Uint8ClampedArray(4 * height * width).fill(PAPERS[paper]);
  for (let at = 3; at < data.length; at += 4) data[at] = 255;
  for (const tile of tiles) {
    const line = 4 * tile.size[1];
    for (let row = 0; row < tile.size[0]; row++) {
      data.set(tile.data.subarray(row * line, (row + 1) * line), 4 * ((tile.y + row) * width + tile.x));
    }
  }
  return { width, height, data };
}

/** The paper that these pictures would lie on most naturally, by what stands at their edges. */
export function paperFor(tiles: readonly Pick<Tile, "data" | "size">[]): Paper {
  let sum = 0;
  let count = 0;
  for (const { data, size } of tiles) {
    const [height, width] = size;
    for (let place = 0; place < height * width; place++) {
      const row = Math.floor(place / width);
      const column = place % width;
      if (row > 0 && row < height - 1 && column > 0 && column < width - 1) continue;
      sum += data[4 * place] + data[4 * place + 1] + data[4 * place + 2];
      count += 3;
    }
  }
  const mean = count ? sum / count : PAPERS.grey;
  return mean < 48 ? "black" : mean > 207 ? "white" : "grey";
}

/** The strongest place of one class on the board, and whether it lies on a picture, from 0. */
export interface Landing {
  y: number;
  x: number;
  value: number;
  /** Number of the tile under the middle of that place, the uppermost one; -1 for the bare board. */
  tile: number;
}

/** Where the map of a class is largest. */
export function landing(answer: Answer, index: number, tiles: readonly Tile[]): Landing {
  const [h, w] = answer.mapSize;
  const map = answer.classMaps.subarray(index * h * w, (index + 1) * h * w);
  let best = 0;
  map.forEach((value, at) => {
    if (value > map[best]) best = at;
  });
  const y = Math.floor(best / w);
  const x = best % w;
  const down = ((y + 0.5) * answer.size[0]) / h;
  const across = ((x + 0.5) * answer.size[1]) / w;
  const over = (tile: Tile) =>
    down >= tile.y && down < tile.y + tile.size[0] && across >= tile.x && across < tile.x + tile.size[1];
  return { y, x, value: map[best], tile: tiles.map(over).lastIndexOf(true) };
}

/** The classes whose maps are shown: those of the pictures, then the largest means, so many in all. */
export function shownClasses(answer: Answer, tiles: readonly Tile[], count: number): number[] {
  const byMean = Array.from(answer.logits.keys()).sort((a, b) => answer.logits[b] - answer.logits[a] || a - b);
  return [...new Set([...tiles.map(({ top }) => top), ...byMean])].slice(0, count);
}

/** A map with only its largest values, a share of all places; the others are 0. Figure 4 of the paper keeps a tenth. */
export function onlyTop(map: Float32Array, share: number): Float32Array {
  const kept = Math.max(1, Math.round(share * map.length));
  const least = Float32Array.from(map).sort()[map.length - kept];
  return map.map((value) => (value >= least ? value : 0));
}

/** Values that a fully connected head on the same features expects, and what this board would give it. */
export function fullyConnected(model: Model, own: Size, board: Size): { expected: number; given: number } {
  const features = model.layers.at(-1)?.inputs ?? 0;
  return { expected: features * own[0] * own[1], given: features * board[0] * board[1] };
}

/** Numbers of so many examples, of different classes as far as there are some, from all over the list. */
export function chosen(labels: readonly (string | null)[], count: number): number[] {
  const step = Math.max(1, Math.floor(labels.length / count));
  const order = labels.map((_, at) => (at * step) % labels.length);
  const all = [...new Set([...order, ...labels.keys()])];
  const fresh = all.filter((at, place) => all.findIndex((one) => labels[one] === labels[at]) === place);
  return [...new Set([...fresh, ...all])].slice(0, count);
}
