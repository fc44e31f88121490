import { describe, expect, test } from "vitest";
import { cellAt, cellOf, cellPixels, cornerOfCell, gridOf, indexOf, neighbour } from "../../src/draw/cells";

describe.each([
  [1, 1, 1, 180, 120],
  [192, 1, 1, 180, 120],
  [1000, 1, 1, 300, 120],
  [128, 3, 3, 208, 128],
  [3, 5, 5, 208, 128],
  [192, 9, 9, 320, 128],
  [7, 2, 3, 100, 100],
])("%d inputs of %d x %d cells in %d x %d", (inputs, rows, columns, width, height) => {
  const grid = gridOf(inputs, rows, columns, width, height);
  const all = Array.from({ length: inputs * rows * columns }, (_, index) => index);

  test("fits into its box", () => {
    expect(grid.width).toBeLessThanOrEqual(width + 1e-9);
    expect(grid.height).toBeLessThanOrEqual(height + 1e-9);
    const isOutside = (index: number) => {
      const { left, top } = cornerOfCell(grid, index);
      const isBeyond = left + grid.cell > grid.width + 1e-6 || top + grid.cell > grid.height + 1e-6;
      return isBeyond || left < 0 || top < 0;
    };
    expect(all.filter(isOutside)).toEqual([]);
  });

  test("the middle of every cell is that cell, so that none lies over another", () => {
    const found = all.map((index) => {
      const { left, top } = cornerOfCell(grid, index);
      return cellAt(grid, left + grid.cell / 2, top + grid.cell / 2);
    });
    expect(found).toEqual(all);
  });

  test("values lie (rows, columns, inputs)", () => {
    const cells: ReturnType<typeof cellOf>[] = [];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let input = 0; input < inputs; input++) cells.push({ input, row, column });
      }
    }
    expect(all.map((index) => cellOf(grid, index))).toEqual(cells);
    expect(cells.map(({ input, row, column }) => indexOf(grid, input, row, column))).toEqual(all);
  });

  test("arrow keys reach every cell from the first, and lead back", () => {
    const reached = new Set([0]);
    const queue = [0];
    const stuck: number[] = [];
    for (let index = queue.pop(); index !== undefined; index = queue.pop()) {
      for (const [down, across] of [[0, 1], [1, 0]]) {
        const next = neighbour(grid, index, down, across);
        if (next !== index && neighbour(grid, next, -down, -across) !== index) stuck.push(index);
        if (!reached.has(next)) queue.push(next);
        reached.add(next);
      }
    }
    expect(reached.size).toBe(all.length);
    expect(stuck).toEqual([]);
  });
});

test("beside the cells there is nothing", () => {
  const grid = gridOf(5, 1, 1, 100, 100);
  expect(cellAt(grid, -1, 1)).toBe(null);
  expect(cellAt(grid, 1, -1)).toBe(null);
  expect(cellAt(grid, grid.width + 1, 1)).toBe(null);
  expect(cellAt(grid, grid.cell + grid.gap / 2, 1)).toBe(null);
  expect(cellAt(grid, grid.width - 1, grid.height - 1)).toBe(null); // a sixth tile that is not there
});

describe("cells as pixels", () => {
  /** A ramp whose colour 7 is red 7 and so on. */
  const ramp = Uint8ClampedArray.from({ length: 4 * 256 }, (_, at) => (at % 4 === 3 ? 255 : at >> 2));
  const colouring = { ramp, index: (value: number) => value, limit: 255 };

  test.each([
    [6, 1, 1, 100, 60, 1],
    [5, 3, 2, 70, 50, 2],
    [3, 5, 5, 208, 128, 1.25],
  ])("%d inputs of %d x %d in %d x %d: the middle of each has its value's colour", (inputs, rows, columns, w, h, fine) => {
    const grid = gridOf(inputs, rows, columns, w, h);
    const values = Float32Array.from({ length: inputs * rows * columns }, (_, at) => at + 1);
    const image = cellPixels(grid, values, colouring, fine);
    expect([image.width, image.height]).toEqual([Math.round(grid.width * fine), Math.round(grid.height * fine)]);
    const found = [...values].map((_, index) => {
      const { left, top } = cornerOfCell(grid, index);
      const at = Math.floor((top + grid.cell / 2) * fine) * image.width + Math.floor((left + grid.cell / 2) * fine);
      return [...image.data.subarray(4 * at, 4 * at + 4)];
    });
    expect(found).toEqual([...values].map((value) => [value, value, value, 255]));
  });

  test("units have round corners and nothing between them; the cells of a tile leave no gap", () => {
    const units = cellPixels(gridOf(4, 1, 1, 90, 22), [9, 9, 9, 9], colouring, 1);
    const alpha = ({ data }: { data: Uint8ClampedArray }) => [...data].filter((_, at) => at % 4 === 3);
    expect(alpha(units)[0]).toBeLessThan(255);
    expect(alpha(units)).toContain(0);
    const tile = cellPixels(gridOf(1, 7, 7, 100, 100), new Float32Array(49).fill(9), colouring, 1.3);
    expect(new Set(alpha(tile))).toEqual(new Set([255]));
  });
});
