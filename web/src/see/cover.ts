/** The square that hides a part of the picture, in pixels of what the network sees. */
import type { Cover } from "../net/types";

type Size = readonly [height: number, width: number];

/** Steps of the slider: 4 to 16 pixels of a picture of 32, as many parts of a larger one. */
export const STEPS = { least: 4, most: 16, of: 32 } as const;

export function sideOf(step: number, [height, width]: Size): number {
  return Math.max(1, Math.round((step * Math.min(height, width)) / STEPS.of));
}

/** The step whose square is nearest to this one; 0 for none. */
export function stepOf(cover: Cover | null, [height, width]: Size): number {
  if (!cover) return 0;
  const step = Math.round((cover.side * STEPS.of) / Math.min(height, width));
  return Math.min(STEPS.most, Math.max(STEPS.least, step));
}

/** The square of this side whose middle is nearest to a place, wholly inside the picture. */
export function around(y: number, x: number, side: number, [height, width]: Size): Cover {
  const inside = (middle: number, length: number) => Math.min(length - side, Math.max(0, Math.round(middle - side / 2)));
  return { y: inside(y, height), x: inside(x, width), side };
}

export function moved(cover: Cover, down: number, right: number, [height, width]: Size): Cover {
  const inside = (start: number, length: number) => Math.min(length - cover.side, Math.max(0, start));
  return { ...cover, y: inside(cover.y + down, height), x: inside(cover.x + right, width) };
}

/** The same part of a picture of another size. */
export function scaled(cover: Cover, from: Size, to: Size): Cover {
  const side = sideOf(stepOf(cover, from), to);
  const [down, across] = [to[0] / from[0], to[1] / from[1]];
  return around((cover.y + cover.side / 2) * down, (cover.x + cover.side / 2) * across, side, to);
}
