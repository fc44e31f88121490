/** Bits of a JPEG's scan and the codes in them (ITU-T T.81, annexes C and F). */
import { Refusal } from "../../net/types";

const QUICK = 9; // bits of a code that a table answers at once
const LONGEST = 16;

/** A Huffman table: symbols by code. */
export class Codes {
  /** For every beginning of 9 bits: length and symbol of the code that it starts with, 0 where that is longer. */
  readonly quick = new Uint16Array(1 << QUICK);
  /** By length: the largest code of it, and what to add to a code to get the place of its symbol. */
  readonly largest = new Int32Array(LONGEST + 2).fill(-1);
  readonly offset = new Int32Array(LONGEST + 1);

  constructor(
    counts: Uint8Array,
    readonly symbols: Uint8Array,
  ) {
    let code = 0;
    let place = 0;
    for (let length = 1; length <= LONGEST; length++) {
      const count = counts[length - 1] ?? 0;
      this.offset[length] = place - code;
      if (code + count > 1 << length || place + count > symbols.length) throw new Refusal("picture-damaged");
      for (let one = 0; one < count; one++) this.enter(code + one, length, symbols[place + one] ?? 0);
      code += count;
      place += count;
      if (count) this.largest[length] = code - 1;
      code <<= 1;
    }
  }

  private enter(code: number, length: number, symbol: number): void {
    if (length > QUICK) return;
    const first = code << (QUICK - length);
    this.quick.fill((length << 8) | symbol, first, first + (1 << (QUICK - length)));
  }
}

/** The bits of one scan, from its first byte to the marker that ends it. */
export class Bits {
  private held = 0;
  private count = 0;
  private padding = 0; // zeros at the end of `held` that are not in the file

  constructor(
    private readonly data: Uint8Array,
    public at: number,
  ) {}

  private fill(): void {
    while (this.count <= 24) {
      let byte = this.data[this.at];
      if (byte === undefined || (byte === 0xff && this.data[this.at + 1] !== 0)) {
        byte = 0;
        this.padding += 8;
      } else this.at += byte === 0xff ? 2 : 1;
      this.held = (this.held << 8) | byte;
      this.count += 8;
    }
  }

  /** As many bits as a number, 0 to 16. */
  take(bits: number): number {
    if (bits === 0) return 0;
    if (this.count < bits) this.fill();
    this.count -= bits;
    return (this.held >>> this.count) & ((1 << bits) - 1);
  }

  /** A value of so many bits with its sign, as T.81 extends it. */
  signed(bits: number): number {
    const value = this.take(bits);
    return bits && value < 1 << (bits - 1) ? value - (1 << bits) + 1 : value;
  }

  symbol(codes: Codes): number {
    if (this.count < LONGEST) this.fill();
    const entry = codes.quick[(this.held >>> (this.count - QUICK)) & ((1 << QUICK) - 1)] ?? 0;
    if (entry) {
      this.count -= entry >> 8;
      return entry & 0xff;
    }
    for (let length = QUICK + 1; length <= LONGEST; length++) {
      const code = (this.held >>> (this.count - length)) & ((1 << length) - 1);
      if (code > (codes.largest[length] ?? -1)) continue;
      this.count -= length;
      return codes.symbols[code + (codes.offset[length] ?? 0)] ?? 0;
    }
    throw new Refusal("picture-damaged");
  }

  /** Refuses a scan that ended before its blocks did. */
  expectMore(): void {
    if (this.padding > this.count) throw new Refusal("picture-damaged");
  }

  /** Goes on after a restart marker, which has to be here. */
  restart(): void {
    this.held = 0;
    this.count = 0;
    this.padding = 0;
    while (this.data[this.at] === 0xff && this.data[this.at + 1] === 0xff) this.at += 1;
    const marker = this.data[this.at + 1] ?? 0;
    if (this.data[this.at] !== 0xff || marker < 0xd0 || marker > 0xd7) throw new Refusal("picture-damaged");
    this.at += 2;
  }
}
