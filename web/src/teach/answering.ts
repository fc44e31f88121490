/** What a taught head makes of what its trunk saw. Legend: K classes, F features, (h, w) sides of the maps. */
import { unknown } from "../net/card";
import { top } from "../net/largest";
import { Likeness } from "../net/likeness";
import { softmax } from "../net/softmax";
import type { Answer } from "../net/types";
import { tensorsOf } from "./likeness";
import { classMaps, logitsOf, type Taught } from "./taught";

/**
 * From a trunk's answer, whose class maps are its maps (F, h, w) and whose logits their means (F,), to that of the
 * taught classes. Logits are computed from the means, class maps from the maps: their equality is no definition.
 */
export function answering(taught: Taught): (seen: Answer) => Answer {
  const { head, width, classes, temperature, unknownBelow, unknownBeyond, likeness } = taught;
  const measure = likeness && Likeness.from(tensorsOf(likeness), classes, width);
  return (seen) => {
    const logits = logitsOf(head, seen.logits);
    const probabilities = Float32Array.from(softmax(logits, temperature));
    const best = top(logits);
    const distance = measure?.distance(seen.logits) ?? null;
    return {
      ...seen,
      logits: Float32Array.from(logits),
      probabilities,
      classMaps: classMaps(head, seen.classMaps, width),
      top: best,
      unknown: unknown({ temperature, unknownBelow, unknownBeyond }, probabilities[best], distance),
      distance,
    };
  };
}
