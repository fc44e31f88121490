/** One unit followed backwards through the micro network at one place. */
import { top, largest } from "./largest";
import type { Engine, Model, Place, Products } from "../net/types";

/** How many products are written out, and how many inputs of a unit get a frame. */
export const LARGEST = 5;

/** A unit of one layer, by its number there. */
export interface Unit {
  layer: number;
  unit: number;
}

export interface Trail {
  place: Place;
  chosen: Unit;
  /** The chosen unit's sum; then that of its largest input in the layer before, and so on to the k x k filters. */
  sums: Products[];
}

/** The unit that is followed: the one asked for if it is of this place, else the strongest of the last layer. */
function start(place: Place, wanted: Unit | null): Unit {
  const known = place.values.find(({ layer, values }) => layer === wanted?.layer && wanted.unit < values.length);
  if (known && wanted) return wanted;
  const last = place.values[place.values.length - 1];
  return last ? { layer: last.layer, unit: top(last.values) } : { layer: 0, unit: 0 };
}

/** Asks for a place and for the sums behind one of its units. */
export async function follow(
  engine: Engine,
  model: Model,
  at: { block: number; y: number; x: number },
  wanted: Unit | null,
): Promise<Trail> {
  const place = await engine.place(at.block, at.y, at.x);
  const chosen = start(place, wanted);
  const sums: Products[] = [];
  let { layer, unit } = chosen;
  for (let depth = model.layers[layer]?.depth ?? 0; depth >= 0; depth--) {
    const sum = await engine.products(layer, unit, at.y, at.x);
    sums.push(sum);
    unit = sum.inputs[largest(sum.products, 1)[0] ?? 0];
    layer -= 1;
  }
  return { place, chosen, sums };
}

/** Which values of the stage before a sum read its largest products: numbers of units, or of the patch's values. */
export function framed(sum: Products, patchSize: readonly [number, number, number] | null): number[] {
  return largest(sum.products, LARGEST).map((index) => {
    const input = sum.inputs[index];
    if (!patchSize) return input;
    const [, columns, channels] = patchSize;
    return ((sum.rows[index]) * columns + (sum.columns[index])) * channels + input;
  });
}
