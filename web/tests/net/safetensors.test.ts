import { expect, test } from "vitest";

import { floats, openTensors } from "../../src/net/safetensors";
import { Refusal } from "../../src/net/types";

function file(header: unknown, body: number[]): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

const one = { dtype: "U8", shape: [2], data_offsets: [0, 2] };

test("tensors are read in any order, at any alignment", () => {
  const found = openTensors(
    file(
      { b: { dtype: "F32", shape: [1], data_offsets: [2, 6] }, a: one, __metadata__: { x: "y" } },
      [7, 8, 0, 0, 128, 63],
    ),
    "x",
  );
  expect([...found.keys()].sort()).toEqual(["a", "b"]);
  expect([...found.get("a")!.bytes]).toEqual([7, 8]);
  expect([...floats(found.get("b")!, "b")]).toEqual([1]);
});

test.each([
  ["nothing", new Uint8Array(0)],
  ["a header longer than the file", file("{}", []).fill(255, 0, 3)],
  ["no JSON", file("{", [])],
  ["no table", file("[]", [])],
  ["a header that is no UTF-8", file("{}", []).fill(255, 8)],
  ["an unknown type", file({ a: { ...one, dtype: "F8" } }, [1, 2])],
  ["a type of every object", file({ a: { ...one, dtype: "constructor" } }, [1, 2])],
  ["no shape", file({ a: { ...one, shape: null } }, [1, 2])],
  ["a negative side", file({ a: { ...one, shape: [-2] } }, [1, 2])],
  ["a broken side", file({ a: { ...one, shape: [0.5, 4] } }, [1, 2])],
  ["bytes that do not fit the shape", file({ a: { ...one, shape: [3] } }, [1, 2])],
  ["an end before the beginning", file({ a: { dtype: "U8", shape: [0], data_offsets: [2, 1] } }, [1, 2])],
  ["a file cut short", file({ a: one }, [1])],
  ["bytes that belong to nothing", file({ a: one }, [1, 2, 3])],
  ["a gap", file({ a: one, b: { ...one, data_offsets: [3, 5] } }, [1, 2, 3, 4, 5])],
  ["an overlap", file({ a: one, b: { ...one, data_offsets: [1, 3] } }, [1, 2, 3])],
  ["a product too large for whole numbers", file({ a: { ...one, shape: [2 ** 40, 2 ** 40] } }, [1, 2])],
])("damaged: %s", (_, bytes) => {
  expect(() => openTensors(bytes, "model.safetensors")).toThrow(Refusal);
  expect(() => openTensors(bytes, "model.safetensors")).toThrow(/damaged.*model\.safetensors/);
});

test("numbers that are none are refused by name", () => {
  const found = openTensors(file({ w: { dtype: "F16", shape: [1], data_offsets: [0, 2] } }, [0, 0x7c]), "x");
  expect(() => floats(found.get("w")!, "w")).toThrow(/not-finite.*"w"/);
});

test("every half is the number that its bits stand for, and those that stand for none are refused", () => {
  const single = new DataView(new ArrayBuffer(4));
  const tensor = (halves: number[]) => {
    const bytes = new Uint8Array(Uint16Array.from(halves).buffer);
    return { dtype: "F16", shape: [halves.length], bytes };
  };
  const all = Array.from({ length: 2 ** 16 }, (_, bits) => bits);
  const isNumber = (bits: number) => ((bits >> 10) & 31) !== 31;
  const expected = all.filter(isNumber).map((bits) => {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) return (bits & 0x8000 ? -1 : 1) * fraction * 2 ** -24;
    // The same number in single precision: the exponent's bias is 127 instead of 15, the fraction has 13 bits more.
    single.setUint32(0, (((bits & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13)) >>> 0);
    return single.getFloat32(0);
  });
  expect([...floats(tensor(all.filter(isNumber)), "w")]).toEqual(expected);
  for (const bits of all.filter((each) => !isNumber(each))) {
    expect(() => floats(tensor([bits]), "w")).toThrow(/not-finite/);
  }
});
