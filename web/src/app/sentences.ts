/** The page's words: words/en.json and words/ko.json, equal keys, no markup. */
import en from "../../words/en.json";
import ko from "../../words/ko.json";

export const LANGUAGES = ["en", "ko"] as const;
export type Language = (typeof LANGUAGES)[number];

type Words = { readonly [key: string]: string | Words };
export type Values = Readonly<Record<string, string | number>>;

const WORDS: Readonly<Record<Language, Words>> = { en, ko };

export function isLanguage(value: unknown): value is Language {
  return LANGUAGES.includes(value as Language);
}

function found(key: string, language: Language): string | undefined {
  let at: string | Words | undefined = WORDS[language];
  for (const name of key.split(".")) {
    if (typeof at !== "object" || !Object.hasOwn(at, name)) return undefined;
    at = at[name];
  }
  return typeof at === "string" ? at : undefined;
}

/** Whether there is a sentence of this key: codes of refusals come from elsewhere. */
export function hasWords(key: string): boolean {
  return found(key, "en") !== undefined;
}

/** The sentence of a key such as "river.filters", with {name} replaced by its value; the key itself where none is. */
export function sentence(key: string, language: Language, values: Values = {}): string {
  const said = found(key, language) ?? key;
  return said.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
