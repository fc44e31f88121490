/**
 * Values as a grid of cells: a tile of (rows, columns) cells for each of C inputs, as many tiles in a row as fill a box
 * best. With 1 x 1 tiles it is a layer's units, with k x k tiles a patch or a filter. Values lie (rows, columns, C).
 */
import type { Colouring } from "./ramps";

export interface Grid {
  inputs: number;
  rows: number; // cells of a tile, down
  columns: number; // cells of a tile, across
  across: number; // tiles in a row
  cell: number; // side of a cell, in CSS pixels
  gap: number; // between tiles, in CSS pixels
  width: number;
  height: number;
}

/** One cell: the tile it lies in, and where in the tile. */
export interface Cell {
  input: number;
  row: number;
  column: number;
}

const UNIT_GAP = 0.25; // of a cell, between units
const TILE_GAP = 0.6; // of a cell, between tiles of several cells
const LARGEST_CELL = 22; // CSS pixels

/** The grid of largest cells that fits into a box, in CSS pixels. */
export function gridOf(inputs: number, rows: number, columns: number, width: number, height: number): Grid {
  const gap = rows * columns === 1 ? UNIT_GAP : TILE_GAP;
  let best = { across: 1, cell: 0 };
  for (let across = 1; across <= inputs; across++) {
    const down = Math.ceil(inputs / across);
    const cell = Math.min(width / (across * (columns + gap) - gap), height / (down * (rows + gap) - gap), LARGEST_CELL);
    if (cell > best.cell) best = { across, cell };
  }
  const { across, cell } = best;
  const down = Math.ceil(inputs / across);
  return {
    inputs,
    rows,
    columns,
    across,
    cell,
    gap: gap * cell,
    width: (across * (columns + gap) - gap) * cell,
    height: (down * (rows + gap) - gap) * cell,
  };
}

/** Where in the values a cell lies. */
export function indexOf(grid: Pick<Grid, "inputs" | "columns">, input: number, row: number, column: number): number {
  return (row * grid.columns + column) * grid.inputs + input;
}

/** Which cell a value is. */
export function cellOf(grid: Pick<Grid, "inputs" | "columns">, index: number): Cell {
  const input = index % grid.inputs;
  const place = (index - input) / grid.inputs;
  const column = place % grid.columns;
  return { input, row: (place - column) / grid.columns, column };
}

/** Upper left corner of a value's cell, in CSS pixels. */
export function cornerOfCell(grid: Grid, index: number): { left: number; top: number } {
  const { input, row, column } = cellOf(grid, index);
  const tile = input % grid.across;
  const line = (input - tile) / grid.across;
  return {
    left: tile * (grid.columns * grid.cell + grid.gap) + column * grid.cell,
    top: line * (grid.rows * grid.cell + grid.gap) + row * grid.cell,
  };
}

/** The value under a point, in CSS pixels; null beside the cells. */
export function cellAt(grid: Grid, x: number, y: number): number | null {
  const tile = Math.floor(x / (grid.columns * grid.cell + grid.gap));
  const line = Math.floor(y / (grid.rows * grid.cell + grid.gap));
  const column = Math.floor((x - tile * (grid.columns * grid.cell + grid.gap)) / grid.cell);
  const row = Math.floor((y - line * (grid.rows * grid.cell + grid.gap)) / grid.cell);
  const input = line * grid.across + tile;
  const outside = tile < 0 || line < 0 || tile >= grid.across || column >= grid.columns || row >= grid.rows;
  return outside || input >= grid.inputs ? null : indexOf(grid, input, row, column);
}

/** The value beside one, for the arrow keys: cells follow each other as they are seen, over the gaps between tiles. */
export function neighbour(grid: Grid, index: number, down: number, across: number): number {
  const { input, row, column } = cellOf(grid, index);
  const tile = input % grid.across;
  const line = (input - tile) / grid.across;
  const x = tile * grid.columns + column + across;
  const y = line * grid.rows + row + down;
  const next = Math.floor(y / grid.rows) * grid.across + Math.floor(x / grid.columns);
  if (x < 0 || y < 0 || x >= grid.across * grid.columns || next >= grid.inputs) return index;
  return indexOf(grid, next, y % grid.rows, x % grid.columns);
}

