/** The claims in the words of `nin claims`, so nothing is said twice: `import { claims } from "virtual:claims"`. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "smol-toml";
import type { Plugin } from "vite";

export const NAME = "virtual:claims";
const SOURCE = join(import.meta.dirname, "..", "..", "src", "nin", "claims", "claims.toml");

interface Words {
  page: { struck: Record<"en" | "ko", string> };
  claims: { number: number; struck?: boolean; claim: Record<"en" | "ko", string> }[];
}

/** The module: each claim's sentence and whether it is struck out; what was measured stays with the program. */
export function claimsModule(source: string): string {
  const { page, claims } = parse(source) as unknown as Words;
  const worded = claims.map(({ number, struck = false, claim }) => [number, { ...claim, struck }]);
  const json = JSON.stringify(Object.fromEntries(worded));
  return `export const claims = ${json};\nexport const struck = ${JSON.stringify(page.struck)};\n`;
}

export function claims(): Plugin {
  return {
    name: "claims",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load(id) {
      if (id !== `\0${NAME}`) {
        return undefined;
      }
      this.addWatchFile(SOURCE);
      return claimsModule(readFileSync(SOURCE, "utf8"));
    },
  };
}
