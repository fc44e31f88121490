/** What a place sees: the picture in full light there, paler elsewhere. */
import type { Place } from "../net/types";
import type { Palette } from "./palette";

const SHADE = 0.62; // of paper over what the place does not see

/**
 * Draws shade and frame over a picture of (H, W) pixels that is `scale` times as large; the context holds nothing yet
 * or the picture itself.
 */
export function drawField(
  context: CanvasRenderingContext2D,
  [height, width]: readonly [number, number],
  scale: number,
  field: Place["field"],
  palette: Palette,
): void {
  const left = Math.max(0, field.left) * scale;
  const top = Math.max(0, field.top) * scale;
  const across = Math.min(width, field.right) * scale - left;
  const down = Math.min(height, field.bottom) * scale - top;
  context.fillStyle = palette.paper;
  context.globalAlpha = SHADE;
  context.beginPath();
  context.rect(0, 0, width * scale, height * scale);
  context.rect(left, top, across, down);
  context.fill("evenodd");
  context.globalAlpha = 1;
  for (const [colour, line] of [[palette.paper, 4], [palette.warm, 2]] as const) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(left + 1, top + 1, Math.max(0, across - 2), Math.max(0, down - 2));
  }
}
