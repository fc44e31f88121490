/** What is learnt, by identities and by slower second ways; Python and scikit-learn are asked in python.test.ts. */

import { describe, expect, test } from "vitest";

import { Likeness as Measure } from "../../src/net/likeness";
import { known, distances } from "../../src/teach/known";
import { tensorsOf } from "../../src/teach/likeness";
import { fitTemperature, unknownThreshold, unlikeThreshold } from "../../src/teach/calibration";
import { Regression } from "../../src/teach/regression";
import { type Head, classMaps, foldOf, logitsOf, teach } from "../../src/teach/taught";

/** Numbers between -1 and 1 that look random: Lehmer's generator, Park and Miller 1988. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (2 * state) / 2_147_483_647 - 1;
  };
}

/** Features (N, F) of classes that overlap, and labels. */
function pictures(
  counts: readonly number[],
  width: number,
  apart = 0.7,
): { features: Float32Array; labels: Int32Array } {
  const next = random(width + counts.length);
  const places = counts.map(() => Array.from({ length: width }, () => apart * next()));
  const labels = Int32Array.from(counts.flatMap((count, k) => new Array<number>(count).fill(k)));
  const of = (k: number): number[] => places[k].map((at, f) => (at + next()) * (1 + (f % 4)));
  const features = Float32Array.from([...labels].flatMap(of));
  return { features, labels };
}

function fitHead(features: Float32Array, labels: Int32Array, classes: number): Head {
  return new Regression(features, labels, classes).fit();
}

/** Mean loss with every class weighing alike, and 0.1 / 2 times the squared weights of standardised features. */
function loss({ weight, bias }: Head, features: Float32Array, labels: Int32Array): number {
  const width = features.length / labels.length;
  const counts = [...bias].map((_, k) => labels.filter((label) => label === k).length);
  let sum = 0;
  labels.forEach((label, n) => {
    const logits = logitsOf({ weight, bias }, features.subarray(n * width, (n + 1) * width));
    const whole = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    sum += (Math.log(whole) - logits[label]) / (counts[label] * counts.length);
  });
  for (let f = 0; f < width; f++) {
    const column = [...labels].map((_, n) => features[n * width + f]);
    const mean = column.reduce((total, value) => total + value, 0) / column.length;
    const variance = column.reduce((total, value) => total + (value - mean) ** 2, 0) / column.length;
    for (let k = 0; k < bias.length; k++) sum += (0.1 / 2) * variance * weight[k * width + f] ** 2;
  }
  return sum;
}