/** The corner pixels of a square of `side` pixels that lie at least partly outside it when it is round. */
function corners(side: number, radius: number): { at: number; row: number; inside: number }[] {
  const beyond = (at: number) => Math.max(0, radius - Math.min(at + 0.5, side - at - 0.5));
  const all = Array.from({ length: side * side }, (_, n) => {
    const row = Math.floor(n / side);
    const off = Math.hypot(beyond(row), beyond(n % side));
    return { at: n % side, row, inside: Math.min(1, Math.max(0, radius - off + 0.5)) };
  });
  return radius > 0 ? all.filter(({ inside }) => inside < 1) : [];
}

interface Pixels {
  data: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
}

/** A ramp with one number a colour, as the pixels of a picture lie in memory. */
function packed(ramp: Uint8ClampedArray): Uint32Array {
  return new Uint32Array(ramp.slice().buffer);
}

/**
 * RGBA of all cells, `fine` pixels a CSS pixel, nothing between them. Pixel by pixel: a patch may have ten thousand
 * cells, and a canvas takes five times as long to fill as many squares.
 */
export function cellPixels(grid: Grid, values: ArrayLike<number>, colouring: Colouring, fine: number): Pixels {
  const { inputs, rows, columns, across, cell, gap } = grid;
  const width = Math.max(1, Math.round(grid.width * fine));
  const height = Math.max(1, Math.round(grid.height * fine));
  const pixels = new Uint32Array(width * height);
  const data = new Uint8ClampedArray(pixels.buffer);
  const colours = packed(colouring.ramp);
  const alone = rows * columns === 1; // units: round, and each as large as the others
  const side = Math.max(1, Math.round(cell * fine));
  const cut = alone ? corners(side, fine * Math.min(3, cell / 4)) : [];
  for (let input = 0; input < inputs; input++) {
    const tileLeft = (input % across) * (columns * cell + gap);
    const tileTop = Math.floor(input / across) * (rows * cell + gap);
    for (let row = 0; row < rows; row++) {
      const top = Math.round((tileTop + row * cell) * fine);
      const bottom = Math.min(height, alone ? top + side : Math.round((tileTop + (row + 1) * cell) * fine));
      for (let column = 0; column < columns; column++) {
        const left = Math.round((tileLeft + column * cell) * fine);
        const right = Math.min(width, alone ? left + side : Math.round((tileLeft + (column + 1) * cell) * fine));
        const colour = colours[colouring.index(values[(row * columns + column) * inputs + input])];
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) pixels[y * width + x] = colour;
        }
        for (const { at, row: down, inside } of cut) {
          const to = (top + down) * width + left + at;
          if (left + at < right && top + down < bottom) data[4 * to + 3] = 255 * inside;
        }
      }
    }
  }
  return { data, width, height };
}

/** Puts every cell on a canvas that holds nothing yet; the context's unit is a CSS pixel. */
export function drawCells(
  context: CanvasRenderingContext2D,
  grid: Grid,
  values: ArrayLike<number>,
  colouring: Colouring,
): void {
  const { data, width, height } = cellPixels(grid, values, colouring, context.getTransform().a);
  context.putImageData(new ImageData(data, width, height), 0, 0);
}

/** Frames around some cells, wholly inside the canvas. */
export function frameCells(
  context: CanvasRenderingContext2D,
  grid: Grid,
  indices: readonly number[],
  colour: string,
  width: number,
): void {
  context.strokeStyle = colour;
  context.lineWidth = width;
  for (const index of indices) {
    const { left, top } = cornerOfCell(grid, index);
    const side = Math.max(2, grid.cell - width);
    context.strokeRect(left + width / 2, top + width / 2, side, side);
  }
}
