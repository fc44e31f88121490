/** Pixels as a PNG file, exactly: a canvas would multiply colours by alpha. Source: PNG third edition (W3C 2025). */
import type { Picture } from "../net/types";
import { PNG_SIGNATURE } from "../pictures/png";
import { crc32 } from "./zip";

const RGB = 2;
const RGBA = 6;

function chunk(name: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(body.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  out.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  out.set(body, 8);
  view.setUint32(8 + body.length, crc32(out.subarray(4, 8 + body.length)));
  return out;
}

async function deflated(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** RGB where nothing is transparent, else RGBA; 8 bits, no filter. */
export async function pngOf({ width, height, data }: Picture): Promise<Uint8Array<ArrayBuffer>> {
  let opaque = true;
  for (let at = 3; at < data.length; at += 4) opaque &&= data[at] === 255;
  const channels = opaque ? 3 : 4;
  const line = 1 + channels * width;
  const rows = new Uint8Array(height * line); // each begins with the number of its filter: 0, none
  for (let at = 0; at < width * height; at++) {
    const to = Math.floor(at / width) * line + 1 + channels * (at % width);
    rows.set(data.subarray(4 * at, 4 * at + channels), to);
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, opaque ? RGB : RGBA], 8);
  const parts = [chunk("IHDR", header), chunk("IDAT", await deflated(rows)), chunk("IEND", new Uint8Array())];
  return new Uint8Array(await new Blob([new Uint8Array(PNG_SIGNATURE), ...parts]).arrayBuffer());
}
