/**
 * Planted faults: what the comparison with Python must notice.
 *
 * `import("../../src/net/engine.ts?mutant=NAME")` gives the engine with that fault in it: the plugin hands the modules
 * of src/net on with one text replaced, and no file is changed. Those of src/teach are in tests/teach/mutants.ts.
 */

import { readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

import type { Plugin } from "vite";

import { TAUGHT_MUTANTS } from "../teach/mutants.ts";
import { NAME as KERNEL, kernelModule, kernelSource } from "../../bundling/kernel.ts";

export interface Mutant {
  /** Of the folder of what is imported, or "kernel". */
  file: string;
  from: string;
  to: string;
}

/** No fault at all: the comparison must say nothing. */
export const NONE = "none";

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  [NONE]: { file: "fold.ts", from: "NORM_EPSILON = 1e-5", to: "NORM_EPSILON = 1e-5" },
  "another epsilon": { file: "fold.ts", from: "NORM_EPSILON = 1e-5", to: "NORM_EPSILON = 1e-3" },
  "dropout not folded": { file: "fold.ts", from: "config.classicDropout ? 1 - block.dropout : 1", to: "1" },
  "dropout folded twice": { file: "fold.ts", from: "? 1 - block.dropout", to: "? (1 - block.dropout) ** 2" },
  "dropout folded always": { file: "fold.ts", from: "config.classicDropout ?", to: "block.dropout ?" },
  "an activation too many": { file: "fold.ts", from: "config.lastActivation || !final ?", to: "true ?" },
  "a normalisation too few": { file: "fold.ts", from: "(config.lastNorm || !final)", to: "!final" },
  "a window that starts outside": { file: "config.ts", from: "? out - 1 : out", to: "? out : out" },
  "sides of pools rounded down": {
    file: "config.ts",
    from: "Math.ceil(span / stride)",
    to: "Math.floor(span / stride)",
  },
  "padding ignored": {
    file: "network.ts",
    from: "padding) * bordered.sides[1] + padding",
    to: "padding) * bordered.sides[1]",
  },
  "groups mixed up": {
    file: "network.ts",
    from: "from.at + ((group * layer.inputs)",
    to: "from.at + ((0 * layer.inputs)",
  },
  "strides across ignored": { file: "network.ts", from: "(place % width) * stride", to: "(place % width)" },
  "field without pools": { file: "network.ts", from: "field += (pool.size - 1) * jump", to: "field += 0" },
  "weights in another order": {
    file: "packed.ts",
    from: "block * layer.kernel + row",
    to: "block * layer.kernel + layer.kernel - 1 - row",
  },
  "mirrored maps not turned back": { file: "engine.ts", from: "at - column + (width - 1 - column)", to: "at" },
  "features of one view": { file: "engine.ts", from: "(value + mirrored.features[f]) / 2", to: "value" },
  "the mirrored view's maps": {
    file: "engine.ts",
    from: "network.run(input, size);\n    const maps",
    to: "network.run(turned(input, size, folder.network.channels), size);\n    const maps",
  },
  "temperature ignored": { file: "softmax.ts", from: "(logits[k] - most) / temperature", to: "logits[k] - most" },
  "sure at any probability": { file: "card.ts", from: "probability < calibration.unknownBelow", to: "false" },
  "known at any distance": { file: "card.ts", from: "!(distance <= calibration.unknownBeyond)", to: "false" },
  "scales across directions": {
    file: "likeness.ts",
    from: "scales[n % features]",
    to: "scales[Math.floor(n / features)]",
  },
  "halves a little off": { file: "safetensors.ts", from: "(half & 0x7fff) << 13", to: "(half & 0x7ffe) << 13" },
  "green a little darker": { file: "channels.ts", from: "38_470", to: "38_400" },
  "transparency over black": { file: "channels.ts", from: "255 * (255 - alpha) + 127", to: "127" },
  "colours not weighed by alpha": {
    file: "resize.ts",
    from: "alpha ? { ...pixels, data: premultiplied(pixels.data) }",
    to: "false ? pixels",
  },
  "alpha rounded otherwise": { file: "resize.ts", from: "* data[at + 3] + 128", to: "* data[at + 3] + 127" },
  "colours rounded, not cut off": {
    file: "resize.ts",
    from: "Math.floor((255 * data[colour]) / alpha)",
    to: "Math.round((255 * data[colour]) / alpha)",
  },
  "weights cut off": { file: "resize.ts", from: "Math.trunc(0.5 + (sum", to: "Math.trunc((sum" },
  "sums cut off": { file: "resize.ts", from: "HALF = 2 ** (BITS - 1)", to: "HALF = 0" },
  "no antialiasing": { file: "resize.ts", from: "support = Math.max(scale, 1)", to: "support = 1" },
  "crop from the corner": { file: "resize.ts", from: "(side - kept) / 2", to: "0" },
  "padded towards the end": {
    file: "resize.ts",
    from: "Math.floor((height - inner.height) / 2)",
    to: "Math.ceil((height - inner.height) / 2)",
  },
  "halves rounded up": {
    file: "preprocess.ts",
    from: "rest < 0.5 || (rest === 0.5 && below % 2 === 0)",
    to: "rest < 0.5",
  },
  "deep models answer": { file: "preprocess.ts", from: "!FULL.includes(String(range))", to: "false" },
  "standard deviation of the first channel": { file: "normalise.ts", from: "std[channel]", to: "std[0]" },
  "contrast a little less": { file: "normalise.ts", from: "scale: 55", to: "scale: 54.9" },
  "contrast of quiet places raised": { file: "normalise.ts", from: "usual[at % channels], THRESHOLD", to: "THRESHOLD" },
  "whitening place by place": {
    file: "normalise.ts",
    from: "(row % places) * channels + Math.floor(row / places)",
    to: "row",
  },
  "another window": { file: "normalise.ts", from: "SIGMA = 2", to: "SIGMA = 1.591" },
  "negative values kept": { file: "kernel", from: "relu ? f32x4.pmax(a, f32x4.splat(0)) : a", to: "a" },
  "largest value at least zero": { file: "kernel", from: "mean ? 0 : -Infinity", to: "0" },
  "padding not counted": { file: "kernel", from: "min(top + size, height + padding)", to: "min(top + size, height)" },
  "what hangs over counted": { file: "kernel", from: "min(left + size, width + padding)", to: "left + size" },
  "another gelu": { file: "kernel", from: "Math.SQRT1_2", to: "0.7" },
  "another silu": { file: "kernel", from: "value / (1 + exp(", to: "value / (1.001 + exp(" },
};

