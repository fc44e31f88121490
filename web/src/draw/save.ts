/** Saving what the page shows as one picture, as PNG or as SVG. */
import { neutral } from "../app/names";
import type { View } from "../app/view.svelte";
import { figure } from "./figure";
import { Rasters } from "./rasters";
import { FONTS, type Measure } from "./sheet";

const FINE = 2; // pixels of the PNG a unit of the sheet
const LONGEST_NAME = 80; // characters

function measurer(): Measure {
  const context = document.createElement("canvas").getContext("2d");
  return (text, size, bold) => {
    if (!context) return text.length * size;
    context.font = `${bold ? 600 : 400} ${size}px ${FONTS}`;
    return context.measureText(text).width;
  };
}

/** What any system takes as a name: letters and digits of any script, joined by dashes. */
export function plainName(...parts: string[]): string {
  const plain = (text: string) => neutral(text).replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  const whole = parts.map(plain).filter(Boolean).join("-");
  return [...whole].slice(0, LONGEST_NAME).join("") || "nin";
}

export function fileName(model: string, answer: string, ending: string): string {
  return `${plainName(model, answer)}.${ending}`;
}

/** The view as SVG; null while there is nothing to save. */
export async function drawn(view: View): Promise<string | null> {
  const { model, answer, at } = view;
  if (!model || !answer) return null;
  const layer = at && model.layers.find((one) => one.block === at.block);
  const side = layer && answer.sides[layer.index];
  const place = at && side && { block: at.block, y: Math.min(at.y, side[0] - 1), x: Math.min(at.x, side[1] - 1) };
  const trail = place ? await view.engine.follow(place, view.followed) : null;
  const rasters = new Rasters(answer, view.theme);
  return figure({ view, model, answer, trail, rasters, measure: measurer() });
}

async function png(svg: string): Promise<Blob> {
  const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = FINE * image.naturalWidth;
    canvas.height = FINE * image.naturalHeight;
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, failed) => {
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("this browser writes no PNG"))), "image/png");
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Hands the reader a file, as the browser saves one. */
export function handOver(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the address after this call.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Hands the reader a file with what the page shows. Does nothing while there is no answer. */
export async function saveView(view: View, kind: "png" | "svg"): Promise<void> {
  const svg = await drawn(view);
  if (svg === null || !view.model || !view.answer) return;
  const blob = kind === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : await png(svg);
  handOver(blob, fileName(view.entry?.id ?? view.model.name, view.title(view.answer.top), kind));
}
