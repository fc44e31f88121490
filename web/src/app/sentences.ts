/** The page's words: words/en.json and words/ko.json, equal keys, no markup. */
import { en, ko, type Numbers, names } from "virtual:words";

export const LANGUAGES = ["en", "ko"] as const;
export type Language = (typeof LANGUAGES)[number];

export type Values = Readonly<Record<string, string | number>>;

const WORDS: Readonly<Record<Language, readonly string[]>> = { en, ko };
/** Which sentence a key stands for: a name, or the number that the build has put in its place. */
const PLACES = new Map(en.map((_, at) => [at.toString(36), at]));
addNames(names, "");

function addNames(numbers: Numbers, before: string): void {
  for (const [name, at] of Object.entries(numbers)) {
    if (typeof at === "number") PLACES.set(before + name, at);
    else addNames(at, `${before}${name}.`);
  }
}

export function isLanguage(value: unknown): value is Language {
  return LANGUAGES.includes(value as Language);
}

/** Whether there is a sentence of this key: codes of refusals come from elsewhere. */
export function hasWords(key: string): boolean {
  return PLACES.has(key);
}

/** The sentence of a key such as "river.filters", with {name} replaced by its value; the key itself where none is. */
export function sentence(key: string, language: Language, values: Values = {}): string {
  const said = WORDS[language][PLACES.get(key) ?? -1] ?? key;
  return said.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
