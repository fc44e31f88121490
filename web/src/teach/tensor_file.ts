/** Tensors as nin writes them: safetensors with the file's own SHA-256 among its metadata (nin.sealed). */

import type { Tensor } from "../net/safetensors";
import { sha256 } from "../net/sha256";

const BLANK = "0".repeat(64); // stands where the digest will be while the digest is computed
const ALIGNED = 8; // bytes: safetensors begins the tensors at such a multiple

export type Tensors = ReadonlyMap<string, Tensor>;

export function singles(values: ArrayLike<number>, shape: readonly number[]): Tensor {
  return { dtype: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

/** `values`: the bits of halves. */
export function halves(values: Uint16Array, shape: readonly number[]): Tensor {
  return { dtype: "F16", shape, bytes: new Uint8Array(values.slice().buffer) };
}

const SINGLE = new Float32Array(1);
const BITS = new Uint32Array(SINGLE.buffer);

/** The bits of the half next to a number, ties to even (IEEE 754); for numbers under 65504 in size. */
export function halfBits(value: number): number {
  SINGLE[0] = Math.abs(value) * 2 ** -112; // as `singles` of net/safetensors, the other way
  const rounded = BITS[0] + 0xfff + ((BITS[0] >>> 13) & 1);
  return (rounded >>> 13) | (value < 0 ? 0x8000 : 0);
}

/** The file's bytes: equal for equal content, whatever the order of the tensors. */
export function tensorFile(tensors: Tensors, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { sha256: BLANK, ...metadata } };
  const sizes: Readonly<Record<string, number>> = { F32: 4, I64: 8, F64: 8 };
  const ordered = [...tensors].sort(
    ([one, { dtype }], [other, { dtype: its }]) =>
      (sizes[its] ?? 2) - (sizes[dtype] ?? 2) || (one < other ? -1 : Number(one > other)),
  );
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of ordered) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  const plain = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(plain.length / ALIGNED) * ALIGNED;
  const data = new Uint8Array(8 + length + end).fill(0x20, 8, 8 + length);
  new DataView(data.buffer).setBigUint64(0, BigInt(length), true);
  data.set(plain, 8);
  let at = 8 + length;
  for (const [, { bytes }] of ordered) {
    data.set(bytes, at);
    at += bytes.length;
  }
  const place = 8 + JSON.stringify({ __metadata__: { sha256: "" } }).length - '"}}'.length;
  data.set(new TextEncoder().encode(sha256(data)), place);
  return data;
}
