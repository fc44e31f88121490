/** The blocks of a scan: baseline, and the four kinds of progressive scans (ITU-T T.81, annexes F and G). */
import { Refusal } from "../../net/types";
import type { Bits, Codes } from "./huffman";

/** Places of a block's coefficients in the order in which they are stored; more, so that damage stays inside. */
export const ZIGZAG = Uint8Array.from([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47,
  55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
]);

/** What a scan says of itself: first and last coefficient, and the bits that are new. */
export interface Band {
  first: number;
  last: number;
  high: number;
  low: number;
}

/** One component in a scan. */
export interface Track {
  dc: Codes | undefined;
  ac: Codes | undefined;
  /** DC of the block before. */
  before: number;
}

/** Decodes one block into its coefficients, 64 numbers from `at`. */
export type BlockReader = (bits: Bits, track: Track, block: Int16Array, at: number) => void;

function coded(codes: Codes | undefined): Codes {
  if (!codes) throw new Refusal("picture-damaged");
  return codes;
}

const baseline: BlockReader = (bits, track, block, at) => {
  const ac = coded(track.ac);
  track.before += bits.signed(bits.symbol(coded(track.dc)));
  block[at] = track.before;
  for (let k = 1; k < 64; k++) {
    const symbol = bits.symbol(ac);
    const size = symbol & 15;
    const zeros = symbol >> 4;
    if (size === 0) {
      if (zeros !== 15) return;
      k += 15;
    } else {
      k += zeros;
      block[at + (ZIGZAG[k] ?? 63)] = bits.signed(size);
    }
  }
};

function firstDc(low: number): BlockReader {
  return (bits, track, block, at) => {
    track.before += bits.signed(bits.symbol(coded(track.dc)));
    block[at] = track.before << low;
  };
}

function laterDc(low: number): BlockReader {
  return (bits, _track, block, at) => {
    if (bits.take(1)) block[at] = (block[at] ?? 0) | (1 << low);
  };
}

/** `run`: blocks that are still to be skipped. */
function firstAc({ first, last, low }: Band, run: { left: number }): BlockReader {
  return (bits, track, block, at) => {
    if (run.left > 0) {
      run.left -= 1;
      return;
    }
    const ac = coded(track.ac);
    for (let k = first; k <= last; k++) {
      const symbol = bits.symbol(ac);
      const size = symbol & 15;
      const zeros = symbol >> 4;
      if (size) {
        k += zeros;
        block[at + (ZIGZAG[k] ?? 63)] = bits.signed(size) << low;
      } else if (zeros === 15) k += 15;
      else {
        run.left = (1 << zeros) + bits.take(zeros) - 1;
        return;
      }
    }
  };
}

function laterAc({ first, last, low }: Band, run: { left: number }): BlockReader {
  const plus = 1 << low;
  const refine = (bits: Bits, block: Int16Array, place: number, value: number) => {
    if (bits.take(1) && (value & plus) === 0) block[place] = value + (value >= 0 ? plus : -plus);
  };
  return (bits, track, block, at) => {
    let k = first;
    if (run.left === 0) {
      const ac = coded(track.ac);
      for (; k <= last; k++) {
        const symbol = bits.symbol(ac);
        let zeros = symbol >> 4;
        let fresh = 0;
        if (symbol & 15) fresh = bits.take(1) ? plus : -plus;
        else if (zeros !== 15) {
          run.left = (1 << zeros) + bits.take(zeros);
          break;
        }
        for (; k <= last; k++) {
          const place = at + (ZIGZAG[k] ?? 63);
          const value = block[place] ?? 0;
          if (value) refine(bits, block, place, value);
          else if (--zeros < 0) break;
        }
        if (fresh) block[at + (ZIGZAG[k] ?? 63)] = fresh;
      }
    }
    if (run.left === 0) return;
    for (; k <= last; k++) {
      const place = at + (ZIGZAG[k] ?? 63);
      const value = block[place] ?? 0;
      if (value) refine(bits, block, place, value);
    }
    run.left -= 1;
  };
}

/** How the blocks of a scan are read. `run` is set to zero at a restart. */
export function blockReader(progressive: boolean, band: Band, run: { left: number }): BlockReader {
  if (!progressive) return baseline;
  if (band.first === 0) return band.high === 0 ? firstDc(band.low) : laterDc(band.low);
  return band.high === 0 ? firstAc(band, run) : laterAc(band, run);
}
