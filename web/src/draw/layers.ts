/** What is said of layers, in the reader's language. */
import { count, decimal, formatOf } from "../app/numbers";
import type { View } from "../app/view.svelte";
import { t } from "../app/words.svelte";
import type { Layer, Model, Painted, Products } from "../net/types";
import { isClassMaps, strongest } from "./mosaic";

/** A large whole number in three digits: 91K, 23.1M; 9.1만 in Korean. */
export function short(n: number): string {
  return formatOf({ notation: "compact", maximumSignificantDigits: 3 }).format(n);
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

/** What stands over the maps of a layer, below those of the layer before it. */
export function cardLabel(layer: Layer): string {
  return layer.depth === 0 ? layerName(layer) : `\u2193 ${t("river.pointwise")}`;
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
    maps: count(layer.channels),
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

/** What a unit of a layer is called: a filter, a unit, or the class whose map the layer makes. */
export function unitName(view: View, layer: Layer, unit: number): string {
  if (view.model && isClassMaps(view.model, layer)) return view.title(unit);
  return t(layer.depth === 0 ? "place.filter" : "place.unit", { n: count(unit + 1) });
}

/** "192 filters, ReLU" */
export function stageName(view: View, layer: Layer): string {
  const n = count(layer.channels);
  if (view.model && isClassMaps(view.model, layer)) return t("place.classes", { n });
  const units = t(layer.depth === 0 ? "place.filters" : "place.units", { n });
  return [units, activationName(layer)].filter(Boolean).join(", ");
}

/** Which input one product of a sum reads, and where in the patch. */
export function productName(model: Model, layer: Layer, sum: Products, index: number): string {
  const what = inputName(layer, model.channels, sum.inputs[index]);
  if (layer.depth > 0 || layer.kernel === 1) return what;
  return t("place.inPatch", { what, row: count(sum.rows[index] + 1), column: count(sum.columns[index] + 1) });
}

/** A number with its sign, plus as well as minus. */
export function signed(value: number, places: number): string {
  const text = decimal(value, places);
  return value > 0 ? `+${text}` : text;
}
