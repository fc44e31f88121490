/** How good a taught model is, as config.json says it: nin.training.evaluation's names, from the table of mistakes. */

import type { Estimate } from "./taught";

const Z95 = 1.959963984540054; // 95 % of a normal distribution lie within so many standard deviations

/** What the metrics of a model folder hold. `split`: its pictures, each asked of what was taught without its fifth. */
export interface Measured {
  split: "left-out";
  n: number;
  accuracy: number;
  interval: readonly [number, number];
  balanced_accuracy: number;
  /** Share that is right for one who always names the class with most pictures. */
  guessing: number;
  per_class: readonly { label: string; support: number; precision: number; recall: number; f1: number }[];
}

export function measured({ n, right, confusion, guessing }: Estimate, names: readonly string[]): Measured {
  const scores = names.map((label, k) => {
    const hits = confusion[k][k];
    const support = confusion[k].reduce((sum, count) => sum + count, 0);
    const given = confusion.reduce((sum, row) => sum + row[k], 0);
    const [precision, recall] = [given, support].map((all) => hits / Math.max(all, 1));
    return { label, support, precision, recall, f1: (2 * hits) / Math.max(support + given, 1) };
  });
  return {
    split: "left-out",
    n,
    accuracy: right / n,
    interval: wilson(right, n),
    balanced_accuracy: scores.reduce((sum, { recall }) => sum + recall, 0) / names.length,
    guessing,
    per_class: scores,
  };
}

/** Interval for a share of which `hits` of `n` were seen (Wilson 1927); good for small n and near 0 or 1. */
function wilson(hits: number, n: number): readonly [number, number] {
  const share = hits / n;
  const shrink = Z95 ** 2 / n;
  const centre = (share + shrink / 2) / (1 + shrink);
  const half = (Z95 / (1 + shrink)) * Math.sqrt((share * (1 - share)) / n + shrink / (4 * n));
  return [hits === 0 ? 0 : centre - half, hits === n ? 1 : centre + half];
}
