/** Numbers as people read them: grouped by the language, with a minus sign and not a hyphen. */
import { reader } from "./words.svelte";

const MINUS = "\u2212";
const ENDLESS = "\u221e";

const formats = new Map<string, Intl.NumberFormat>();

/** A format is made once: making it takes a hundred times as long as using it. */
export function formatOf(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const name = reader.language + JSON.stringify(options);
  const format = formats.get(name) ?? new Intl.NumberFormat(reader.language, options);
  formats.set(name, format);
  return format;
}

function written(value: number, places: number): string {
  if (Number.isNaN(value)) return "\u2013";
  if (!Number.isFinite(value)) return value < 0 ? MINUS + ENDLESS : ENDLESS;
  const options = { minimumFractionDigits: places, maximumFractionDigits: places };
  const text = formatOf(options).format(value);
  return /[1-9]/.test(text) ? text.replace("-", MINUS) : text.replace("-", "");
}

/** A whole number: 894,282. */
export function count(n: number): string {
  return written(n, 0);
}

/** A number with so many places: −0.74. Zero has no sign. */
export function decimal(n: number, places: number): string {
  return written(n, places);
}

/** A share in 0..1 as per cent: 100%, 99.7%, 49%, 0.0%. What would be rounded up to 100 keeps a place. */
export function percent(share: number): string {
  const value = 100 * share;
  const plain = value >= 9.95 && (value < 99.5 || value >= 99.95);
  return `${written(value, plain ? 0 : 1)}%`;
}

/** A size in bytes: 412 kB, 1.8 MB. */
export function bytes(n: number): string {
  return n < 1e6 ? `${written(Math.max(1, n / 1e3), 0)} kB` : `${written(n / 1e6, 1)} MB`;
}
