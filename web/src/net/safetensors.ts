/** Tensors of a safetensors file: a header of JSON that says where each lies, then their bytes without gaps. */

import { isTable, parsed, shown } from "./json";
import { Refusal } from "./types";

const LARGEST_HEADER = 16 * 2 ** 20; // bytes; ours has a few kB
const BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

export interface Tensor {
  dtype: string;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** The tensors of a file by name. Refusal "damaged" for anything else, `file` being its name. */
export function openTensors(data: Uint8Array, file: string): Map<string, Tensor> {
  const damaged = (what: string): Refusal => new Refusal("damaged", { file, what: shown(what) });
  if (data.length < 10) {
    throw damaged("cut short");
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  if (!(start >= 10 && start <= Math.min(data.length, LARGEST_HEADER))) {
    throw damaged("no header");
  }
  const header = parsed(data.subarray(8, start));
  if (!isTable(header)) {
    throw damaged("no header");
  }
  const found = new Map<string, Tensor>();
  const spans: [number, number][] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      continue;
    }
    const tensor = read(entry, data.subarray(start));
    if (tensor === null) {
      throw damaged(name);
    }
    found.set(name, tensor.tensor);
    spans.push(tensor.span);
  }
  let end = 0;
  for (const [from, to] of spans.sort((one, other) => one[0] - other[0] || one[1] - other[1])) {
    if (from !== end) {
      throw damaged(from < end ? "overlap" : "gap");
    }
    end = to;
  }
  if (end !== data.length - start) {
    throw damaged(end < data.length - start ? "gap" : "cut short");
  }
  return found;
}

/** One entry of the header, and the bytes it stands for; null where it makes no sense. */
function read(entry: unknown, body: Uint8Array): { tensor: Tensor; span: [number, number] } | null {
  if (!isTable(entry)) {
    return null;
  }
  const { dtype, shape, data_offsets: span } = entry;
  const whole = (values: unknown): values is number[] =>
    Array.isArray(values) && values.every((value) => Number.isSafeInteger(value) && value >= 0);
  if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype) || !whole(shape) || !whole(span) || span.length !== 2) {
    return null;
  }
  const [from, to] = span;
  const size = shape.reduce((product, side) => product * side, BYTES[dtype]);
  if (from > to || to > body.length || to - from !== size) {
    return null;
  }
  return { tensor: { dtype, shape, bytes: body.subarray(from, to) }, span: [from, to] };
}

/** The numbers of a tensor, finite, as single precision; Refusal "not-finite", or "weights" for another type. */
export function floats(tensor: Tensor, name: string): Float32Array {
  const values = unchecked(tensor, name);
  for (let n = 0; n < values.length; n++) {
    if (!Number.isFinite(values[n])) {
      throw new Refusal("not-finite", { name: shown(name) });
    }
  }
  return values;
}

function unchecked({ dtype, bytes }: Tensor, name: string): Float32Array {
  const copy = bytes.slice(); // the file's bytes need not begin at a multiple of four
  if (dtype === "F32") {
    return new Float32Array(copy.buffer);
  }
  if (dtype === "F16") {
    return singles(new Uint16Array(copy.buffer));
  }
  throw new Refusal("weights", { name: shown(name), found: dtype });
}

/**
 * The numbers that the bits of halves stand for (IEEE 754): their exponent and fraction moved to where a single has
 * them, and what the exponent counts from made up for by a factor, exactly. No number where a half is none.
 */
function singles(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const bits = new Uint32Array(values.buffer);
  for (let n = 0; n < halves.length; n++) {
    const half = halves[n];
    const isNumber = (half & 0x7c00) !== 0x7c00;
    bits[n] = isNumber ? ((half & 0x8000) << 16) | ((half & 0x7fff) << 13) : 0x7fc00000;
  }
  for (let n = 0; n < values.length; n++) {
    values[n] *= 2 ** 112; // 127 - 15
  }
  return values;
}
