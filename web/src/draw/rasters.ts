/** The pictures of a saved sheet, drawn on canvases of their own and handed over as PNG. */
import type { Theme } from "../app/view.svelte";
import type { Answer, Painted, Place } from "../net/types";
import { coloured, put, show } from "./canvas";
import { drawCells, frameCells, gridOf } from "./cells";
import { drawField } from "./field";
import { veil } from "./overlay";
import { PALETTES } from "./palette";
import { colouringOf, divergingTo } from "./ramps";
import type { Raster } from "./sheet";

const FINE = 2; // pixels a unit of the sheet: sharp in print

export interface CellsAsked {
  values: Float32Array;
  size: readonly [number, number, number];
  width: number;
  height: number;
  framed: readonly number[];
  chosen: number | null;
}

function canvasOf(width: number, height: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no pictures");
  return [canvas, context];
}

function rasterOf(canvas: HTMLCanvasElement, width: number, height: number): Raster {
  return { href: canvas.toDataURL("image/png"), width, height };
}

/** Pixels (h, w) in blocks at (height, width) of the sheet. */
function blocks(pixels: Uint8ClampedArray, h: number, w: number, width: number, height: number): HTMLCanvasElement {
  const [small] = canvasOf(w, h);
  put(small, pixels, w, h);
  const [canvas, context] = canvasOf(FINE * width, FINE * height);
  // Blocks up to the sheet's fineness; a picture with more pixels than that is averaged.
  context.imageSmoothingEnabled = w > canvas.width;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  return canvas;
}

export class Rasters {
  constructor(
    private readonly answer: Answer,
    private readonly theme: Theme,
  ) {}

  /** The picture as the network saw it, `width` wide, under the veil of a map if there is one. */
  picture(width: number, map: Float32Array | null, limit: number): Raster {
    const [h, w] = this.answer.size;
    const height = (width * h) / w;
    const canvas = blocks(this.answer.seen, h, w, width, height);
    if (map) {
      const over = veil(map, ...this.answer.mapSize, limit, this.theme);
      const [small] = canvasOf(over.width, over.height);
      put(small, over.data, over.width, over.height);
      canvas.getContext("2d")?.drawImage(small, 0, 0, canvas.width, canvas.height);
    }
    return rasterOf(canvas, width, height);
  }

  /** A class map by itself, red for and blue against. */
  classMap(map: Float32Array, limit: number, width: number): Raster {
    const [h, w] = this.answer.mapSize;
    const height = (width * h) / w;
    return rasterOf(blocks(coloured(map, divergingTo(limit, this.theme)), h, w, width, height), width, height);
  }

  /** All maps of a layer, every pixel kept, in a box of the sheet. */
  mosaic(painted: Painted, width: number, height: number): Raster {
    const [canvas] = canvasOf(painted.width, painted.height);
    show(canvas, painted);
    const scale = Math.min(width / painted.width, height / painted.height);
    return rasterOf(canvas, painted.width * scale, painted.height * scale);
  }

  /** A grid of values, with the frames that the page shows. */
  cells({ values, size, width, height, framed, chosen }: CellsAsked): Raster {
    const grid = gridOf(size[2], size[0], size[1], width, height);
    const [canvas, context] = canvasOf(FINE * grid.width, FINE * grid.height);
    context.scale(FINE, FINE);
    const palette = PALETTES[this.theme];
    drawCells(context, grid, values, colouringOf(values, this.theme));
    frameCells(context, grid, framed, palette.warm, 1.5);
    if (chosen !== null) frameCells(context, grid, [chosen], palette.warm, 3);
    return rasterOf(canvas, grid.width, grid.height);
  }

  /** The picture, in full light only where a place sees it. */
  seen(width: number, field: Place["field"]): Raster {
    const [h, w] = this.answer.size;
    const height = (width * h) / w;
    const canvas = blocks(this.answer.seen, h, w, width, height);
    const context = canvas.getContext("2d");
    if (context) drawField(context, [h, w], canvas.width / w, field, PALETTES[this.theme]);
    return rasterOf(canvas, width, height);
  }
}
