/** RGBA, which every decoded picture is here, to a network's channels and back: `to_channels` of nin.data.images. */

import type { Channels } from "./preprocess";
import type { CheckFile } from "./types";

/** (H, W, C) bytes. */
export interface Pixels {
  height: number;
  width: number;
  channels: Channels;
  data: Uint8Array | Uint8ClampedArray;
}

/** Transparency over white for one and three channels; ITU-R BT.601 luma, as Pillow rounds it, for one. */
export function toChannels(rgba: Uint8ClampedArray, height: number, width: number, channels: Channels): Pixels {
  const places = height * width;
  if (channels === 4) {
    return { height, width, channels, data: rgba };
  }
  const data = new Uint8Array(places * channels);
  for (let place = 0; place < places; place++) {
    let red = rgba[4 * place];
    let green = rgba[4 * place + 1];
    let blue = rgba[4 * place + 2];
    const alpha = rgba[4 * place + 3];
    if (alpha < 255) {
      const white = 255 * (255 - alpha) + 127;
      red = Math.floor((red * alpha + white) / 255);
      green = Math.floor((green * alpha + white) / 255);
      blue = Math.floor((blue * alpha + white) / 255);
    }
    if (channels === 1) {
      data[place] = (19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16;
    } else {
      data[3 * place] = red;
      data[3 * place + 1] = green;
      data[3 * place + 2] = blue;
    }
  }
  return { height, width, channels, data };
}

/** What a file with one, three or four channels shows: grey as three equal colours, opaque without an alpha. */
export function toRgba(
  data: Uint8Array | Uint8ClampedArray,
  channels: CheckFile["pictures"][number]["channels"],
): Uint8ClampedArray<ArrayBuffer> {
  const places = data.length / channels;
  const rgba = new Uint8ClampedArray(4 * places);
  for (let place = 0; place < places; place++) {
    for (let colour = 0; colour < 3; colour++) {
      rgba[4 * place + colour] = data[channels * place + (channels === 1 ? 0 : colour)];
    }
    rgba[4 * place + 3] = channels === 4 ? data[4 * place + 3] : 255;
  }
  return rgba;
}
