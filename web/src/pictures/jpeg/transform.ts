/**
 * The inverse cosine transform in whole numbers, as libjpeg has it, to 8, 4, 2 or 1 values a side: nin.data.images lets
 * the decoder shrink a photo while it reads it, and the page must see what Python sees, to the last bit.
 * Source: libjpeg 6b and libjpeg-turbo, jidctint.c and jidctred.c (Independent JPEG Group).
 */

const BITS = 13; // of a constant after the point
const PASS = 2; // bits that are kept after the point between columns and rows
const fix = (value: number) => Math.round(value * (1 << BITS));

const F_0_211 = fix(0.211164243);
const F_0_298 = fix(0.298631336);
const F_0_390 = fix(0.390180644);
const F_0_509 = fix(0.509795579);
const F_0_541 = fix(0.5411961);
const F_0_601 = fix(0.601344887);
const F_0_720 = fix(0.720959822);
const F_0_765 = fix(0.765366865);
const F_0_850 = fix(0.850430095);
const F_0_899 = fix(0.899976223);
const F_1_061 = fix(1.061594337);
const F_1_175 = fix(1.175875602);
const F_1_272 = fix(1.27275858);
const F_1_451 = fix(1.451774981);
const F_1_501 = fix(1.501321110);
const F_1_847 = fix(1.847759065);
const F_1_961 = fix(1.961570560);
const F_2_053 = fix(2.053119869);
const F_2_172 = fix(2.172734803);
const F_2_562 = fix(2.562915447);
const F_3_072 = fix(3.072711026);
const F_3_624 = fix(3.624509785);

export type Side = 1 | 2 | 4 | 8;

/** Reads 64 coefficients, multiplied out, and writes side x side values; `stride`: values from row to row. */
type Transform = (block: Int32Array, out: Uint8Array, at: number, stride: number) => void;

const work = new Int32Array(64);

function clipped(value: number): number {
  const shifted = value + 128;
  return shifted < 0 ? 0 : shifted > 255 ? 255 : shifted;
}

function rounded(value: number, bits: number): number {
  return (value + (1 << (bits - 1))) >> bits;
}

/** One line of eight: read at `from` every `step`, written rounded by `put`. */
function line8(from: Int32Array, at: number, step: number, put: (place: number, value: number) => void): void {
  const v0 = from[at]!;
  const v1 = from[at + step]!;
  const v2 = from[at + 2 * step]!;
  const v3 = from[at + 3 * step]!;
  const v4 = from[at + 4 * step]!;
  const v5 = from[at + 5 * step]!;
  const v6 = from[at + 6 * step]!;
  const v7 = from[at + 7 * step]!;
  const both = (v2 + v6) * F_0_541;
  const low = both - v6 * F_1_847;
  const high = both + v2 * F_0_765;
  const sum = (v0 + v4) * (1 << BITS);
  const difference = (v0 - v4) * (1 << BITS);
  const t10 = sum + high;
  const t13 = sum - high;
  const t11 = difference + low;
  const t12 = difference - low;
  const z5 = (v7 + v3 + v5 + v1) * F_1_175;
  const z1 = -(v7 + v1) * F_0_899;
  const z2 = -(v5 + v3) * F_2_562;
  const z3 = -(v7 + v3) * F_1_961 + z5;
  const z4 = -(v5 + v1) * F_0_390 + z5;
  const t0 = v7 * F_0_298 + z1 + z3;
  const t1 = v5 * F_2_053 + z2 + z4;
  const t2 = v3 * F_3_072 + z2 + z3;
  const t3 = v1 * F_1_501 + z1 + z4;
  put(0, t10 + t3);
  put(7, t10 - t3);
  put(1, t11 + t2);
  put(6, t11 - t2);
  put(2, t12 + t1);
  put(5, t12 - t1);
  put(3, t13 + t0);
  put(4, t13 - t0);
}

const to8: Transform = (block, out, at, stride) => {
  for (let column = 0; column < 8; column++) {
    line8(block, column, 8, (place, value) => (work[8 * place + column] = rounded(value, BITS - PASS)));
  }
  for (let row = 0; row < 8; row++) {
    const start = at + row * stride;
    line8(work, 8 * row, 1, (place, value) => (out[start + place] = clipped(rounded(value, BITS + PASS + 3))));
  }
};

/** One line of eight to four values; the fifth of the eight has no share in them. */
function line4(from: Int32Array, at: number, step: number, put: (place: number, value: number) => void): void {
  const v1 = from[at + step]!;
  const v3 = from[at + 3 * step]!;
  const v5 = from[at + 5 * step]!;
  const v7 = from[at + 7 * step]!;
  const middle = from[at]! * (1 << (BITS + 1));
  const even = from[at + 2 * step]! * F_1_847 - from[at + 6 * step]! * F_0_765;
  const inner = -v7 * F_0_211 + v5 * F_1_451 - v3 * F_2_172 + v1 * F_1_061;
  const outer = -v7 * F_0_509 - v5 * F_0_601 + v3 * F_0_899 + v1 * F_2_562;
  put(0, middle + even + outer);
  put(3, middle + even - outer);
  put(1, middle - even + inner);
  put(2, middle - even - inner);
}

const to4: Transform = (block, out, at, stride) => {
  for (let column = 0; column < 8; column++) {
    line4(block, column, 8, (place, value) => (work[8 * place + column] = rounded(value, BITS - PASS + 1)));
  }
  for (let row = 0; row < 4; row++) {
    const start = at + row * stride;
    line4(work, 8 * row, 1, (place, value) => (out[start + place] = clipped(rounded(value, BITS + PASS + 4))));
  }
};

/** One line of eight to two values, of which only the first and the odd ones have a share in them. */
function line2(from: Int32Array, at: number, step: number, put: (place: number, value: number) => void): void {
  const middle = from[at]! * (1 << (BITS + 2));
  const low = from[at + step]! * F_3_624 - from[at + 3 * step]! * F_1_272;
  const odd = low + from[at + 5 * step]! * F_0_850 - from[at + 7 * step]! * F_0_720;
  put(0, middle + odd);
  put(1, middle - odd);
}

const to2: Transform = (block, out, at, stride) => {
  for (let column = 0; column < 8; column++) {
    line2(block, column, 8, (place, value) => (work[8 * place + column] = rounded(value, BITS - PASS + 2)));
  }
  for (let row = 0; row < 2; row++) {
    const start = at + row * stride;
    line2(work, 8 * row, 1, (place, value) => (out[start + place] = clipped(rounded(value, BITS + PASS + 5))));
  }
};

const to1: Transform = (block, out, at) => {
  out[at] = clipped(rounded(block[0]!, 3));
};

export const TRANSFORMS: Readonly<Record<Side, Transform>> = { 1: to1, 2: to2, 4: to4, 8: to8 };
