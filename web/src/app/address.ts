/**
 * The state of the page as an address: #see/nin-cifar10?e=3&class=horse&layer=3.1&at=4,6&cover=20,9,8&size=32&lang=ko
 *
 * Numbers are those that the page shows, from 1. e: the example. layer: the mlpconv layer, then 0 for its k x k
 * filters, 1 for its first 1x1 layer. unit: the map of that layer. at: row and column, of that layer's mlpconv layer
 * or of the one whose number stands before them. cover: row, column and side in pixels of what the network sees.
 * size: its longer side. A chapter of the lesson is #learn/3, Teach is #teach, and the model then one of the values:
 * model=nin-cifar10.
 * What an address says is only a wish: a value that makes no sense is ignored.
 */
import type { Place } from "./view.svelte";
import { isLanguage, type Language } from "./words.svelte";

/** Everything in it but the chapter and `example` counts from 0. */
export interface Address {
  place: Place;
  model: string | null;
  example: number | null;
  class: string | null;
  minus: string | null;
  layer: { block: number; depth: number } | null;
  unit: number | null;
  at: { block: number; y: number; x: number } | null;
  cover: { y: number; x: number; side: number } | null;
  size: number | null;
  language: Language | null;
}

const LONGEST = 4000; // characters of an address that is read
const LONGEST_NAME = 200;

/** Whole numbers written with digits alone, so many as are asked for; null for anything else. */
function numbers(text: string | null, separator: string, counts: readonly number[]): number[] | null {
  const parts = text?.split(separator) ?? [];
  if (!counts.includes(parts.length) || !parts.every((part) => /^\d{1,5}$/.test(part))) return null;
  return parts.map(Number);
}

function name(text: string | null): string | null {
  return text && text.length <= LONGEST_NAME ? text : null;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function placeOf(text: string | null, layer: Address["layer"]): Address["at"] {
  const found = numbers(text, ",", [2, 3]);
  if (!found) return null;
  const [row, column] = found.slice(-2) as [number, number];
  const block = found.length === 3 ? (found[0] ?? 0) - 1 : layer?.block;
  return block === undefined || Math.min(block, row - 1, column - 1) < 0 ? null : { block, y: row - 1, x: column - 1 };
}

/** What the part of an address after # says. */
export function readAddress(hash: string): Address {
  const text = hash.length > LONGEST ? "" : hash.replace(/^#/, "");
  const [path = "", ...query] = text.split("?");
  const [first, named = ""] = path.split("/");
  const values = new URLSearchParams(query.join("?"));
  const place = first === "teach" ? first : first === "learn" ? (numbers(named, ",", [1])?.[0] ?? 1) : "see";
  const one = (key: string) => numbers(values.get(key), ",", [1])?.[0] ?? null;
  const layer = numbers(values.get("layer"), ".", [2]);
  const inside = layer?.[0] ? { block: layer[0] - 1, depth: layer[1] ?? 0 } : null;
  const [row = 0, column = 0, side = 0] = numbers(values.get("cover"), ",", [3]) ?? [];
  const unit = one("unit");
  const language = values.get("lang");
  return {
    place,
    model: name(place !== "see" ? values.get("model") : first === "see" ? decoded(named) : null),
    example: one("e") || null,
    class: name(values.get("class")),
    minus: name(values.get("minus")),
    layer: inside,
    unit: inside && unit ? unit - 1 : null,
    at: placeOf(values.get("at"), inside),
    cover: row && column && side ? { y: row - 1, x: column - 1, side } : null,
    size: one("size") || null,
    language: isLanguage(language) ? language : null,
  };
}

/** The address of a state, from # on; `readAddress` reads it back. */
export function writeAddress(address: Address): string {
  const { place, model, layer, unit, at, cover } = address;
  const where = at && [...(layer?.block === at.block ? [] : [at.block]), at.y, at.x].map((from) => from + 1);
  const values: [string, string | number | null | undefined][] = [
    ["model", place === "see" ? null : model],
    ["e", address.example],
    ["class", address.class],
    ["minus", address.minus],
    ["layer", layer && `${layer.block + 1}.${layer.depth}`],
    ["unit", layer && unit !== null ? unit + 1 : null],
    ["at", where?.join(",")],
    ["cover", cover && [cover.y + 1, cover.x + 1, cover.side].join(",")],
    ["size", address.size],
    ["lang", address.language],
  ];
  const said = values.filter(([, value]) => value !== null && value !== undefined);
  const query = said.map(([key, value]) => `${key}=${encodeURIComponent(value ?? "").replaceAll("%2C", ",")}`);
  const named = place === "see" ? `see/${encodeURIComponent(model ?? "")}` : place;
  const path = typeof place === "number" ? `learn/${place}` : named;
  return `#${path}${query.length ? "?" : ""}${query.join("&")}`;
}