const QUERY = /\?mutant=(.+)$/;

/** The text with its one fault; an error where the text to replace is not there exactly once. */
export function mutated(text: string, { from, to }: Mutant): string {
  const parts = text.split(from);
  if (parts.length !== 2) {
    throw new Error(`${JSON.stringify(from)} is there ${parts.length - 1} times; expected once`);
  }
  return parts.join(to);
}

/** The modules beside this one that it imports, the kernel's among them; types alone are no import. */
function imported(folder: string, file: string): string[] {
  const found = readFileSync(join(folder, file), "utf8").matchAll(/^import (?!type\b)[^;]*?from "([^"]+)";/gms);
  return [...found].map(([, source]) => (source === KERNEL ? "kernel" : `${basename(source)}.ts`));
}

/** The modules of a folder in which a fault shows: its own, and those that import one of them. */
function touched(folder: string, fault: string): Set<string> {
  const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));
  const found = new Set([fault]);
  for (let before = 0; before < found.size;) {
    before = found.size;
    files.filter((file) => imported(folder, file).some((each) => found.has(each))).forEach((file) => found.add(file));
  }
  return found;
}

function planted(name: string): Mutant {
  return { ...MUTANTS, ...TAUGHT_MUTANTS }[decodeURIComponent(name)];
}

export function mutants(): Plugin {
  return {
    name: "mutants",
    enforce: "pre",
    resolveId(source, importer) {
      const query = QUERY.exec(importer ?? "");
      if (!query) {
        return undefined;
      }
      const { file } = planted(query[1]);
      const folder = dirname(importer!);
      if (source === KERNEL) {
        return file === "kernel" ? `\0${KERNEL}${query[0]}` : undefined;
      }
      const target = `${resolve(folder, source)}.ts`;
      return source.startsWith("./") && touched(folder, file).has(basename(target))
        ? `${target}${query[0]}`
        : undefined;
    },
    load(id) {
      const query = QUERY.exec(id);
      if (!query) {
        return undefined;
      }
      const mutant = planted(query[1]);
      if (id.startsWith(`\0${KERNEL}`)) {
        return kernelModule(mutated(kernelSource(), mutant), [[]]);
      }
      const file = id.replace(QUERY, "");
      const text = readFileSync(file, "utf8");
      return basename(file) === mutant.file ? mutated(text, mutant) : text;
    },
  };
}
