/** OKLab, a space in which equal steps look equally large. Source: Ottosson 2020, "A perceptual color space". */

/** Lightness 0..1, then green to red and blue to yellow. */
export type Lab = readonly [number, number, number];
/** Light of the three primaries of sRGB, 0..1 where a screen can show it. */
type Linear = [number, number, number];

// IEC 61966-2-1, the transfer function of sRGB
function encoded(light: number): number {
  return light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
}

function decoded(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function linearOf([lightness, a, b]: Lab): Linear {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

/** The OKLab colour of three bytes of sRGB. */
export function labOf(red: number, green: number, blue: number): Lab {
  const r = decoded(red / 255);
  const g = decoded(green / 255);
  const b = decoded(blue / 255);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** The three bytes of #rrggbb. */
export function bytesOf(hex: string): [number, number, number] {
  const whole = Number.parseInt(hex.slice(1), 16);
  return [whole >> 16, (whole >> 8) & 255, whole & 255];
}

function isShown(light: Linear): boolean {
  return light.every((value) => value >= -1e-6 && value <= 1 + 1e-6);
}

/** The bytes of sRGB for a colour; one that no screen shows loses chroma until it can, and keeps lightness and hue. */
export function srgbOf(lab: Lab): [number, number, number] {
  const [lightness, a, b] = lab;
  let low = 0;
  let high = 1;
  if (!isShown(linearOf(lab))) {
    for (let step = 0; step < 20; step++) {
      const share = (low + high) / 2;
      if (isShown(linearOf([lightness, share * a, share * b]))) low = share;
      else high = share;
    }
    high = low;
  }
  const light = linearOf([lightness, high * a, high * b]);
  const [red, green, blue] = light.map((value) => Math.round(255 * encoded(Math.min(1, Math.max(0, value)))));
  return [red, green, blue];
}