describe("a head", () => {
  test("is where the loss is least: it rises whichever way one goes", () => {
    const { features, labels } = pictures([9, 14, 5], 6);
    const head = fitHead(features, labels, 3);
    const least = loss(head, features, labels);
    const step = 1e-3;
    for (const part of ["weight", "bias"] as const) {
      head[part].forEach((_, n) => {
        const [up, down] = [step, -step].map((by) => {
          const moved = { weight: head.weight.slice(), bias: head.bias.slice() };
          moved[part][n] += by;
          return loss(moved, features, labels);
        });
        expect(up).toBeGreaterThan(least);
        expect(down).toBeGreaterThan(least);
        expect(Math.abs(up - down) / (2 * step)).toBeLessThan(1e-5); // the slope
      });
    }
    expect(head.bias.reduce((sum, value) => sum + value, 0)).toBeCloseTo(offset(head, features, labels), 6);
  });

  test("does not depend on the order of pictures and classes", () => {
    const { features, labels } = pictures([8, 8, 11], 10);
    const head = fitHead(features, labels, 3);
    const order = [...labels.keys()].sort((one, other) => ((one * 7) % 27) - ((other * 7) % 27));
    const mixed = Float32Array.from(order.flatMap((n) => [...features.subarray(n * 10, (n + 1) * 10)]));
    const other = fitHead(mixed, Int32Array.from(order, (n) => 2 - labels[n]), 3);
    head.weight.forEach((value, n) => {
      expect(other.weight[(2 - Math.floor(n / 10)) * 10 + (n % 10)]).toBeCloseTo(value, 5);
    });
  });

  test("of features that say nothing guesses alike, and leaves alone what never moves", () => {
    const flat = fitHead(new Float32Array(12), Int32Array.of(0, 0, 0, 1), 2);
    expect([...flat.weight, ...flat.bias].every((value) => Math.abs(value) < 1e-6)).toBe(true);
    const { features, labels } = pictures([6, 6], 5);
    labels.forEach((_, n) => features.set([7], n * 5 + 2));
    const head = fitHead(features, labels, 2);
    [2, 7].forEach((n) => expect(Math.abs(head.weight[n])).toBeLessThan(1e-9));
  });

  test("has class maps whose means are the logits of the mean features", () => {
    const { features, labels } = pictures([7, 7, 7], 8);
    const head = fitHead(features, labels, 3);
    const next = random(5);
    const maps = Float32Array.from({ length: 8 * 35 }, () => Math.max(0, 5 * next()));
    const mean = (some: Float32Array, map: number): number =>
      some.subarray(map * 35, (map + 1) * 35).reduce((sum, value) => sum + value, 0) / 35;
    const means = Float32Array.from({ length: 8 }, (_, f) => mean(maps, f));
    const found = classMaps(head, maps, 8);
    logitsOf(head, means).forEach((logit, k) => expect(mean(found, k)).toBeCloseTo(logit, 5));
  });

  test("asks for two classes, a picture of each, and numbers", () => {
    const features = new Float32Array(6);
    expect(() => fitHead(features, Int32Array.of(0, 0, 0), 1)).toThrow(RangeError);
    expect(() => fitHead(features, Int32Array.of(0, 0, 2), 3)).toThrow(RangeError);
    expect(() => fitHead(features, Int32Array.of(0, 1, 2), 2)).toThrow(RangeError);
    expect(() => fitHead(features, Int32Array.of(0, 1, 0, 1), 2)).toThrow(RangeError);
    expect(() => fitHead(features, new Int32Array(0), 2)).toThrow(RangeError);
    expect(() => fitHead(features.map(() => NaN), Int32Array.of(0, 1, 0), 2)).toThrow(RangeError);
  });
});

/** What the biases sum to: nothing, for standardised features. */
function offset({ weight }: Head, features: Float32Array, labels: Int32Array): number {
  const width = features.length / labels.length;
  let sum = 0;
  for (let f = 0; f < width; f++) {
    const mean = [...labels].reduce((total, _, n) => total + features[n * width + f], 0) / labels.length;
    for (let at = f; at < weight.length; at += width) sum -= weight[at] * mean;
  }
  return sum;
}

describe("an estimate", () => {
  test("asks each picture of what the other fifths taught", () => {
    const { features, labels } = pictures([10, 7, 12], 9, 0.9);
    const taught = teach(features, labels, 3);
    const folds = foldOf(labels, 3);
    const confusion = [0, 1, 2].map(() => [0, 0, 0]);
    for (let fold = 0; fold < 5; fold++) {
      const others = [...labels.keys()].filter((n) => folds[n] !== fold);
      const rows = Float32Array.from(others.flatMap((n) => [...features.subarray(n * 9, (n + 1) * 9)]));
      const head = fitHead(rows, Int32Array.from(others, (n) => labels[n]), 3);
      labels.forEach((label, n) => {
        if (folds[n] !== fold) return;
        const logits = logitsOf(head, features.subarray(n * 9, (n + 1) * 9));
        confusion[label][logits.indexOf(Math.max(...logits))]++;
      });
    }
    expect(taught.estimate!.confusion).toEqual(confusion);
    expect(taught.estimate!.right).toBe(confusion[0][0] + confusion[1][1] + confusion[2][2]);
    expect([taught.estimate!.n, taught.estimate!.guessing]).toEqual([29, 12 / 29]);
  });

  test("has parts of pictures that follow each other, each with some of every class", () => {
    const labels = Int32Array.from([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1]);
    expect([...foldOf(labels, 2)]).toEqual([0, 0, 1, 0, 2, 1, 3, 2, 4, 2, 3, 4]);
  });

  test("is of what was not learnt: labels by chance are guessed, though each picture is learnt by heart", () => {
    const { features } = pictures([60], 80);
    const next = random(3);
    const labels = Int32Array.from({ length: 60 }, (_, n) => (n < 4 ? n % 2 : Number(next() > 0)));
    const { head, estimate } = teach(features, labels, 2);
    const learnt = labels.filter((label, n) => {
      const [no, yes] = logitsOf(head, features.subarray(n * 80, (n + 1) * 80));
      return Number(yes > no) === label;
    });
    expect(learnt.length).toBe(60);
    expect(estimate!.right).toBeLessThan(42);
  });

  test("is there from five pictures of every class on, and nothing is unknown before", () => {
    const few = pictures([4, 30], 6);
    expect(teach(few.features, few.labels, 2)).toMatchObject({
      estimate: null,
      temperature: 1,
      unknownBelow: 0,
      unknownBeyond: null,
      likeness: null,
    });
    const enough = pictures([5, 5], 6);
    expect(teach(enough.features, enough.labels, 2).estimate!.n).toBe(10);
  });
});

