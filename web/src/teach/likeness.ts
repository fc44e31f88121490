/**
 * What measures how far a picture is from those that were taught, as a model folder holds it.
 *
 * Legend: K classes, F features.
 */

import { eigen } from "../net/eigen";
import type { Known } from "./known";
import { type Tensors, halfBits, halves, singles } from "./tensor_file";

/** means (K, F); directions (F, F): columns, the bits of halves; scales (F,). See nin.bundle.likeness. */
export interface Likeness {
  means: Float32Array;
  directions: Uint16Array;
  scales: Float32Array;
}

/** null where all pictures of a class are alike. */
export function likenessOf({ means, covariance, least }: Known, width: number): Likeness | null {
  const rows = Array.from({ length: width }, (_, row) =>
    Float64Array.from({ length: width }, (_, column) =>
      row >= column ? covariance[row * width + column] : covariance[column * width + row],
    ),
  );
  const { values, vectors } = eigen(rows);
  if (!(values[0] > 0)) return null;
  const directions = new Uint16Array(width * width);
  vectors.forEach((vector, column) => {
    for (let row = 0; row < width; row++) directions[row * width + column] = halfBits(vector[row]);
  });
  return { means, directions, scales: Float32Array.from(values, (value) => 1 / Math.sqrt(Math.max(value, 0) + least)) };
}

/** Its tensors by name, as likeness.safetensors has them. */
export function tensorsOf({ means, directions, scales }: Likeness): Tensors {
  const width = scales.length;
  return new Map([
    ["means", singles(means, [means.length / width, width])],
    ["directions", halves(directions, [width, width])],
    ["scales", singles(scales, [width])],
  ]);
}
