/** This page as one file with other models in it: nin.explorer.built_page's twin. */

/** The page as it was parsed: read when the script begins, before anything is put into it. */
const parsed = document.documentElement.cloneNode(true) as HTMLElement;
const CHUNK = 0x8000; // bytes that become letters at once: more arguments than a call may have are refused

function base64(bytes: Uint8Array): string {
  let letters = "";
  for (let at = 0; at < bytes.length; at += CHUNK) letters += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(letters);
}

/** The HTML of the page with these files inside, by the paths that it reads them under; it makes no request. */
export function pageWith(files: ReadonlyMap<string, Uint8Array>): string {
  const root = parsed.cloneNode(true) as HTMLElement;
  for (const held of root.querySelectorAll("script[data-path]")) held.remove();
  const policy = root.querySelector('meta[http-equiv="Content-Security-Policy"]');
  policy?.setAttribute("content", (policy.getAttribute("content") ?? "").replace(/;\s*connect-src[^;]*/, ""));
  for (const [path, bytes] of files) {
    const held = document.createElement("script");
    held.type = "application/octet-stream"; // which no browser runs
    held.dataset["path"] = path;
    held.textContent = base64(bytes);
    root.querySelector("body")?.append(held, "\n");
  }
  return `<!doctype html>\n${root.outerHTML}\n`;
}
