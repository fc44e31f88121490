/** The page's words in the reader's language. */
import { type Language, type Values, sentence } from "./sentences";

export { type Language, LANGUAGES, hasWords, isLanguage } from "./sentences";

/** The language of every sentence; a reader has one, so the page has one. */
export const reader = $state<{ language: Language }>({ language: "en" });

/** The sentence of a key in the reader's language. */
export const t = (key: string, values: Values = {}): string => sentence(key, reader.language, values);

/** A sentence as what stands before and after its {it}, which the page sets in another type. */
export function around(key: string, values: Values = {}): readonly [before: string, after: string] {
  const [before = "", after = ""] = t(key, values).split("{it}");
  return [before, after];
}
