import { describe, expect, it } from "vitest";
import { decodePng } from "../../src/pictures/png";
import { pngOf } from "../../src/teach/png_file";

/** A picture whose every byte differs from its neighbours; `alpha` may be what it likes. */
function picture(width: number, height: number, alpha: (at: number) => number) {
  const data = new Uint8ClampedArray(4 * width * height).map((_, at) => (at % 4 === 3 ? alpha(at >> 2) : (at * 37) & 255));
  return { width, height, data };
}

describe("PNG file", () => {
  it("is decoded to the same bytes, with and without transparency", async () => {
    for (const alpha of [() => 255, (at: number) => (at * 51) % 256]) {
      for (const [width, height] of [[1, 1], [5, 3], [96, 96]] as const) {
        const before = picture(width, height, alpha);
        const { picture: after, orientation } = await decodePng(await pngOf(before));
        expect(orientation).toBe(1);
        expect([after.width, after.height]).toEqual([width, height]);
        expect(after.data).toEqual(before.data);
      }
    }
  });

  it("has three channels where nothing is transparent, with sums that others check", async () => {
    const file = await pngOf(picture(4, 2, () => 255));
    expect(file[25]).toBe(2); // colour type of IHDR
    expect((await pngOf(picture(4, 2, () => 254)))[25]).toBe(6);
    const end = Array.from(file.slice(-12));
    expect(end).toEqual([0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82]); // IEND of every PNG
  });
});
