/** The compiled kernel at work in one memory, which grows and is used again. Addresses are bytes in it. */

import { plain, relaxed } from "virtual:kernel";

import { Refusal } from "./types";

const PAGE = 65_536; // bytes: WebAssembly's unit of memory
export const MOST_BYTES = 1_200_000_000; // ours: a browser gives a page about two to four times as much

/** What kernel/network.ts exports; the order of arguments is explained there. */
interface Exports {
  convolve(
    x: number,
    out: number,
    step: number,
    windows: number,
    places: number,
    weights: number,
    bias: number,
    blocks: number,
    rows: number,
    rowBytes: number,
    runs: number,
    runBytes: number,
    length: number,
    relu: boolean,
  ): void;
  pool(
    x: number,
    out: number,
    step: number,
    height: number,
    width: number,
    rows: number,
    columns: number,
    size: number,
    stride: number,
    padding: number,
    mean: boolean,
  ): void;
  gelu(x: number, count: number): void;
  silu(x: number, count: number): void;
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** The faster build where the browser knows relaxed SIMD; null where it knows no SIMD at all (before 2023). */
function build(): Uint8Array<ArrayBuffer> | null {
  if (typeof WebAssembly !== "object") {
    return null;
  }
  return [relaxed, plain].map(bytesOf).find((bytes) => WebAssembly.validate(bytes)) ?? null;
}

export class Kernel {
  readonly run: Exports;
  /** The whole memory; another array after every `reserve`. */
  floats: Float32Array;
  words: Uint32Array;
  private readonly memory: WebAssembly.Memory;

  /** Throws Refusal "simd". `bytes`: one of the two builds; the best that runs here by default. */
  constructor(bytes: Uint8Array<ArrayBuffer> | null = build()) {
    if (bytes === null) {
      throw new Refusal("simd");
    }
    this.memory = new WebAssembly.Memory({ initial: 1 });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: this.memory } });
    this.run = instance.exports as unknown as Exports;
    this.floats = new Float32Array(this.memory.buffer);
    this.words = new Uint32Array(this.memory.buffer);
  }

  /** Makes sure that there are so many bytes; Refusal "too-large" where that is more than a page should take. */
  reserve(bytes: number): void {
    const missing = Math.ceil((bytes - this.memory.buffer.byteLength) / PAGE);
    if (bytes > MOST_BYTES) {
      throw tooLarge(bytes);
    }
    if (missing <= 0) {
      return;
    }
    try {
      this.memory.grow(missing);
    } catch {
      throw tooLarge(bytes);
    }
    this.floats = new Float32Array(this.memory.buffer);
    this.words = new Uint32Array(this.memory.buffer);
  }
}

export function tooLarge(bytes: number): Refusal {
  return new Refusal("too-large", { megabytes: Math.ceil(bytes / 1e6), most: MOST_BYTES / 1e6 });
}

/** Both builds by name, those that run here: for tests and measurements. */
export function builds(): Map<string, Uint8Array<ArrayBuffer>> {
  const named = new Map([
    ["plain", bytesOf(plain)],
    ["relaxed", bytesOf(relaxed)],
  ]);
  return new Map([...named].filter(([, bytes]) => WebAssembly.validate(bytes)));
}
