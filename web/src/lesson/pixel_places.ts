/** Where the maps, neurons and weights of chapter 3 lie in their drawing: at a desk, and on a phone. */
import { range } from "./pixel";

export type Point = readonly [x: number, y: number];

export interface Places {
  width: number;
  height: number;
  /** Sides of a pixel. */
  cell: Point;
  /** Upper left corners of the maps. */
  a: readonly Point[];
  b: readonly Point[];
  /** Neurons that read and that are made; null where there is no room, and the maps themselves are joined. */
  neurons: { in: readonly Point[]; out: readonly Point[] } | null;
  /** Sides of a weight's chip, and its middle. */
  chip: Point;
  weight: (neuron: number, input: number) => Point;
}

export const SIDE = 3; // pixels of a map's side

const DESK_CELL: Point = [32, 28];
const ALONG = [0.28, 0.58]; // shares of the way to B1 and to B2 at which their weights lie, so that none covers another

export function atDesk(): Places {
  const a = range(4).map((map): Point => [44, 8 + 100 * map]);
  const b = range(2).map((map): Point => [700, 90 + 150 * map]);
  const middle = ([, top]: Point): number => top + 1.5 * DESK_CELL[1];
  const from = a.map((corner): Point => [234, middle(corner)]);
  const to = b.map((corner): Point => [566, middle(corner)]);
  return {
    width: 800,
    height: 400,
    cell: DESK_CELL,
    a,
    b,
    neurons: { in: from, out: to },
    chip: [40, 26],
    weight: (neuron, input) => {
      const share = ALONG[neuron];
      const part = (axis: 0 | 1) => from[input][axis] + share * (to[neuron][axis] - from[input][axis]);
      return [part(0), part(1)];
    },
  };
}

export function onPhone(): Places {
  const a = range(4).map((map): Point => [0, 22 + 150 * map]);
  return {
    width: 340,
    height: 597,
    cell: [41, 41],
    a,
    b: range(2).map((map): Point => [217, 97 + 300 * map]),
    neurons: null,
    chip: [44, 44],
    weight: (neuron, input) => [170, a[input][1] + 61.5 + 50 * (neuron - 0.5)],
  };
}
