/**
 * The two colour scales of the page. Ink: paper where a map is zero, ink where it is strongest. Diverging: red for,
 * blue against, the page's own paper where it says nothing. Lightness changes in one direction from the paper on, so
 * both read without colour too; red and blue stay apart for every common kind of colour blindness.
 */
import type { Theme } from "../app/view.svelte";
import { bytesOf, labOf, srgbOf, type Lab } from "./oklab";
import { PALETTES } from "./palette";

/** Colours of `diverging`: as many on each side of zero, which has one of its own in the middle. */
export const DIVERGING_COLOURS = 511;
const MIDDLE = (DIVERGING_COLOURS - 1) / 2;
const INK_COLOURS = 256;

interface Scale {
  /** Colours at the ends, in OKLab as lightness, chroma and hue in degrees. Ours, by eye on the shipped models. */
  ink: Polar;
  body: Polar; // halfway to the ink
  lift: number; // power of a value: most are far below the strongest, and would be too faint to see
  red: Polar;
  blue: Polar;
}

type Polar = readonly [lightness: number, chroma: number, hue: number];

const SCALES: Readonly<Record<Theme, Scale>> = {
  light: {
    ink: [0.2, 0.06, 264],
    body: [0.6, 0.115, 259],
    lift: 0.7,
    red: [0.47, 0.19, 22],
    blue: [0.47, 0.14, 256],
  },
  dark: {
    ink: [0.97, 0.012, 250],
    body: [0.6, 0.06, 252],
    lift: 0.55,
    red: [0.74, 0.19, 27],
    blue: [0.74, 0.13, 250],
  },
};

const made = new Map<string, Uint8ClampedArray>();

function labOfPolar([lightness, chroma, hue]: Polar): Lab {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

function paperOf(theme: Theme): Lab {
  return labOf(...bytesOf(PALETTES[theme].paper));
}

/** Straight from one colour to another. */
function between(share: number, from: Lab, to: Lab): Lab {
  const part = (of: 0 | 1 | 2) => from[of] + share * (to[of] - from[of]);
  return [part(0), part(1), part(2)];
}

/** From one colour to another past a hue; lightness goes straight from end to end, whatever that hue's is. */
function tinted(share: number, from: Lab, hue: Lab, to: Lab): Lab {
  const straight = between(share, from, to);
  const half = between(0.5, from, to);
  const bend = 4 * share * (1 - share);
  return [straight[0], straight[1] + bend * (hue[1] - half[1]), straight[2] + bend * (hue[2] - half[2])];
}

function filled(colours: number, colour: (index: number) => Lab): Uint8ClampedArray {
  const data = new Uint8ClampedArray(4 * colours);
  for (let index = 0; index < colours; index++) {
    data.set([...srgbOf(colour(index)), 255], 4 * index);
  }
  return data;
}

function kept(name: string, make: () => Uint8ClampedArray): Uint8ClampedArray {
  let ramp = made.get(name);
  if (!ramp) {
    ramp = make();
    made.set(name, ramp);
  }
  return ramp;
}

/** 256 RGBA colours from paper (zero) to ink (strongest). */
export function ink(theme: Theme): Uint8ClampedArray {
  return kept(`ink ${theme}`, () => {
    const scale = SCALES[theme];
    const paper = paperOf(theme);
    const body = labOfPolar(scale.body);
    const end = labOfPolar(scale.ink);
    const share = (index: number) => (index / (INK_COLOURS - 1)) ** scale.lift;
    return filled(INK_COLOURS, (index) => tinted(share(index), paper, body, end));
  });
}

/** 511 RGBA colours from strongest against (blue) over zero (paper, number 255) to strongest for (red). */
export function diverging(theme: Theme): Uint8ClampedArray {
  return kept(`diverging ${theme}`, () => {
    const scale = SCALES[theme];
    const paper = paperOf(theme);
    const red = labOfPolar(scale.red);
    const blue = labOfPolar(scale.blue);
    return filled(DIVERGING_COLOURS, (index) => {
      const end = index > MIDDLE ? red : blue;
      return between(Math.abs(index - MIDDLE) / MIDDLE, paper, end);
    });
  });
}

/** Number of the ink for a value: 0 for zero and below, 255 at the limit. */
export function inkIndex(value: number, limit: number): number {
  const share = value / limit;
  return share > 0 ? Math.min(INK_COLOURS - 1, Math.round(share * (INK_COLOURS - 1))) : 0;
}

/** Number of the diverging colour for a value in -limit..limit. */
export function divergingIndex(value: number, limit: number): number {
  const share = Math.max(-1, Math.min(1, value / limit));
  return MIDDLE + Math.round(share * MIDDLE);
}

/** The end of a scale: the largest magnitude of these values, 1 where all are zero (as the report has it). */
export function limitOf(values: ArrayLike<number>): number {
  let limit = 0;
  for (let index = 0; index < values.length; index++) limit = Math.max(limit, Math.abs(values[index]));
  return limit || 1;
}

/** How values of one kind are coloured: signed ones diverge, others are ink. */
export interface Colouring {
  ramp: Uint8ClampedArray;
  index: (value: number) => number;
  limit: number;
}

/** Signed values of which this one has full colour. */
export function divergingTo(limit: number, theme: Theme): Colouring {
  return { ramp: diverging(theme), index: (value) => divergingIndex(value, limit), limit };
}

export function colouringOf(values: ArrayLike<number>, theme: Theme): Colouring {
  const limit = limitOf(values);
  let signed = false;
  for (let index = 0; index < values.length && !signed; index++) signed = values[index] < 0;
  if (signed) return divergingTo(limit, theme);
  return { ramp: ink(theme), index: (value) => inkIndex(value, limit), limit };
}
