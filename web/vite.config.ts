import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

import { claims } from "./bundling/claims.ts";
import { clientOnly } from "./bundling/client_only.ts";
import { kernel } from "./bundling/kernel.ts";
import { mutants } from "./tests/net/mutants.ts";
import { onePage } from "./bundling/one_page.ts";
import { words } from "./bundling/words.ts";

export default defineConfig({
  base: "./",
  plugins: [kernel(), claims(), words(), clientOnly(), svelte(), onePage(), ...(process.env.VITEST ? [mutants()] : [])],
  worker: { format: "iife", plugins: () => [kernel()] },
  build: {
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: false,
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    reportCompressedSize: false,
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node", testTimeout: 120_000 },
});
