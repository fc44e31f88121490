/** The page's own decoders against the pixels that Python makes of the same files (make_pictures.py). */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Refusal } from "../../src/net/types";
import { decodeJpeg, shareFor } from "../../src/pictures/jpeg/decode";
import { OtherKind } from "../../src/pictures/jpeg/frame";
import { turned } from "../../src/pictures/orientation";
import { decodePng } from "../../src/pictures/png";
import PICTURES from "./pictures.json";

interface Kept {
  name: string;
  file: string;
  versions: { near: number; size: number[]; sha256: string }[];
}

function bytesOf({ file }: Kept): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(file, "base64"));
}

async function decoded(kept: Kept, file = bytesOf(kept), near = 32) {
  const jpeg = kept.name.startsWith("jpeg");
  const { picture, orientation } = jpeg ? decodeJpeg(file, near) : await decodePng(file);
  return turned(picture, orientation);
}

describe("decoding", () => {
  it.each(PICTURES as Kept[])("$name: the pixels that Python sees", async (kept) => {
    for (const { near, size, sha256 } of kept.versions) {
      const { width, height, data } = await decoded(kept, bytesOf(kept), near);
      expect([height, width], String(near)).toEqual(size);
      expect(createHash("sha256").update(data).digest("hex"), String(near)).toBe(sha256);
    }
  });

  it("refuses files that are cut short, wherever", async () => {
    const names = ["png colour 2 depth 8", "png colour 6 depth 16 interlaced", "jpeg fine", "jpeg progressive grey"];
    for (const name of names) {
      const kept = (PICTURES as Kept[]).find((one) => one.name === name);
      expect(kept, name).toBeDefined();
      const file = bytesOf(kept as Kept);
      for (const share of [0.1, 0.5, 0.8]) {
        const cut = file.slice(0, Math.floor(share * file.length));
        await expect(decoded(kept as Kept, cut), `${name} ${share}`).rejects.toBeInstanceOf(Refusal);
      }
    }
  });

  it("refuses damage, or gives a picture of the size that the file says; it never hangs", async () => {
    let seed = 1;
    const random = (below: number) => (seed = (seed * 48271) % 0x7fffffff) % below;
    for (const kept of PICTURES as Kept[]) {
      const file = bytesOf(kept);
      for (let change = 0; change < 4; change++) file[8 + random(file.length - 8)] = random(256);
      try {
        const { width, height, data } = await decoded(kept, file);
        expect(data.length).toBe(4 * width * height);
      } catch (error) {
        expect(error instanceof Refusal || error instanceof OtherKind, `${kept.name}: ${String(error)}`).toBe(true);
      }
    }
  });

  it("shrinks a photo as Pillow's draft does", () => {
    const sizes = [[4000, 3000], [511, 600], [130, 128], [127, 4000]] as const;
    expect(sizes.map(([width, height]) => shareFor(width, height, 32))).toEqual([8, 4, 2, 1]);
    expect(shareFor(1, 1, 32)).toBe(1);
  });
});
