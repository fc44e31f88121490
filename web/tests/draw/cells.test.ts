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
    for (const index of all) {
      const { left, top } = cornerOfCell(grid, index);
      expect(left + grid.cell).toBeLessThanOrEqual(grid.width + 1e-6);
      expect(top + grid.cell).toBeLessThanOrEqual(grid.height + 1e-6);
    }
  });

  test("the middle of every cell is that cell, so that none lies over another", () => {
    for (const index of all) {
      const { left, top } = cornerOfCell(grid, index);
      expect(cellAt(grid, left + grid.cell / 2, top + grid.cell / 2)).toBe(index);
    }
  });

  test("values lie (rows, columns, inputs)", () => {
    let index = 0;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let input = 0; input < inputs; input++) {
          expect(cellOf(grid, index)).toEqual({ input, row, column });
          expect(indexOf(grid, input, row, column)).toBe(index++);
        }
      }
    }
  });

  test("arrow keys reach every cell from the first, and lead back", () => {
    const reached = new Set([0]);
    const queue = [0];
    for (let index = queue.pop(); index !== undefined; index = queue.pop()) {
      for (const [down, across] of [[0, 1], [1, 0]]) {
        const next = neighbour(grid, index, down, across);
        if (next !== index) expect(neighbour(grid, next, -down, -across)).toBe(index);
        if (!reached.has(next)) queue.push(next);
        reached.add(next);
      }
    }
    expect(reached.size).toBe(all.length);
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
