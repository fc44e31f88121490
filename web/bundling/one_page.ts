/** Puts script and style of the built page into its one HTML file, with the licences of the packages in them. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";

import type { Plugin, Rollup } from "vite";

/** A script as it may stand between <script> and </script>: nothing in it ends the element or begins a comment. */
export function inScript(code: string): string {
  return code.replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");
}

/** Folders of the packages that these modules come from, in order. */
function packages(modules: readonly string[]): string[] {
  const found = new Set<string>();
  for (const id of modules) {
    const parts = id.replace(/^\0/, "").split("?")[0].split(/[\\/]/);
    const last = parts.lastIndexOf("node_modules");
    if (last >= 0) {
      const depth = parts[last + 1].startsWith("@") ? 3 : 2;
      found.add(parts.slice(0, last + depth).join(sep));
    }
  }
  return [...found].sort();
}

/** Name, version and licence of a package, as the licence asks; an error where it has none. */
function licence(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string>;
  const file = readdirSync(folder)
    .sort()
    .find((each) => /^licen[cs]e/i.test(each));
  if (file === undefined || !existsSync(join(folder, file))) {
    throw new Error(`${name} has no licence file; the page may not hold it`);
  }
  return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}`;
}

/** The licences as an HTML comment, in which two hyphens may not stand. */
function comment(folders: readonly string[]): string {
  return folders.length ? `<!--\n${folders.map(licence).join("\n\n").replace(/--/g, "- -")}\n-->\n` : "";
}

export function onePage(): Plugin {
  return {
    name: "one-page",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const files = Object.values(bundle);
      const page = files.find((file): file is Rollup.OutputAsset => file.fileName === "index.html");
      if (page === undefined) {
        return; // the worker's own build
      }
      const chunks = files.filter((file): file is Rollup.OutputChunk => file.type === "chunk");
      const styles = files.filter((file) => file.fileName.endsWith(".css"));
      if (chunks.length !== 1 || files.length !== 2 + styles.length) {
        throw new Error(`the page is not one script and its styles: ${files.map((file) => file.fileName).join(", ")}`);
      }
      const style = styles.map((file) => String((file as Rollup.OutputAsset).source)).join("");
      const script = inScript(chunks[0].code.trim());
      const html = String(page.source)
        .replace(/\s*<script[^>]* src="[^"]*"[^>]*><\/script>/, "")
        .replace(/\s*<link[^>]* rel="stylesheet"[^>]*>/, "");
      // Functions: in a replacement text "$" would have a meaning.
      const licences = comment(packages(Object.keys(chunks[0].modules))); // after the charset, sought in 1 kB
      const styled = html.replace("</head>", () => `<style>${style.trim()}</style>\n${licences}</head>`);
      page.source = styled.replace("</body>", () => `<script type="module">${script}</script>\n</body>`);
      for (const file of files) {
        if (file !== page) {
          delete bundle[file.fileName];
        }
      }
    },
  };
}
