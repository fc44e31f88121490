/** Class maps of an answer, as they lie over the picture. */
import type { Answer } from "../net/types";

/** Values (h, w) of one class's map; of a second one subtracted, place by place. */
export function mapOf(answer: Answer, index: number, minus: number | null): Float32Array {
  const [h, w] = answer.mapSize;
  const values = answer.classMaps.slice(index * h * w, (index + 1) * h * w);
  if (minus === null) return values;
  const other = answer.classMaps.subarray(minus * h * w, (minus + 1) * h * w);
  return values.map((value, at) => value - (other[at] ?? 0));
}

/** The mean of a class's map, in double precision and in an order of its own: not the engine's sum. */
export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] ?? 0;
  return sum / values.length;
}

/** Whether a logit is the mean of its map to the four digits that are shown, as nin.report.heat.is_mean. */
export function isMean(mean: number, logit: number): boolean {
  return Math.abs(mean - logit) <= 1e-4 + 1e-4 * Math.abs(logit);
}

/** Classes by logit, the largest first; of equal ones that with the smaller number. */
export function ranking(logits: ArrayLike<number>): number[] {
  const order = Array.from({ length: logits.length }, (_, index) => index);
  return order.sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
}

/** Row and column of the largest value of a map (h, w). */
export function strongestPlace(values: ArrayLike<number>, w: number): { y: number; x: number } {
  let best = 0;
  for (let at = 1; at < values.length; at++) if ((values[at] ?? 0) > (values[best] ?? 0)) best = at;
  return { y: Math.floor(best / w), x: best % w };
}
