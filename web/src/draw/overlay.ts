/**
 * A class map as a veil over the picture: red speaks for the class, blue against it, nothing where it says nothing.
 * The map is enlarged by bilinear interpolation of its values, for display only: every number stays as the network
 * gave it. Strength and colour are those of the report (nin.report.heat.overlay).
 */
import type { Theme } from "../app/view.svelte";
import { diverging, divergingIndex } from "./ramps";

const STRONGEST = 0.85; // nin.report.heat: the picture is never wholly hidden
const FAINTEST = 0.45; // nin.report.heat: a weak value keeps a hue that can be told
const SIDE = 128; // pixels of the longer side of a veil: with the screen's own smoothing, no edge is seen

interface Step {
  first: number;
  second: number;
  share: number;
}

/** Which two places lie around each of `out` points over `side` places, and how near the second is. */
function steps(side: number, out: number): Step[] {
  return Array.from({ length: out }, (_, at) => {
    const place = Math.min(side - 1, Math.max(0, ((at + 0.5) * side) / out - 0.5));
    const first = Math.floor(place);
    return { first, second: Math.min(side - 1, first + 1), share: place - first };
  });
}

/** A map (h, w) at (height, width), bilinear; the outer half place keeps its edge's value. */
export function enlarged(values: ArrayLike<number>, h: number, w: number, height: number, width: number): Float32Array {
  const down = steps(h, height);
  const across = steps(w, width);
  const out = new Float32Array(height * width);
  let at = 0;
  for (const row of down) {
    const upper = row.first * w;
    const lower = row.second * w;
    for (const column of across) {
      const { first, second, share } = column;
      const top = values[upper + first] * (1 - share) + values[upper + second] * share;
      const bottom = values[lower + first] * (1 - share) + values[lower + second] * share;
      out[at++] = top + (bottom - top) * row.share;
    }
  }
  return out;
}

/** RGBA of the veil, and its size. `limit` is the value of full strength: `limitOf` of the map that is shown. */
export function veil(values: ArrayLike<number>, h: number, w: number, limit: number, theme: Theme): ImageData {
  const scale = SIDE / Math.max(h, w);
  const height = Math.max(1, Math.round(h * scale));
  const width = Math.max(1, Math.round(w * scale));
  return new ImageData(veilPixels(enlarged(values, h, w, height, width), limit, theme), width, height);
}

/** RGBA of enlarged values. */
export function veilPixels(values: Float32Array, limit: number, theme: Theme): Uint8ClampedArray<ArrayBuffer> {
  const ramp = diverging(theme);
  const data = new Uint8ClampedArray(4 * values.length);
  for (let index = 0; index < values.length; index++) {
    const share = Math.max(-1, Math.min(1, values[index] / limit));
    const size = Math.abs(share);
    const colour = 4 * divergingIndex(Math.sign(share) * (FAINTEST + (1 - FAINTEST) * size), 1);
    data[4 * index] = ramp[colour];
    data[4 * index + 1] = ramp[colour + 1];
    data[4 * index + 2] = ramp[colour + 2];
    data[4 * index + 3] = Math.round(255 * STRONGEST * size);
  }
  return data;
}
