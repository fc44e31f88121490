/**
 * PNG decoded exactly: a canvas keeps colours multiplied by alpha, so that what it gives back is not what a file holds.
 * Source: PNG third edition (W3C 2025). Values of 16 bits become 8 by the rule of nin.data.depth: grey v / 257 rounded,
 * colour the high byte. Colour profiles and gamma are not applied, as in Python. Of an animation: its still picture.
 */
import { Refusal, type Picture } from "../net/types";
import { exifOrientation } from "./orientation";

export const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] as const;
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
/** Passes of Adam7: first row and column, and the distance of rows and columns. */
const PASSES = [
  [0, 0, 8, 8],
  [0, 4, 8, 8],
  [4, 0, 8, 4],
  [0, 2, 4, 4],
  [2, 0, 4, 2],
  [0, 1, 2, 2],
  [1, 0, 2, 1],
] as const;
const WHOLE = [[0, 0, 1, 1]] as const;
const DENSEST = 1040; // deflate reaches 1032:1; more than that cannot be in the file

interface Header {
  width: number;
  height: number;
  depth: number;
  colour: number;
  interlaced: boolean;
}

interface Chunks {
  header: Header;
  palette: Uint8Array;
  transparency: Uint8Array | null;
  packed: Uint8Array<ArrayBuffer>[];
  orientation: number;
}

function damaged(): never {
  throw new Refusal("picture-damaged");
}

function headerOf(body: Uint8Array): Header {
  if (body.length !== 13) damaged();
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const header = {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: view.getUint8(8),
    colour: view.getUint8(9),
    interlaced: view.getUint8(12) === 1,
  };
  if (!header.width || !header.height || !DEPTHS[header.colour]?.includes(header.depth)) damaged();
  return header;
}

function chunksOf(file: Uint8Array<ArrayBuffer>): Chunks {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  let header: Header | null = null;
  let palette = new Uint8Array();
  let transparency: Uint8Array | null = null;
  let orientation = 1;
  const packed: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 8, name = ""; name !== "IEND"; ) {
    if (at + 12 > file.length) damaged();
    const end = at + 12 + view.getUint32(at);
    if (end > file.length) damaged();
    name = String.fromCharCode(...file.subarray(at + 4, at + 8));
    const body = file.subarray(at + 8, end - 4);
    if (!header && name !== "IHDR") damaged();
    if (name === "IHDR") header ??= headerOf(body);
    else if (name === "PLTE") palette = body;
    else if (name === "tRNS") transparency = body;
    else if (name === "IDAT") packed.push(body);
    else if (name === "eXIf") orientation = exifOrientation(body);
    at = end;
  }
  if (!header || (header.colour === 3 && palette.length < 3)) return damaged();
  return { header, palette, transparency, packed, orientation };
}

/** Width and height that a PNG claims, before anything is decoded. */
export function pngSize(file: Uint8Array<ArrayBuffer>): { width: number; height: number } {
  return headerOf(file.subarray(16, 29));
}

function bytesARow(header: Header, pixels: number): number {
  return Math.ceil((pixels * header.depth * (CHANNELS[header.colour] ?? 1)) / 8);
}

async function inflated(packed: Uint8Array<ArrayBuffer>[], most: number): Promise<Uint8Array> {
  const sum = packed.reduce((total, part) => total + part.length, 0);
  if (most > DENSEST * sum) damaged();
  const out = new Uint8Array(most);
  const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  let at = 0;
  try {
    for (let part = await reader.read(); !part.done && at < most; part = await reader.read()) {
      const fits = part.value.subarray(0, most - at);
      out.set(fits, at);
      at += fits.length;
    }
  } catch {
    if (at < most) damaged(); // what follows the last row does not matter, as for Pillow
  }
  void reader.cancel().catch(() => undefined);
  return at < most ? damaged() : out;
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const fromLeft = Math.abs(guess - left);
  const fromUp = Math.abs(guess - up);
  const fromCorner = Math.abs(guess - corner);
  if (fromLeft <= fromUp && fromLeft <= fromCorner) return left;
  return fromUp <= fromCorner ? up : corner;
}

/** Undoes a row's filter in place. `step`: bytes from a pixel to its left neighbour. */
function unfilter(kind: number, row: Uint8Array, above: Uint8Array, step: number): void {
  if (kind > 4) damaged();
  for (let at = 0; kind && at < row.length; at++) {
    const left = row[at - step] ?? 0;
    const up = above[at] ?? 0;
    const corner = above[at - step] ?? 0;
    const guess = kind === 1 ? left : kind === 2 ? up : kind === 3 ? (left + up) >> 1 : paeth(left, up, corner);
    row[at] = (row[at] ?? 0) + guess;
  }
}

