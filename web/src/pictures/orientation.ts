/** Pictures as they are to be shown: the orientation of EXIF (2.32, tag 0x0112), from 1 (as stored) to 8. */
import type { Picture } from "../net/types";

const ORIENTATION = 0x0112;
const WIDTHS: Readonly<Record<number, number>> = { 1: 1, 3: 2, 4: 4 }; // bytes of a value by its type

/** The orientation in the first directory of an EXIF block; 1 where there is none or it makes no sense. */
export function exifOrientation(block: Uint8Array): number {
  const named = String.fromCharCode(...block.subarray(0, 6)) === "Exif\0\0";
  const exif = named ? block.subarray(6) : block;
  const order = String.fromCharCode(...exif.subarray(0, 4));
  if (order !== "II*\0" && order !== "MM\0*") return 1;
  const number = (at: number, size: number) => {
    const bytes = [...exif.subarray(at, at + size)];
    if (order === "II*\0") bytes.reverse();
    return bytes.reduce((sum, byte) => 256 * sum + byte, 0);
  };
  const start = number(4, 4);
  const end = start + 2 + 12 * number(start, 2);
  for (let entry = start + 2; entry < Math.min(end, exif.length); entry += 12) {
    if (number(entry, 2) !== ORIENTATION) continue;
    const value = number(entry + 8, WIDTHS[number(entry + 2, 2)] ?? 0);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** The picture turned as its orientation says. */
export function turned(picture: Picture, orientation: number): Picture {
  if (orientation === 1) return picture;
  const { width, height } = picture;
  const swapped = orientation >= 5;
  const across = swapped ? height : width;
  const down = swapped ? width : height;
  const from = new Uint32Array(picture.data.buffer, picture.data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  const leftward = [2, 3, 7, 8].includes(orientation); // stored columns are read from the last to the first
  const upward = [3, 4, 6, 7].includes(orientation); // stored rows likewise
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      const column = swapped ? y : x;
      const row = swapped ? x : y;
      const place = (upward ? height - 1 - row : row) * width + (leftward ? width - 1 - column : column);
      to[y * across + x] = from[place] ?? 0;
    }
  }
  return { width: across, height: down, data: new Uint8ClampedArray(to.buffer) };
}
