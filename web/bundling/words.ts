/**
 * The page's words: `import { en, ko, names } from "virtual:words"`. In the built page a key stands once, and only where
 * code puts it together: every key that is written out becomes the number of its sentence.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import type { Plugin } from "vite";

export const NAME = "virtual:words";
const WEB = join(import.meta.dirname, "..");
const LITERAL = /(["'`])([a-z][\w-]*(?:\.[\w-]+)+)\1/gi;
const BEGINNING = /`([a-z][\w.-]*\.)\$\{/gi; // of a key that ends in a value: `answers.said.${...}`

type Words = { readonly [key: string]: string | Words };

/** Sentences by key. */
export function flat(words: Words, before = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, said] of Object.entries(words)) {
    if (typeof said === "string") found.set(before + name, said);
    else for (const [key, sentence] of flat(said, `${before}${name}.`)) found.set(key, sentence);
  }
  return found;
}

/** The keys that this code needs by name: those that it puts together, and those that it nowhere writes out. */
export function namedIn(code: string, keys: readonly string[]): Set<string> {
  const literals = new Set([...code.matchAll(LITERAL)].map((match) => match[2]));
  const beginnings = [...code.matchAll(BEGINNING)].map((match) => match[1]);
  return new Set(keys.filter((key) => !literals.has(key) || beginnings.some((one) => key.startsWith(one))));
}

/** Code with the keys that it writes out replaced by their numbers, as sentences.ts reads them. */
export function numbered(code: string, keys: readonly string[]): string {
  const numbers = new Map(keys.map((key, at) => [key, at.toString(36)]));
  return code.replace(LITERAL, (whole, quote: string, key: string) => {
    const number = numbers.get(key);
    return number === undefined ? whole : quote + number + quote;
  });
}

/** Numbers of the sentences by key, nested, so that what keys have in common stands once. */
function nested(keys: readonly string[], named: ReadonlySet<string>): object {
  const root = {};
  for (const [at, key] of keys.entries()) {
    if (!named.has(key)) continue;
    const path = key.split(".");
    const last = path.pop()!;
    const into = path.reduce<Record<string, unknown>>((o, name) => (o[name] ??= {}) as Record<string, unknown>, root);
    into[last] = at;
  }
  return root;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.(ts|svelte)$/.test(entry.name) ? [readFileSync(path, "utf8")] : [];
  });
}

export function words(): Plugin {
  const files = ["en.json", "ko.json"].map((file) => join(WEB, "words", file));
  const read = (): Map<string, string>[] =>
    files.map((file) => flat(JSON.parse(readFileSync(file, "utf8")) as Words));
  let isBuilt = false;
  return {
    name: "words",
    enforce: "post", // when components are code
    configResolved(config) {
      isBuilt = config.command === "build";
    },
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load(id) {
      if (id !== `\0${NAME}`) {
        return undefined;
      }
      for (const file of files) this.addWatchFile(file);
      const [en, ko] = read();
      const keys = [...en.keys()];
      const wrong = [...en.keys(), ...ko.keys()].find((key) => !ko.has(key) || !en.has(key));
      if (wrong !== undefined) {
        throw new Error(`${wrong} is not in both of words/en.json and words/ko.json`);
      }
      const named = isBuilt ? namedIn(sources(join(WEB, "src")).join("\n"), keys) : new Set(keys);
      const parts = { en: [...en.values()], ko: keys.map((key) => ko.get(key)), names: nested(keys, named) };
      return Object.entries(parts)
        .map(([name, part]) => `export const ${name} = ${JSON.stringify(part)};\n`)
        .join("");
    },
    transform(code, id) {
      if (!isBuilt || id.startsWith("\0") || !id.startsWith(join(WEB, "src"))) {
        return undefined;
      }
      return { code: numbered(code, [...read()[0].keys()]), map: null };
    },
  };
}
