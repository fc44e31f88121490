/** Putting pixels and drawings on canvases, sharp on every screen. */
import type { Painted } from "../net/types";
import { type Colouring } from "./ramps";

type Pixels = Uint8ClampedArray<ArrayBuffer>;

/** Puts RGBA of (height, width) on a canvas of just that size. */
export function put(canvas: HTMLCanvasElement, data: Uint8ClampedArray, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d")?.putImageData(new ImageData(data as Pixels, width, height), 0, 0);
}

/** Puts a drawn mosaic on a canvas. */
export function show(canvas: HTMLCanvasElement, painted: Painted): void {
  put(canvas, painted.data, painted.width, painted.height);
}

/** RGBA of values, each in its colour. */
export function coloured(values: ArrayLike<number>, { ramp, index: colourOf }: Colouring): Pixels {
  const data = new Uint8ClampedArray(4 * values.length);
  for (let index = 0; index < values.length; index++) {
    const at = 4 * colourOf(values[index]);
    data[4 * index] = ramp[at];
    data[4 * index + 1] = ramp[at + 1];
    data[4 * index + 2] = ramp[at + 2];
    data[4 * index + 3] = 255;
  }
  return data;
}

/** RGBA of weights (k, k, 3) as a colour picture: grey is zero, the largest weight reaches full colour. */
export function colourPicture(weights: ArrayLike<number>, limit: number): Pixels {
  const places = weights.length / 3;
  const data = new Uint8ClampedArray(4 * places).fill(255);
  for (let place = 0; place < places; place++) {
    for (let channel = 0; channel < 3; channel++) {
      data[4 * place + channel] = 127.5 * (1 + weights[3 * place + channel] / limit);
    }
  }
  return data;
}

/** An empty context whose unit is a CSS pixel, on a canvas as fine as the screen; null where none can be had. */
export function fresh(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const fine = globalThis.devicePixelRatio || 1;
  const across = Math.max(1, Math.round(width * fine));
  const down = Math.max(1, Math.round(height * fine));
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  const context = canvas.getContext("2d");
  context?.setTransform(across / Math.max(1, width), 0, 0, down / Math.max(1, height), 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}
