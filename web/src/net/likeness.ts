/**
 * How far a picture is from what a model was trained on: nin.bundle.likeness's twin.
 *
 * The distance of its mean features (F,) to the nearest of K class means, by one covariance within all classes.
 */

import { type Tensor, floats } from "./safetensors";
import { Refusal } from "./types";

export class Likeness {
  private constructor(
    /** (F,): taken from all features first. */
    private readonly centre: Float32Array,
    /** (F, F), rows of features: features less the centre times this have covariance 1 within every class. */
    private readonly factor: Float32Array,
    /** (K, F): where `factor` takes the class means. */
    private readonly places: Float32Array,
  ) {}

  /** What a file holds, for a network of K classes and F features; Refusal "likeness" when it does not fit. */
  static from(tensors: ReadonlyMap<string, Tensor>, classes: number, features: number): Likeness {
    const wanted: [string, string, number[]][] = [
      ["means", "F32", [classes, features]],
      ["directions", "F16", [features, features]],
      ["scales", "F32", [features]],
    ];
    const fits = wanted.every(([name, dtype, shape]) => {
      const tensor = tensors.get(name);
      return tensor?.dtype === dtype && String(tensor.shape) === String(shape);
    });
    if (!fits || tensors.size !== wanted.length) {
      throw new Refusal("likeness");
    }
    const [means, directions, scales] = wanted.map(([name]) => floats(tensors.get(name)!, name));
    if (!scales.every((scale) => scale > 0)) {
      throw new Refusal("likeness");
    }
    const factor = directions.map((value, n) => value * scales[n % features]);
    const centre = new Float32Array(features);
    for (let f = 0; f < features; f++) {
      let sum = 0;
      for (let k = 0; k < classes; k++) {
        sum += means[k * features + f];
      }
      centre[f] = sum / classes;
    }
    const places = new Float32Array(classes * features);
    for (let k = 0; k < classes; k++) {
      places.set(turned(means.subarray(k * features, (k + 1) * features), centre, factor), k * features);
    }
    if (![factor, centre, places].every((values) => values.every(Number.isFinite))) {
      throw new Refusal("likeness");
    }
    return new Likeness(centre, factor, places);
  }

  /** Mean features (F,) -> the distance to the nearest class mean. */
  distance(features: Float32Array): number {
    const count = features.length;
    const at = turned(features, this.centre, this.factor);
    let nearest = Infinity;
    for (let start = 0; start < this.places.length; start += count) {
      let square = 0;
      for (let f = 0; f < count; f++) {
        square += (at[f] - this.places[start + f]) ** 2;
      }
      nearest = Math.min(nearest, square);
    }
    return Math.fround(Math.sqrt(nearest));
  }
}

/** (values - centre) @ factor, in double precision. */
function turned(values: Float32Array, centre: Float32Array, factor: Float32Array): Float64Array {
  const count = values.length;
  const sums = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    const value = values[row] - centre[row];
    for (let column = 0; column < count; column++) {
      sums[column] += value * factor[row * count + column];
    }
  }
  return sums;
}
