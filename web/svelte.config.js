import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: true,
    // By default the name of a class is made of the file's place, and the built page would differ between machines.
    cssHash: ({ hash, css }) => `s-${hash(css)}`,
  },
};
