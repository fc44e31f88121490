/** What is said of layers, in the reader's language. */
import { decimal, count } from "../app/numbers";
import { reader, t } from "../app/words.svelte";
import { strongest } from "../draw/mosaic";
import type { Layer, Painted } from "../net/types";

/** A large whole number in three digits: 91K, 23.1M; 9.1만 in Korean. */
export function short(n: number): string {
  const options = { notation: "compact", maximumSignificantDigits: 3 } as const;
  return n.toLocaleString(reader.language, options);
}

/** "mlpconv 4", counted from 1 as the paper does. */
export function blockName(block: number): string {
  return t("river.block", { n: block + 1 });
}

/** "3×3 filters", "1×1", or "1×1, second" where an mlpconv layer has several. */
export function layerName(layer: Layer): string {
  if (layer.depth === 0) return t("river.filters", { k: layer.kernel });
  return t(layer.depth === 1 ? "river.pointwise" : "river.pointwiseNext", { n: layer.depth });
}

/** "64 maps · 32×32" */
export function mapsText(channels: number, side: readonly [number, number] | undefined): string {
  const maps = channels === 1 ? t("river.oneMap") : t("river.maps", { n: count(channels) });
  return side ? `${maps} · ${side[1]}×${side[0]}` : maps;
}

/** What a screen reader says of a mosaic: its layer, its maps and the strongest of them. */
export function mosaicText(layer: Layer, painted: Painted | undefined): string {
  const name = `${blockName(layer.block)}, ${layerName(layer)}`;
  if (!painted) return `${name}, ${mapsText(layer.channels, undefined)}`;
  const best = strongest(painted);
  return t("river.strongest", {
    name,
    maps: mapsText(layer.channels, painted.tile),
    map: count(best + 1),
    mean: decimal(painted.means[best] ?? 0, 2),
  });
}

/** "then max pooling 3×3, step 2" */
export function poolText(layer: Layer | undefined): string {
  const pool = layer?.pool;
  return pool ? t(pool.kind === "max" ? "river.maxPool" : "river.avgPool", { k: pool.size, s: pool.stride }) : "";
}

/** "ReLU"; nothing where a layer has no activation. */
export function activationName(layer: Layer): string {
  const names = { relu: "ReLU", gelu: "GELU", silu: "SiLU" } as const;
  return layer.activation ? names[layer.activation] : "";
}

/** What one input of a layer is: a channel of the picture, a map before it, a filter or a unit of the stage before. */
export function inputName(layer: Layer, channels: number, input: number): string {
  if (layer.depth > 0) return t(layer.depth === 1 ? "place.filter" : "place.unit", { n: count(input + 1) });
  if (layer.block > 0) return t("place.map", { n: count(input + 1) });
  const colours = ["card.red", "card.green", "card.blue", "card.alpha"];
  return channels === 1 ? t("card.grey") : t(colours[input] ?? "place.map", { n: count(input + 1) });
}
