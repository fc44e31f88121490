/** What a JPEG's markers say (ITU-T T.81, annex B), and its scans read into samples or coefficients. */
import { Refusal } from "../../net/types";
import { exifOrientation } from "../orientation";
import { Bits, Codes } from "./huffman";
import { blockReader, ZIGZAG, type Band, type Track } from "./scans";
import { TRANSFORMS, type Side } from "./transform";

export interface Component {
  id: number;
  /** Sampling factors, across and down. */
  h: number;
  v: number;
  table: number;
  /** Values a block has on a side after its transform, and its plane: as many blocks as whole units need. */
  side: Side;
  blocksAcross: number;
  blocksDown: number;
  plane: Uint8Array;
  coefficients: Int16Array | null;
}

export interface Frame {
  width: number;
  height: number;
  progressive: boolean;
  components: Component[];
  maxH: number;
  maxV: number;
}

export interface Jpeg {
  frame: Frame;
  orientation: number;
  /** Colours as Adobe's marker says: 0 as they are, 1 YCbCr, 2 YCCK; null without the marker. */
  adobe: number | null;
  jfif: boolean;
}

/** How small a frame is to be decoded: side of what 8 x 8 pixels become. Throws Refusal for what is too large. */
export type Shrink = (frame: Frame, buffered: boolean) => Side;

/** A rare kind of JPEG: arithmetic codes, lossless, 12 bits, odd sampling. Browsers may read some of them. */
export class OtherKind extends Error {}

const MOST_SCANS = 200; // nin.data.codecs.headers: a decoder visits the whole picture for each

function damaged(): never {
  throw new Refusal("picture-damaged");
}

class Reader {
  private readonly quantisers: Uint16Array[] = [];
  private readonly dc: Codes[] = [];
  private readonly ac: Codes[] = [];
  private readonly blank = new Int32Array(64);
  private frame: Frame | null = null;
  private interval = 0;
  private orientation = 1;
  private adobe: number | null = null;
  private jfif = false;

  constructor(
    private readonly data: Uint8Array,
    private readonly shrink: Shrink,
  ) {}

  read(): Jpeg {
    let at = 2;
    let scans = 0;
    for (;;) {
      while (at < this.data.length && !(this.data[at] === 0xff && this.isMarker(this.data[at + 1]))) at += 1;
      if (at >= this.data.length) break;
      const marker = this.data[at + 1]!;
      at += 2;
      if (marker === 0xd9) break;
      const length = (this.data[at]! << 8) | this.data[at + 1]!;
      if (!(length >= 2) || at + length > this.data.length) damaged();
      const body = this.data.subarray(at + 2, at + length);
      at += length;
      if (marker === 0xda) {
        scans += 1;
        if (scans > MOST_SCANS) damaged();
        at = this.scan(body, at);
      } else this.segment(marker, body, scans);
    }
    if (!this.frame || !scans) damaged();
    this.transformStored(this.frame);
    return { frame: this.frame, orientation: this.orientation, adobe: this.adobe, jfif: this.jfif };
  }

  private isMarker(code: number | undefined): boolean {
    return code !== undefined && code > 1 && code < 0xff && !(code >= 0xd0 && code <= 0xd8);
  }

  private segment(marker: number, body: Uint8Array, scans: number): void {
    const name = String.fromCharCode(...body.subarray(0, 6));
    if (marker === 0xdb) this.quantisersIn(body);
    else if (marker === 0xc4) this.codesIn(body);
    else if (marker === 0xdd) this.interval = (body[0]! << 8) | body[1]!;
    else if (marker === 0xe0 && name.startsWith("JFIF")) this.jfif = true;
    else if (marker === 0xee && name.startsWith("Adobe") && body.length >= 12) this.adobe = body[11]!;
    else if (marker === 0xe1 && name === "Exif\0\0" && !scans) this.orientation = exifOrientation(body);
    else if (marker >= 0xc0 && marker <= 0xc2) this.frameIn(marker, body);
    else if (marker > 0xc2 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) throw new OtherKind();
  }

  private quantisersIn(body: Uint8Array): void {
    for (let at = 0; at < body.length; ) {
      const wide = body[at]! >> 4 ? 2 : 1;
      const table = new Uint16Array(64);
      for (let k = 0; k < 64; k++) {
        const place = at + 1 + wide * k;
        table[ZIGZAG[k]!] = wide === 2 ? (body[place]! << 8) | body[place + 1]! : body[place]!;
      }
      this.quantisers[body[at]! & 3] = table;
      at += 1 + 64 * wide;
    }
  }

  private codesIn(body: Uint8Array): void {
    for (let at = 0; at + 17 <= body.length; ) {
      const counts = body.subarray(at + 1, at + 17);
      const size = counts.reduce((sum, count) => sum + count, 0);
      const codes = new Codes(counts, body.subarray(at + 17, at + 17 + size));
      (body[at]! >> 4 ? this.ac : this.dc)[body[at]! & 3] = codes;
      at += 17 + size;
    }
  }

