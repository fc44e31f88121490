/** What a reader gives to classes: files sorted into classes, and names held apart. No DOM. */
import type { Found } from "../app/opened";

/** Classes that can be taught, and pictures that a class takes: more is work for `nin train`. */
export const MOST_CLASSES = 10;
export const MOST_PICTURES = 200;
/** Pictures of a class from which on it can be asked about pictures that it did not learn: one for every fold. */
export const ENOUGH = 5;

const SYSTEM = /(^|\/)(\.[^/]*|__MACOSX|Thumbs\.db|desktop\.ini)(\/|$)/i; // what systems leave in folders
const order = new Intl.Collator("en", { numeric: true }); // 2 before 10, as nin.data.splits.natural

/** Files that belong to one class: by the folder in which they lie; null for loose ones. */
export interface Pile {
  name: string | null;
  found: Found[];
}

/** What was dropped as classes, in the order of their names, the files of each in the order of theirs. */
export function pilesOf(found: readonly Found[]): Pile[] {
  const piles = new Map<string | null, Found[]>();
  for (const one of found) {
    if (SYSTEM.test(one.path)) continue;
    const name = one.path.split("/").at(-2) ?? null;
    const pile = piles.get(name) ?? [];
    pile.push(one);
    piles.set(name, pile);
  }
  const sorted = [...piles].sort(([a], [b]) => order.compare(a ?? "", b ?? ""));
  return sorted.map(([name, some]) => ({
    name: name && clean(name),
    found: some.sort((a, b) => order.compare(a.path, b.path)),
  }));
}

/** At most so many, taken evenly from all. */
export function thinned<T>(all: readonly T[], most: number): T[] {
  const count = Math.min(all.length, most);
  return Array.from({ length: count }, (_, at) => all[Math.floor((at * all.length) / count)] as T);
}

/** A name as a label bears it: composed, plain single blanks, nothing without width; nin.data.spelling's `clean`. */
export function clean(name: string): string {
  return name
    .normalize("NFC")
    .replace(/[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]|\p{Cc}/gu, "")
    .replace(/\p{Zs}+/gu, " ")
    .trim();
}

/** The name that more than one class has, case aside: folders on many systems cannot hold both. Null where none is. */
export function twice(names: readonly string[]): string | null {
  const seen = names.map((name) => name.toLowerCase());
  return names.find((name, at) => name && seen.indexOf(name.toLowerCase()) < at) ?? null;
}
