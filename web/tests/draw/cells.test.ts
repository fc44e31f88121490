import { describe, expect, test } from "vitest";
import { cellAt, cellOf, cornerOfCell, gridOf, indexOf, neighbour } from "../../src/draw/cells";

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
