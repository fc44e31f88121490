/** What of a followed unit is framed. */
import { largest } from "../net/largest";
import type { Products } from "../net/types";

/** How many products are written out, and how many inputs of a unit get a frame. */
export const LARGEST = 5;

/** Which values of the stage before a sum read its largest products: numbers of units, or of the patch's values. */
export function framed(sum: Products, patchSize: readonly [number, number, number] | null): number[] {
  return largest(sum.products, LARGEST).map((index) => {
    const input = sum.inputs[index];
    if (!patchSize) return input;
    const [, columns, channels] = patchSize;
    return ((sum.rows[index]) * columns + (sum.columns[index])) * channels + input;
  });
}
