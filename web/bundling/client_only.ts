/**
 * Svelte as this page uses it: its switches for what the page never does become constants, and the code behind them
 * goes. The page is never rendered by a server, has no component in the style of Svelte 4, awaits nothing in a
 * component and traces nothing; a build that needs one of them fails, because the switch's function is missing.
 */

import type { Plugin } from "vite";

const FLAGS = /\/svelte\/src\/internal\/flags\/index\.js$/;
const HYDRATION = /\/svelte\/src\/internal\/client\/dom\/hydration\.js$/;
const OFF = ["async", "legacy", "tracing"].map((name) => `export const ${name}_mode_flag = false;`).join("\n");
const SWITCH = "export let hydrating = false;";
const SET = "\thydrating = value;";

export function clientOnly(): Plugin {
  return {
    name: "client-only",
    apply: "build",
    transform(code, id) {
      if (FLAGS.test(id)) {
        return { code: OFF, map: null };
      }
      if (HYDRATION.test(id)) {
        if (!code.includes(SWITCH) || !code.includes(SET)) {
          throw new Error("this version of Svelte switches hydration in another way; see bundling/client_only.ts");
        }
        return { code: code.replace(SWITCH, "export const hydrating = false;").replace(SET, ""), map: null };
      }
      return undefined;
    },
  };
}
