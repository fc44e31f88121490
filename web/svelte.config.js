import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

const SOURCE = join(import.meta.dirname, "src");
const components = readdirSync(SOURCE, { recursive: true })
  .map((path) => path.split(sep).join("/"))
  .filter((path) => path.endsWith(".svelte"))
  .sort();

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: true,
    // By default the name of a class is made of the file's place, and the built page would differ between machines.
    // A component's number among all is the shortest that differs.
    cssHash: ({ filename }) => `s${components.indexOf(relative(SOURCE, filename).split(sep).join("/"))}`,
  },
};
