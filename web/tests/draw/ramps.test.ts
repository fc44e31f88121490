import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { labOf, srgbOf } from "../../src/draw/oklab";
import { PALETTES } from "../../src/draw/palette";
import { colouringOf, diverging, DIVERGING_COLOURS, divergingIndex, ink, inkIndex } from "../../src/draw/ramps";

const THEMES = ["light", "dark"] as const;
const MIDDLE = (DIVERGING_COLOURS - 1) / 2;

type Colour = [number, number, number];

function at(ramp: Uint8ClampedArray, index: number): Colour {
  return [ramp[4 * index], ramp[4 * index + 1], ramp[4 * index + 2]];
}

function light(value: number): number {
  return value <= 10.31475 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
}

/** Relative luminance (WCAG 2.2): a measure of lightness that the ramps were not made with. */
function luminance([red, green, blue]: Colour): number {
  return 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
}

function hex(colour: Colour): string {
  return `#${colour.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** How a reader without one kind of cone sees it: Machado, Oliveira, Fernandes 2009, severity 1. */
const BLIND = {
  protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritan: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};

function seen(colour: Colour, matrix: number[]): Colour {
  const linear = colour.map(light);
  return [0, 3, 6].map((row) => {
    const value = linear.reduce((sum, part, column) => sum + matrix[row + column] * part, 0);
    const held = Math.min(1, Math.max(0, value));
    return 255 * (held <= 0.0031308 ? 12.92 * held : 1.055 * held ** (1 / 2.4) - 0.055);
  }) as Colour;
}

function apart(first: Colour, second: Colour): number {
  const one = labOf(...first);
  const two = labOf(...second);
  return Math.hypot(one[0] - two[0], one[1] - two[1], one[2] - two[2]);
}

describe("OKLab", () => {
  test("knows the published colours", () => {
    // CSS Color 4, section 9.2 and its samples
    for (const [rgb, lab] of [
      [[255, 255, 255], [1, 0, 0]],
      [[255, 0, 0], [0.62796, 0.22486, 0.12585]],
      [[0, 255, 0], [0.86644, -0.23389, 0.1795]],
      [[0, 0, 255], [0.45201, -0.03246, -0.31153]],
    ] as [Colour, Colour][]) {
      labOf(...rgb).forEach((value, part) => expect(value).toBeCloseTo(lab[part], 4));
    }
  });

  test("gives bytes back", () => {
    for (const rgb of [[0, 0, 0], [20, 23, 27], [180, 72, 11], [255, 254, 3]] as Colour[]) {
      expect(srgbOf(labOf(...rgb))).toEqual(rgb);
    }
  });

  test("keeps lightness and hue of what no screen shows", () => {
    const [lightness, a, b] = labOf(...srgbOf([0.6, 0.3, 0.3]));
    expect(lightness).toBeCloseTo(0.6, 2);
    expect(a / b).toBeCloseTo(1, 1);
  });
});

describe.each(THEMES)("%s", (theme) => {
  test("ink goes from paper to ink in one direction of lightness", () => {
    const ramp = ink(theme);
    expect(ramp.length).toBe(4 * 256);
    expect(hex(at(ramp, 0))).toBe(PALETTES[theme].paper);
    const sign = theme === "light" ? -1 : 1;
    let steps = 0;
    for (let index = 1; index < 256; index++) {
      const step = sign * (luminance(at(ramp, index)) - luminance(at(ramp, index - 1)));
      expect(step).toBeGreaterThanOrEqual(-2e-4); // rounding to bytes
      steps += step;
    }
    expect(steps).toBeGreaterThan(0.75);
  });

  test("diverging is paper in the middle and changes lightness evenly to both sides", () => {
    const ramp = diverging(theme);
    expect(hex(at(ramp, MIDDLE))).toBe(PALETTES[theme].paper);
    const sign = theme === "light" ? -1 : 1;
    for (let index = 1; index <= MIDDLE; index++) {
      for (const side of [-1, 1]) {
        const step = luminance(at(ramp, MIDDLE + side * index)) - luminance(at(ramp, MIDDLE + side * (index - 1)));
        expect(sign * step).toBeGreaterThanOrEqual(-2e-4);
      }
      const red = labOf(...at(ramp, MIDDLE + index))[0];
      const blue = labOf(...at(ramp, MIDDLE - index))[0];
      expect(Math.abs(red - blue)).toBeLessThan(0.02);
    }
  });

  test("red and blue are told apart without one kind of cone, from a third of the scale on", () => {
    const ramp = diverging(theme);
    for (const matrix of Object.values(BLIND)) {
      for (const share of [1 / 3, 2 / 3, 1]) {
        const step = Math.round(share * MIDDLE);
        const difference = apart(seen(at(ramp, MIDDLE + step), matrix), seen(at(ramp, MIDDLE - step), matrix));
        expect(difference).toBeGreaterThan(0.05); // OKLab; 0.02 is just noticed
      }
    }
  });

  test("texts of the palette can be read on paper", () => {
    const { paper, ...colours } = PALETTES[theme];
    const under = luminance([1, 3, 5].map((place) => Number.parseInt(paper.slice(place, place + 2), 16)) as Colour);
    for (const name of ["ink", "muted", "accent", "warm", "good", "plus", "minus"] as const) {
      const rgb = [1, 3, 5].map((place) => Number.parseInt(colours[name].slice(place, place + 2), 16)) as Colour;
      const pair = [luminance(rgb), under].sort((a, b) => b - a);
      expect((pair[0] + 0.05) / (pair[1] + 0.05)).toBeGreaterThan(4.5); // WCAG 2.2, 1.4.3
    }
  });

  test("the palette is the page's", () => {
    const css = readFileSync(new URL("../../src/app/page.css", import.meta.url), "utf8");
    const rule = theme === "light" ? /:root \{(.*?)\}/s : /:root\[data-theme="dark"\] \{(.*?)\}/s;
    const named = (rule.exec(css)?.[1] ?? "").matchAll(/--([a-z]+): (#\w{6})/g);
    const values = Object.fromEntries([...named].map((match) => [match[1], match[2]]));
    for (const name of ["paper", "ink", "muted", "line", "soft", "accent", "warm", "good"] as const) {
      expect(PALETTES[theme][name]).toBe(values[name]);
    }
  });
});

test("values find their colours", () => {
  expect([-1, 0, 1, 2, 9].map((value) => inkIndex(value, 2))).toEqual([0, 0, 128, 255, 255]);
  expect([divergingIndex(-3, 3), divergingIndex(0, 3), divergingIndex(3, 3)]).toEqual([0, MIDDLE, 2 * MIDDLE]);
  expect(inkIndex(Number.NaN, 1)).toBe(0);
});

test("only signed values diverge", () => {
  expect(colouringOf([0, 2, 1], "light").ramp).toBe(ink("light"));
  expect(colouringOf([0, 2, -1], "dark").ramp).toBe(diverging("dark"));
  expect(colouringOf([0, 0], "light").limit).toBe(1);
});
