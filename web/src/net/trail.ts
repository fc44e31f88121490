/** One unit followed backwards through the micro network at one place. */

import { largest, top } from "./largest";
import type { Place, Products, Spot, Trail, Unit } from "./types";

/** What a network tells of one of its places. */
interface Inside {
  place(block: number, y: number, x: number): Place;
  products(layer: number, unit: number, y: number, x: number): Products;
}

/** The unit that is followed: the one asked for if it is of this place, else the strongest of the last layer. */
function start(place: Place, wanted: Unit | null): Unit {
  const known = place.values.find(({ layer, values }) => layer === wanted?.layer && wanted.unit < values.length);
  if (known && wanted) {
    return wanted;
  }
  const last = place.values[place.values.length - 1];
  return { layer: last.layer, unit: top(last.values) };
}

/** `layers`: all of the network's, each with its number in its mlpconv layer. */
export function trailOf(inside: Inside, layers: readonly { depth: number }[], spot: Spot, wanted: Unit | null): Trail {
  const place = inside.place(spot.block, spot.y, spot.x);
  const chosen = start(place, wanted);
  const sums: Products[] = [];
  let { layer, unit } = chosen;
  for (let { depth } = layers[layer]; depth >= 0; depth--) {
    const sum = inside.products(layer, unit, spot.y, spot.x);
    sums.push(sum);
    unit = sum.inputs[largest(sum.products, 1)[0] ?? 0];
    layer -= 1;
  }
  return { place, chosen, sums };
}