describe("what is unknown", () => {
  test("costs at most a twentieth of the right answers, and nothing while there are fewer than nineteen", () => {
    const values = Float64Array.from({ length: 59 }, (_, n) => (n + 1) / 60).reverse();
    expect(unknownThreshold(values, 0.05)).toBeCloseTo(3 / 60, 6); // the third of 59: two are under it
    expect(unlikeThreshold(values, 0.05)).toBeCloseTo(57 / 60, 3);
    const few = values.subarray(0, 18);
    expect([unknownThreshold(few, 0.05), unlikeThreshold(few, 0.05)]).toEqual([0, null]);
    expect(unlikeThreshold(values.subarray(0, 19), 0.05)).toBeGreaterThanOrEqual(values[0]);
  });

  test("a temperature makes probabilities as large as their share of right answers", () => {
    const labels = Int32Array.from({ length: 4000 }, (_, n) => Number(n % 5 === 0)); // four of five are right
    const logits = Float64Array.from({ length: 8000 }, (_, at) => (at % 2 === 0 ? 7 : 0));
    expect(fitTemperature(logits, labels, 2)).toBeCloseTo(7 / Math.log(4), 2);
    expect(fitTemperature(new Float64Array(8), Int32Array.of(0, 1, 0, 1), 2)).toBe(1);
  });

  test("a distance is Mahalanobis', and the file's halves tell it to a thousandth", () => {
    const { features, labels } = pictures([25, 25], 3, 3);
    const spread = Float32Array.from(features, (value, at) => value * [1, 10, 0.1][at % 3]);
    const found = known(spread, labels, 2)!;
    const far = distances(found, spread, 3);
    const [a, b, c, d, e, f] = [0, 3, 4, 6, 7, 8].map((at) => found.covariance[at]);
    const [p, q, r] = [a + found.least, c + found.least, f + found.least];
    const determinant = p * (q * r - e * e) - b * (b * r - e * d) + d * (b * e - q * d);
    const inverse = [
      [q * r - e * e, d * e - b * r, b * e - d * q],
      [d * e - b * r, p * r - d * d, b * d - p * e],
      [b * e - d * q, b * d - p * e, p * q - b * b],
    ].map((row) => row.map((value) => value / determinant));
    labels.forEach((_, n) => {
      const squares = [0, 1].map((k) => {
        const away = [0, 1, 2].map((g) => spread[n * 3 + g] - found.means[k * 3 + g]);
        const along = inverse.map((row) => row.reduce((sum, value, h) => sum + value * away[h], 0));
        return away.reduce((sum, one, g) => sum + one * along[g], 0);
      });
      expect(far[n]).toBeCloseTo(Math.sqrt(Math.min(...squares)), 6);
    });
    const { likeness, width } = teach(spread, labels, 2);
    const measure = Measure.from(tensorsOf(likeness!), 2, width);
    labels.forEach((_, n) => {
      expect(Math.abs(measure.distance(spread.subarray(n * 3, n * 3 + 3)) / far[n] - 1)).toBeLessThan(1e-3);
    });
  });
});
