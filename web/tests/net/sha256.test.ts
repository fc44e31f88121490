import { createHash } from "node:crypto";

import { expect, test } from "vitest";

import { sha256 } from "../../src/net/sha256";

test("the examples of FIPS 180-4", () => {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  expect(sha256(text("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect(sha256()).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("every length around a block, in one part and in several, is what Node's own says", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, n) => (n * 151 + 7) % 256);
  for (let length = 0; length < 200; length++) {
    const part = bytes.subarray(3, 3 + length);
    const expected = createHash("sha256").update(part).digest("hex");
    expect(sha256(part)).toBe(expected);
    const third = Math.floor(length / 3);
    expect(sha256(part.subarray(0, third), part.subarray(third, third), part.subarray(third))).toBe(expected);
  }
});
