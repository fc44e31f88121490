/** A page of text, bars and pictures written as SVG: text stays text, pictures lie in it as PNG. */

/** A picture in the sheet: a data address, shown at (width, height) of the sheet's units. */
export interface Raster {
  href: string;
  width: number;
  height: number;
}

export interface TextStyle {
  size?: number;
  bold?: boolean;
  colour?: string;
  anchor?: "start" | "middle" | "end";
  /** The text is cut with an ellipsis where it is wider. */
  room?: number;
}

/** Width of a text in the sheet's units. */
export type Measure = (text: string, size: number, bold: boolean) => number;

export const FONTS =
  "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans KR', 'Noto Sans CJK KR', " +
  "'Apple SD Gothic Neo', 'Malgun Gothic', sans-serif";
const SIZE = 13;

// XML 1.0, section 2.2: characters that no document may hold, escaped or not.
const FORBIDDEN = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

export function escaped(text: string): string {
  const marks: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(FORBIDDEN, "\ufffd").replace(/[&<>"]/g, (mark) => marks[mark]);
}

/** The text, or as much of its beginning as fits with an ellipsis. */
export function cut(text: string, room: number, size: number, bold: boolean, measure: Measure): string {
  if (measure(text, size, bold) <= room) return text;
  const characters = [...text];
  let low = 0;
  let high = characters.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (measure(`${characters.slice(0, middle).join("")}\u2026`, size, bold) <= room) low = middle;
    else high = middle - 1;
  }
  return `${characters.slice(0, low).join("")}\u2026`;
}

function number(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export class Sheet {
  private readonly parts: string[] = [];
  /** Where the lowest thing drawn so far ends. */
  bottom = 0;

  constructor(
    readonly width: number,
    private readonly ink: string,
    private readonly paper: string,
    private readonly measure: Measure,
  ) {}

  /** Writes a line whose baseline lies at y; returns its width. */
  text(x: number, y: number, text: string, style: TextStyle = {}): number {
    const { size = SIZE, bold = false, colour = this.ink, anchor = "start", room = Infinity } = style;
    const line = cut(text, room, size, bold, this.measure);
    const weight = bold ? ' font-weight="600"' : "";
    const side = anchor === "start" ? "" : ` text-anchor="${anchor}"`;
    const look = `font-size="${size}"${weight}${side} fill="${colour}"`;
    this.parts.push(`<text x="${number(x)}" y="${number(y)}" ${look}>${escaped(line)}</text>`);
    this.reach(y + size / 3);
    return this.measure(line, size, bold);
  }

  rect(x: number, y: number, width: number, height: number, colour: string, radius = 0): void {
    const round = radius ? ` rx="${radius}"` : "";
    const sides = `width="${number(Math.max(0, width))}" height="${number(height)}"`;
    this.parts.push(`<rect x="${number(x)}" y="${number(y)}" ${sides}${round} fill="${colour}"/>`);
    this.reach(y + height);
  }

  frame(x: number, y: number, width: number, height: number, colour: string): void {
    const sides = `width="${number(width)}" height="${number(height)}"`;
    this.parts.push(`<rect x="${number(x)}" y="${number(y)}" ${sides} rx="8" fill="none" stroke="${colour}"/>`);
    this.reach(y + height);
  }

  image(x: number, y: number, { href, width, height }: Raster, name: string): void {
    const sides = `width="${number(width)}" height="${number(height)}"`;
    const label = `role="img" aria-label="${escaped(name)}"`;
    this.parts.push(
      `<image x="${number(x)}" y="${number(y)}" ${sides} preserveAspectRatio="none" ${label} href="${href}"/>`,
    );
    this.reach(y + height);
  }

  private reach(y: number): void {
    this.bottom = Math.max(this.bottom, y);
  }

  /** The whole document. */
  svg(title: string, language: string, margin: number): string {
    const height = Math.ceil(this.bottom + margin);
    const size = `width="${this.width}" height="${height}" viewBox="0 0 ${this.width} ${height}"`;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="${FONTS}" xml:lang="${language}"`,
      ` style="font-variant-numeric:tabular-nums">`,
      `<title>${escaped(title)}</title>`,
      `<rect width="100%" height="100%" fill="${this.paper}"/>`,
      ...this.parts,
      "</svg>",
    ].join("\n");
  }
}
