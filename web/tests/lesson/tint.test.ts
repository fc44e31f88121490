/** Numbers can be read on the colours behind them, in both themes (WCAG 2.2: at least 4.5 to 1). */

import { expect, test } from "vitest";

import { PALETTES } from "../../src/draw/palette";
import { inkTint, signedTint } from "../../src/lesson/tint";

type Colour = readonly number[];

const hex = (text: string): Colour => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
const css = (text: string): Colour => text.match(/\d+/g)!.map(Number);

function luminance(colour: Colour): number {
  const [red, green, blue] = colour.map((byte) => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: Colour, other: Colour): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

test.each(["light", "dark"] as const)("on every tint of the %s theme", (theme) => {
  const text = hex(PALETTES[theme].ink);
  for (let value = -3; value <= 3; value += 0.25) {
    expect(contrast(text, css(signedTint(value, 3, theme)))).toBeGreaterThan(4.5);
    expect(contrast(text, css(inkTint(Math.abs(value), 3, theme)))).toBeGreaterThan(4.5);
  }
});

test("zero is paper, and more is further from it", () => {
  for (const theme of ["light", "dark"] as const) {
    const paper = hex(PALETTES[theme].paper);
    const away = (value: number) => contrast(paper, css(signedTint(value, 3, theme)));
    expect(away(0)).toBeLessThan(1.02);
    expect(away(3)).toBeGreaterThan(away(1));
    expect(away(-3)).toBeGreaterThan(away(-1));
    expect(signedTint(3, 3, theme)).not.toBe(signedTint(-3, 3, theme));
  }
});
