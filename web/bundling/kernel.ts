/** Makes WebAssembly of kernel/network.ts for the page: `import { plain, relaxed } from "virtual:kernel"`. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

import asc from "assemblyscript/asc";
import type { Plugin } from "vite";

export const NAME = "virtual:kernel";
const SOURCE = join(import.meta.dirname, "..", "kernel", "network.ts");
const OPTIONS = ["--runtime", "stub", "--importMemory", "--noAssert", "-O3", "--enable", "simd"];

/** The kernel's source as a file that asc reads, compiled with these features more: base64 of the module. */
async function compiled(source: string, features: readonly string[]): Promise<string> {
  let binary: Uint8Array | undefined;
  const enabled = features.flatMap((feature) => ["--enable", feature]);
  const result = await asc.main(["network.ts", "--outFile", "network.wasm", ...OPTIONS, ...enabled], {
    readFile: (name) => (name === "network.ts" ? source : null),
    writeFile: (_, contents) => {
      binary = typeof contents === "string" ? undefined : contents;
    },
    listFiles: () => [],
  });
  if (result.error !== null || binary === undefined) {
    throw new Error(`kernel/network.ts cannot be compiled: ${result.stderr.toString()}`);
  }
  return Buffer.from(binary).toString("base64");
}

/** Features beyond plain SIMD of the two builds. */
const BUILDS: readonly (readonly string[])[] = [[], ["relaxed-simd"]];

/** A module with both builds of the kernel: `plain`, and `relaxed`, which multiplies and adds in one step. */
export async function kernelModule(source: string, builds = BUILDS): Promise<string> {
  const made: string[] = [];
  for (const features of builds) {
    made.push(await compiled(source, features));
  }
  return `export const plain = "${made[0]}";\nexport const relaxed = "${made[made.length - 1]}";\n`;
}

export function kernelSource(): string {
  return readFileSync(SOURCE, "utf8");
}

let made: Promise<string> | undefined; // the page and its worker share it

export function kernel(): Plugin {
  return {
    name: "kernel",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load(id) {
      if (id !== `\0${NAME}`) {
        return undefined;
      }
      this.addWatchFile(SOURCE);
      made ??= kernelModule(kernelSource());
      return made;
    },
  };
}