/** Values of a row as they are stored: one number a channel and pixel. */
function samples(row: Uint8Array, depth: number, count: number): Uint16Array {
  const out = new Uint16Array(count);
  const mask = (1 << depth) - 1;
  for (let at = 0; at < count; at++) {
    if (depth === 16) out[at] = ((row[2 * at] ?? 0) << 8) | (row[2 * at + 1] ?? 0);
    else if (depth === 8) out[at] = row[at] ?? 0;
    else out[at] = ((row[(at * depth) >> 3] ?? 0) >> (8 - depth - ((at * depth) & 7))) & mask;
  }
  return out;
}

/** RGBA of stored values: at `to`, from value number `from` of a row. */
type Colouring = (values: Uint16Array, from: number, out: Uint8ClampedArray, to: number) => void;

function paletteColouring({ palette, transparency }: Chunks): Colouring {
  return (values, from, out, to) => {
    const index = values[from] ?? 0;
    out[to] = palette[3 * index] ?? 0;
    out[to + 1] = palette[3 * index + 1] ?? 0;
    out[to + 2] = palette[3 * index + 2] ?? 0;
    out[to + 3] = transparency?.[index] ?? 255;
  };
}

function valueColouring({ header, transparency }: Chunks, grey: boolean): Colouring {
  const { depth, colour } = header;
  const single = colour === 0 || colour === 4;
  const colours = single ? 1 : 3;
  const full = (1 << depth) - 1;
  const deep = (value: number) => (grey ? Math.floor((value + 128) / 257) : value >> 8);
  const short = (value: number) => (depth === 16 ? deep(value) : (value * 255) / full);
  const key = transparency && colour < 3 ? samples(transparency, 16, colours) : null;
  return (values, from, out, to) => {
    let same = key !== null;
    for (let channel = 0; channel < 3; channel++) {
      const value = values[from + (single ? 0 : channel)] ?? 0;
      out[to + channel] = short(value);
      if (channel < colours) same = same && value === key?.[channel];
    }
    out[to + 3] = colour >= 4 ? short(values[from + colours] ?? 0) : same ? 0 : 255;
  };
}

/** Every row of the picture, unfiltered, with where it lies. */
function* rowsOf(header: Header, data: Uint8Array) {
  const step = Math.max(1, (header.depth * (CHANNELS[header.colour] ?? 1)) >> 3);
  let at = 0;
  for (const [top, left, down, across] of header.interlaced ? PASSES : WHOLE) {
    const columns = Math.ceil((header.width - left) / across);
    const rows = Math.ceil((header.height - top) / down);
    const length = bytesARow(header, columns);
    let above = new Uint8Array(length);
    for (let row = 0; row < rows && columns > 0; row++) {
      const values = data.subarray(at + 1, at + 1 + length);
      unfilter(data[at] ?? 0, values, above, step);
      yield { values, columns, y: top + row * down, left, across };
      above = values as Uint8Array<ArrayBuffer>;
      at += 1 + length;
    }
  }
}

function packedLength(header: Header): number {
  let length = 0;
  for (const [top, left, down, across] of header.interlaced ? PASSES : WHOLE) {
    const columns = Math.ceil((header.width - left) / across);
    const rows = Math.ceil((header.height - top) / down);
    if (columns > 0 && rows > 0) length += rows * (1 + bytesARow(header, columns));
  }
  return length;
}

function isGrey({ header }: Chunks, data: Uint8Array): boolean {
  if (header.colour === 0 || header.colour === 4) return true;
  if (header.depth !== 16) return false;
  const channels = CHANNELS[header.colour] ?? 3;
  for (const row of rowsOf(header, data.slice())) {
    const values = samples(row.values, 16, channels * row.columns);
    for (let at = 0; at < values.length; at += channels) {
      if (values[at] !== values[at + 1] || values[at] !== values[at + 2]) return false;
    }
  }
  return true;
}

/** The picture as the file stores it, and the orientation in which it is to be shown. Throws Refusal. */
export async function decodePng(file: Uint8Array<ArrayBuffer>): Promise<{ picture: Picture; orientation: number }> {
  const chunks = chunksOf(file);
  const { header } = chunks;
  const data = await inflated(chunks.packed, packedLength(header));
  const colouring = header.colour === 3 ? paletteColouring(chunks) : valueColouring(chunks, isGrey(chunks, data));
  const channels = CHANNELS[header.colour] ?? 1;
  const out = new Uint8ClampedArray(4 * header.width * header.height);
  for (const { values, columns, y, left, across } of rowsOf(header, data)) {
    const row = samples(values, header.depth, columns * channels);
    for (let column = 0; column < columns; column++) {
      colouring(row, column * channels, out, 4 * (y * header.width + left + column * across));
    }
  }
  return { picture: { width: header.width, height: header.height, data: out }, orientation: chunks.orientation };
}
