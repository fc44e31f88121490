/** The colour behind a number: pale enough that the number can be read on it, in both themes. */
import type { Theme } from "../app/view.svelte";
import { diverging, divergingIndex, ink, inkIndex } from "../draw/ramps";

const SIGNED = 0.42; // of the way to the end of a scale, so that text keeps a contrast of 5 to 1 in both themes; ours
const INK = 0.16; // likewise: ink grows dark sooner

function css(ramp: Uint8ClampedArray, index: number): string {
  return `rgb(${ramp.subarray(4 * index, 4 * index + 3).join(" ")})`;
}

/** Red for, blue against. `limit`: the largest number that occurs. */
export function signedTint(value: number, limit: number, theme: Theme): string {
  return css(diverging(theme), divergingIndex(SIGNED * value, limit));
}

/** Ink for a number from 0 on. */
export function inkTint(value: number, limit: number, theme: Theme): string {
  return css(ink(theme), inkIndex(INK * value, limit));
}