  private frameIn(marker: number, body: Uint8Array): void {
    if (this.frame || body.length < 9 || body.length < 6 + 3 * body[5]!) damaged();
    if (body[0] !== 8) throw new OtherKind();
    const components = Array.from({ length: body[5]! }, (_, number) => {
      const [id, sampling, table] = body.subarray(6 + 3 * number, 9 + 3 * number);
      const [h, v] = [sampling! >> 4, sampling! & 15];
      if (!h || !v || h > 4 || v > 4) damaged();
      const rest = { side: 8 as Side, blocksAcross: 0, blocksDown: 0, plane: new Uint8Array(), coefficients: null };
      return { id: id!, h, v, table: table! & 3, ...rest };
    });
    const frame: Frame = {
      height: (body[1]! << 8) | body[2]!,
      width: (body[3]! << 8) | body[4]!,
      progressive: marker === 0xc2,
      components,
      maxH: Math.max(...components.map(({ h }) => h)),
      maxV: Math.max(...components.map(({ v }) => v)),
    };
    if (!frame.width || !frame.height || ![1, 3, 4].includes(components.length)) damaged();
    this.frame = frame;
  }

  /** Memory for the planes, once it is known whether coefficients have to be kept until the end. */
  private prepare(frame: Frame, buffered: boolean): void {
    const least = this.shrink(frame, buffered);
    const unitsAcross = blocksIn(frame.width, 1, frame.maxH);
    const unitsDown = blocksIn(frame.height, 1, frame.maxV);
    for (const one of frame.components) {
      one.side = sideOf(frame, one, least);
      one.blocksAcross = unitsAcross * one.h;
      one.blocksDown = unitsDown * one.v;
      const blocks = one.blocksAcross * one.blocksDown;
      one.plane = new Uint8Array(blocks * one.side * one.side);
      if (buffered) one.coefficients = new Int16Array(64 * blocks);
    }
  }

  private scan(body: Uint8Array, at: number): number {
    const frame = this.frame ?? damaged();
    const count = body[0]!;
    if (body.length < 4 + 2 * count) damaged();
    const parts = Array.from({ length: count }, (_, number) => {
      const [id, tables] = body.subarray(1 + 2 * number, 3 + 2 * number);
      const component = frame.components.find((one) => one.id === id) ?? damaged();
      const track: Track = { dc: this.dc[tables! >> 4], ac: this.ac[tables! & 15], before: 0 };
      return { component, track };
    });
    const [first, last, bits] = body.subarray(1 + 2 * count, 4 + 2 * count) as unknown as [number, number, number];
    const band = { first, last: Math.min(63, last), high: bits >> 4, low: bits & 15 };
    if (!frame.components[0]!.plane.length) {
      this.prepare(frame, frame.progressive || count < frame.components.length);
    }
    return this.blocksOf(frame, parts, band, at);
  }

  private blocksOf(frame: Frame, parts: { component: Component; track: Track }[], band: Band, at: number): number {
    const bits = new Bits(this.data, at);
    const run = { left: 0 };
    const read = blockReader(frame.progressive, band, run);
    const single = parts.length === 1 ? parts[0]! : null;
    const across = blocksIn(frame.width, single ? single.component.h : 1, frame.maxH);
    const down = blocksIn(frame.height, single ? single.component.v : 1, frame.maxV);
    const temporary = new Int16Array(64);
    const one = (component: Component, track: Track, row: number, column: number) => {
      const number = row * component.blocksAcross + column;
      if (component.coefficients) read(bits, track, component.coefficients, 64 * number);
      else {
        temporary.fill(0);
        read(bits, track, temporary, 0);
        this.transform(component, temporary, 0, row, column);
      }
    };
    for (let unit = 0; unit < across * down; unit++) {
      if (this.interval && unit && unit % this.interval === 0) {
        bits.restart();
        run.left = 0;
        for (const { track } of parts) track.before = 0;
      }
      const row = Math.floor(unit / across);
      const column = unit % across;
      if (single) one(single.component, single.track, row, column);
      else {
        for (const { component, track } of parts) {
          for (let inside = 0; inside < component.h * component.v; inside++) {
            const [h, v] = [inside % component.h, Math.floor(inside / component.h)];
            one(component, track, row * component.v + v, column * component.h + h);
          }
        }
      }
      bits.expectMore();
    }
    return bits.at;
  }

  private transform(component: Component, from: Int16Array, start: number, row: number, column: number): void {
    const table = this.quantisers[component.table] ?? damaged();
    const { side, plane, blocksAcross } = component;
    for (let k = 0; k < 64; k++) this.blank[k] = from[start + k]! * table[k]!;
    const stride = blocksAcross * side;
    TRANSFORMS[side](this.blank, plane, row * side * stride + column * side, stride);
  }

  private transformStored(frame: Frame): void {
    for (const component of frame.components) {
      const { coefficients, blocksAcross, blocksDown } = component;
      if (!coefficients) continue;
      for (let number = 0; number < blocksAcross * blocksDown; number++) {
        this.transform(component, coefficients, 64 * number, Math.floor(number / blocksAcross), number % blocksAcross);
      }
      component.coefficients = null;
    }
  }
}

/** Blocks of a component with this sampling factor; with a factor of 1, units of all components. */
function blocksIn(pixels: number, factor: number, most: number): number {
  return Math.ceil((pixels * factor) / (8 * most));
}

/** A component with fewer samples is shrunk less, where it then needs no enlarging (libjpeg, jdmaster.c). */
function sideOf({ maxH, maxV }: Frame, { h, v }: Component, least: Side): Side {
  let side: number = least;
  while (side < 8 && (maxH * least) % (h * side * 2) === 0 && (maxV * least) % (v * side * 2) === 0) side *= 2;
  return side as Side;
}

/** Reads a JPEG file into the planes of its components. Throws Refusal. */
export function readJpeg(data: Uint8Array, shrink: Shrink): Jpeg {
  return new Reader(data, shrink).read();
}
