/** Both languages have the same sentences with the same values, and the page uses every one of them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { flat, namedIn, numbered } from "../bundling/words";
import en from "../words/en.json";
import ko from "../words/ko.json";

const SOURCES = new URL("../src", import.meta.url).pathname;

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.(ts|svelte)$/.test(entry.name) ? [readFileSync(path, "utf8")] : [];
  });
}

const english = flat(en);
const korean = flat(ko);
const code = sources(SOURCES).join("\n");
/** Whole keys, and beginnings of keys that end in a value: "answers.said.${...}". */
const literals = new Set([...code.matchAll(/["`]([a-z][\w-]*(?:\.[\w-]+)+)["`]/gi)].map((match) => match[1] ?? ""));
const beginnings = [...code.matchAll(/`([a-z][\w.-]*\.)\$\{/gi)].map((match) => match[1] ?? "");
const refused = new Set([...code.matchAll(/Refusal\(\s*"([\w-]+)"|"([\w-]+)"/g)].map((match) => match[1] ?? match[2]));

describe("words", () => {
  it("have the same keys in both languages", () => {
    expect([...korean.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it("take the same values in both languages", () => {
    const values = (sentence: string) => [...sentence.matchAll(/\{\w+\}/g)].map(([value]) => value).sort();
    for (const [key, sentence] of english) {
      expect(values(korean.get(key) ?? ""), key).toEqual(values(sentence));
    }
  });

  it("hold no markup and no empty sentence", () => {
    for (const [key, sentence] of [...english, ...korean]) {
      expect(sentence.trim(), key).not.toBe("");
      expect(sentence, key).not.toMatch(/<\/?[a-z]|&[a-z]+;/i);
    }
  });

  it("are each used", () => {
    const unused = [...english.keys()].filter((key) => {
      if (key.startsWith("refusal.") && refused.has(key.slice("refusal.".length))) return false;
      return !literals.has(key) && !beginnings.some((beginning) => key.startsWith(beginning));
    });
    expect(unused).toEqual([]);
  });

  it("are there for every key that the page asks for", () => {
    const asked = [...code.matchAll(/\b(?:t|around)\(\s*"([\w.-]+)"/g)].map((match) => match[1] ?? "");
    const codes = [...code.matchAll(/new Refusal\(\s*"([\w-]+)"/g)].map((match) => `refusal.${match[1] ?? ""}`);
    expect(asked.length).toBeGreaterThan(50);
    expect([...new Set([...asked, ...codes])].filter((key) => !english.has(key))).toEqual([]);
  });

  it("are asked for by number in the built page, where the whole key is written out", () => {
    const keys = ["app.title", "answers.said.known", "answers.said.unsure", "refusal.absent"];
    const page = 't("app.title", { n }); t(`answers.said.${known}`); const first = \'answers.said.known\'; "app.titles"';
    expect([...namedIn(page, keys)]).toEqual(["answers.said.known", "answers.said.unsure", "refusal.absent"]);
    expect(numbered(page, keys)).toBe(page.replace("app.title\"", '0"').replace("answers.said.known'", "1'"));
    const named = namedIn(code, [...english.keys()]);
    expect(named.size).toBeLessThan(english.size / 2);
    for (const key of named) expect(literals.has(key) && !beginnings.some((one) => key.startsWith(one)), key).toBe(false);
  });
});
